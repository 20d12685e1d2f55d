// Package clock tells the time, so that a test or a story of ninety days can set it.
package clock

import (
	"sync"
	"time"
)

// Clock tells the present moment. Timers are Go's own: tests of waiting use
// testing/synctest, tests of dates use Fixed or Shifted.
type Clock interface {
	// Now is the present moment in UTC, without a monotonic reading that would
	// outlive a restart.
	Now() time.Time
}

// System is the machine's clock.
type System struct{}

// Now is time.Now in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// Manual is a clock that moves only when told. The zero value stands at year 1;
// use At. Safe for concurrent use.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// At returns a manual clock that stands at t.
func At(t time.Time) *Manual { return &Manual{now: t.UTC()} }

// Now is the moment last set.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves the clock by d.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}
