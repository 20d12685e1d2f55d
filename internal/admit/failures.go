package admit

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"relais/internal/clock"
)

// Bounds on failed sign-ins within a window. A telephone with an old password
// tires out itself alone (pair), not the office behind the same address (ip); a
// guesser spread over many addresses meets the bound of the name (user).
const (
	failureWindow    = 10 * time.Minute
	maxFailuresPair  = 10
	maxFailuresIP    = 50
	maxFailuresUser  = 100
	maxFailureCounts = 50_000
)

// Failures counts failed sign-ins, in bounded memory. Several servers may share one.
type Failures struct {
	clock  clock.Clock
	mu     sync.Mutex
	counts map[failureKey]failureCount
}

// failureKey has an address, a user name, or both.
type failureKey struct {
	source netip.Prefix
	user   string
}

type failureCount struct {
	n     int
	since time.Time
}

// NewFailures counts by the clock c.
func NewFailures(c clock.Clock) *Failures {
	return &Failures{clock: c, counts: map[failureKey]failureCount{}}
}

// Blocked tells whether a sign-in is not even tried.
func (f *Failures) Blocked(source netip.Prefix, user string) bool {
	now := f.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range failureKeys(source, user) {
		if c := f.counts[k.key]; c.n >= k.max && now.Sub(c.since) < failureWindow {
			return true
		}
	}
	return false
}

// Failed counts a wrong password.
func (f *Failures) Failed(source netip.Prefix, user string) {
	now := f.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.counts) >= maxFailureCounts {
		f.makeRoom(now)
	}
	for _, k := range failureKeys(source, user) {
		c := f.counts[k.key]
		if now.Sub(c.since) >= failureWindow {
			c = failureCount{since: now}
		}
		c.n++
		f.counts[k.key] = c
	}
}

// Succeeded forgets the failures of this user from this address.
func (f *Failures) Succeeded(source netip.Prefix, user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.counts, failureKeys(source, user)[0].key)
}

// makeRoom drops what is over, and if that is little any tenth.
func (f *Failures) makeRoom(now time.Time) {
	for k, c := range f.counts {
		if now.Sub(c.since) >= failureWindow {
			delete(f.counts, k)
		}
	}
	for k := range f.counts {
		if len(f.counts) <= maxFailureCounts*9/10 {
			return
		}
		delete(f.counts, k)
	}
}

type failureBound struct {
	key failureKey
	max int
}

func failureKeys(source netip.Prefix, user string) [3]failureBound {
	user = strings.ToLower(user[:min(len(user), 256)])
	return [3]failureBound{
		{failureKey{source, user}, maxFailuresPair},
		{failureKey{source: source}, maxFailuresIP},
		{failureKey{user: user}, maxFailuresUser},
	}
}
