package judge

import (
	"context"
	"sync"
	"time"
)

// How long and how much of the domains' policies is believed without asking
// again: a message must not cost a look into the record for each name in it.
const (
	ownBelieved = 5 * time.Second
	maxOwn      = 10_000
)

// ownCache keeps the policies of domains, those of strangers too.
type ownCache struct {
	mu      sync.Mutex
	entries map[string]ownEntry
}

type ownEntry struct {
	policy OwnMail
	asked  time.Time
}

// ownMail is the policy of a domain, at most ownBelieved old.
func (j *Judge) ownMail(ctx context.Context, domain string) (OwnMail, error) {
	if j.config.Domains == nil {
		return NotOwn, nil
	}
	now := j.config.Clock.Now()
	j.own.mu.Lock()
	e, ok := j.own.entries[domain]
	j.own.mu.Unlock()
	if ok && now.Sub(e.asked) < ownBelieved {
		return e.policy, nil
	}
	policy, err := j.config.Domains.OwnMail(ctx, domain)
	if err != nil {
		return NotOwn, err
	}
	j.own.mu.Lock()
	defer j.own.mu.Unlock()
	if j.own.entries == nil || len(j.own.entries) >= maxOwn {
		j.own.entries = make(map[string]ownEntry)
	}
	j.own.entries[domain] = ownEntry{policy, now}
	return policy, nil
}
