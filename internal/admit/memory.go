package admit

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrNoMemory is Acquire's error.
var ErrNoMemory = errors.New("no memory for a message at this moment")

// Memory bounds the bytes of messages that are held while slow clients send or
// take them. Several doors may share one.
type Memory struct {
	bytes *semaphore.Weighted
	limit int64
	wait  time.Duration
}

// NewMemory allows limit bytes at once. Who finds it full waits that long before being put off.
func NewMemory(limit int64, wait time.Duration) *Memory {
	return &Memory{semaphore.NewWeighted(limit), limit, wait}
}

// Limit is how many bytes may be held at once.
func (m *Memory) Limit() int64 { return m.limit }

// Acquire counts n bytes in, or returns ErrNoMemory when they do not become free in time.
func (m *Memory) Acquire(ctx context.Context, n int64) error {
	if m.bytes.TryAcquire(n) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	if m.bytes.Acquire(ctx, n) != nil {
		return ErrNoMemory
	}
	return nil
}

// Release counts n bytes out again.
func (m *Memory) Release(n int64) { m.bytes.Release(n) }
