package intake

import (
	"context"
	"errors"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/mail"
	"relais/internal/smtp"
)

// How long a primary's answer about an address is believed, and how many are
// kept: a stranger who guesses addresses must not fill the memory, nor make of us
// a hammer for the primary.
const (
	yesFor     = 5 * time.Minute
	noFor      = time.Minute
	maxAnswers = 50_000
	asksAtOnce = 16 // questions under way, over all domains
)

// answers remembers what primaries said of addresses. Safe for concurrent use.
type answers struct {
	clock clock.Clock
	slots chan struct{}

	mu    sync.Mutex
	known map[question]answer
}

type question struct {
	domain  mail.DomainID
	address string
}

type answer struct {
	reply *smtp.Reply // nil: taken
	until time.Time
}

func newAnswers(c clock.Clock) *answers {
	return &answers{clock: c, slots: make(chan struct{}, asksAtOnce), known: map[question]answer{}}
}

// ask gives the remembered answer or asks. Answers that are no reply of the
// primary's are not remembered.
func (a *answers) ask(ctx context.Context, domain mail.DomainID, rcpt mail.Address, ask func(context.Context) error) error {
	q := question{domain, rcpt.Key()}
	if reply, ok := a.recall(q); ok {
		if reply == nil {
			return nil
		}
		return reply
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := ask(ctx)
	reply, isReply := errors.AsType[*smtp.Reply](err)
	switch {
	case err == nil:
		a.remember(q, nil, yesFor)
	case isReply && !reply.Temporary():
		a.remember(q, reply, noFor)
	}
	return err
}

func (a *answers) recall(q question) (*smtp.Reply, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	got, ok := a.known[q]
	if !ok || !a.clock.Now().Before(got.until) {
		return nil, false
	}
	return got.reply, true
}

func (a *answers) remember(q question, reply *smtp.Reply, d time.Duration) {
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxAnswers {
		for old, got := range a.known {
			if !now.Before(got.until) {
				delete(a.known, old)
			}
		}
		if len(a.known) >= maxAnswers {
			clear(a.known)
		}
	}
	a.known[q] = answer{reply, now.Add(d)}
}
