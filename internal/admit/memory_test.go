package admit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsWaitedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(100, 10*time.Second)
		take := func(n int64) (time.Duration, error) {
			start := time.Now()
			err := m.Acquire(t.Context(), n)
			return time.Since(start), err
		}
		if took, err := take(60); err != nil || took != 0 {
			t.Fatalf("%v after %v", err, took)
		}
		if took, err := take(41); !errors.Is(err, ErrNoMemory) || took != 10*time.Second {
			t.Errorf("beyond the bound: %v after %v", err, took)
		}
		time.AfterFunc(3*time.Second, func() { m.Release(60) })
		if took, err := take(41); err != nil || took != 3*time.Second {
			t.Errorf("once there is room: %v after %v", err, took)
		}
		left, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Acquire(left, m.Limit()); !errors.Is(err, ErrNoMemory) {
			t.Errorf("after the client left: %v", err)
		}
	})
}
