package continuity

import (
	"context"
	"fmt"
	"time"

	"relais/internal/fault"
	"relais/internal/mail"
)

// draining is what this node knows of a return that it carries out.
type draining struct {
	DrainProgress
	words string
}

// giveBack carries a return out, step by step, until it has ended. Where it
// stands is in the record, so it goes on wherever a crash left it. signal wakes
// it when something about returns changed.
func (s *Service) giveBack(ctx context.Context, domain mail.DomainID, signal <-chan struct{}) {
	failures := 0
	for ctx.Err() == nil {
		r, ok, err := s.openReturn(ctx, domain)
		if err == nil && !ok {
			return
		}
		if err == nil {
			err = s.step(ctx, r, signal)
		}
		switch {
		case err == nil, fault.Is(err, fault.Conflict): // another node, or a person, was first: look again
			failures = 0
			continue
		case ctx.Err() != nil:
			return
		}
		s.say(r.ID, fault.Public(err))
		s.Log.Warn("give a domain back", "domain", r.Domain, "phase", r.Phase, "err", err)
		pause(ctx, nil, retryPause(failures))
		failures++
	}
}

func (s *Service) openReturn(ctx context.Context, domain mail.DomainID) (r Return, ok bool, err error) {
	err = s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) error {
		r, ok, err = w.OpenReturn(ctx, domain)
		return err
	})
	return r, ok, err
}

// pause waits, for a signal at most.
func pause(ctx context.Context, signal <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-signal:
	case <-timer.C:
	}
}

func (s *Service) step(ctx context.Context, r Return, signal <-chan struct{}) error {
	switch r.Phase {
	case Declare:
		return s.declare(ctx, r)
	case Drain:
		return s.drain(ctx, r, signal)
	case Reconcile:
		return s.compare(ctx, r)
	case Accept:
		return s.await(ctx, r, signal)
	}
	return fault.New(fault.Internal, "a return in phase %q", r.Phase)
}

// declare declares the primary rebuilt. The mirror rests until the next phase is
// in the record, so that a crash in between only declares it again.
func (s *Service) declare(ctx context.Context, r Return) error {
	if err := s.settle(ctx, r.Domain); err != nil {
		return err
	}
	if err := s.Mirror.Rebuilt(ctx, r.Domain, r.Actor); err != nil {
		return err
	}
	r.Phase = Drain
	return s.advance(ctx, r, Declare)
}

func (s *Service) advance(ctx context.Context, r Return, from Phase) error {
	return s.update(ctx, r.Domain, func(ctx context.Context, w *Work) error { return w.Advance(ctx, r, from) })
}

// settle waits until no merge runs that began before the mirror was to rest.
func (s *Service) settle(ctx context.Context, domain mail.DomainID) error {
	for !s.Mirror.Settled(domain) {
		pause(ctx, nil, s.PollEvery/5)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// drain lets the mirror bring the primary what it lacks, until every account was
// merged whole since its beginning. After a reconciliation that found
// differences it gives the mirror more time each round.
func (s *Service) drain(ctx context.Context, r Return, signal <-chan struct{}) error {
	r.DrainAt = s.Clock.Now()
	if r.Differences > 0 {
		pause(ctx, nil, retryPause(r.Rounds-1))
		r.DrainAt = s.Clock.Now()
	}
	people, err := s.countPeople(ctx, r.Domain)
	if err != nil {
		return err
	}
	if err := s.Mirror.Drain(ctx, r.Domain); err != nil {
		return err
	}
	for {
		now, ok, err := s.openReturn(ctx, r.Domain)
		if err != nil {
			return err
		}
		if !ok || now.Phase != Drain {
			return nil // broken off, or declared rebuilt meanwhile
		}
		p := s.Mirror.Progress(r.Domain, r.DrainAt)
		s.tell(r.ID, p)
		if p.Drained >= p.Accounts && p.Accounts >= people {
			r.Phase = Reconcile
			return s.advance(ctx, r, Drain)
		}
		if pause(ctx, signal, s.PollEvery); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (s *Service) countPeople(ctx context.Context, domain mail.DomainID) (n int, err error) {
	err = s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) error {
		people, err := w.Directory.PeopleOfDomain(ctx, domain)
		n = len(people)
		return err
	})
	return n, err
}

// roundsBeforeAsking is how many reconciliations may find differences that the
// next drain mends before people are told.
const roundsBeforeAsking = 3

// compare reconciles while the mirror rests, keeps the signed report, and
// decides: standby, another drain, or a question.
func (s *Service) compare(ctx context.Context, r Return) error {
	if err := s.settle(ctx, r.Domain); err != nil {
		return err
	}
	c, _, _, err := s.standing(ctx, r.Domain)
	if err != nil {
		return err
	}
	found, err := s.Reconciler.Reconcile(ctx, r.Domain, c.OutageAt, r.DrainAt)
	if fault.Is(err, fault.Unavailable) {
		// The primary went away again: the mirror goes on trying.
		r.Phase = Drain
		if err := s.advance(ctx, r, Reconcile); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return s.update(ctx, r.Domain, func(ctx context.Context, w *Work) error { return s.conclude(ctx, w, r, found) })
}

func (s *Service) conclude(ctx context.Context, w *Work, r Return, found Reconciliation) error {
	d, c, err := s.connected(ctx, w, r.Domain)
	if err != nil {
		return err
	}
	if c.State != Returning {
		return fault.New(fault.Conflict, "the return was broken off")
	}
	r.Report, err = w.AddReport(ctx, Report{Domain: r.Domain, Kind: "return", JSON: found.Report, Signature: found.Signature})
	if err != nil {
		return err
	}
	r.Rounds++
	r.Differences, r.Refused = found.Differences, found.Refused
	evidence := map[string]any{"report": r.Report, "rounds": r.Rounds, "differences": r.Differences, "refused": r.Refused, "rebuilt": r.Rebuilt}
	switch {
	case r.Differences > 0:
		r.Phase = Drain
		if r.Rounds >= roundsBeforeAsking {
			err = s.ask(ctx, w, d, inquiry{AskDifferences, fmt.Sprintf("after %d reconciliations %d differences remain between relais and the primary of %s",
				r.Rounds, r.Differences, d.Name), evidence})
		}
	case r.Refused > 0:
		r.Phase = Accept
		err = s.ask(ctx, w, d, inquiry{AskRefused, fmt.Sprintf("%d items that the primary of %s refuses wait for acceptance", r.Refused, d.Name), evidence})
	default:
		r.EndedAt, r.Outcome = w.Now, Returned
		err = s.passIn(ctx, w, d, Returning, []State{Standby}, reasons{cause: "everything is at the primary", actor: Self, evidence: evidence})
	}
	if err != nil {
		return err
	}
	return w.Advance(ctx, r, Reconcile)
}

// askedEvery is how long a return waits for a person before it looks by itself
// whether the primary still refuses.
const askedEvery = 10 * time.Minute

// await waits for a person to accept what the primary refuses, while the mirror
// goes on. When fewer items are refused, or after a while, it drains again.
func (s *Service) await(ctx context.Context, r Return, signal <-chan struct{}) error {
	s.say(r.ID, fmt.Sprintf("%d refused items wait for acceptance: relais return accept", r.Refused))
	until := time.Now().Add(askedEvery)
	look := max(s.PollEvery, time.Second)
	refused := s.Mirror.Progress(r.Domain, r.DrainAt).Refused
	for time.Now().Before(until) {
		pause(ctx, signal, look)
		if err := ctx.Err(); err != nil {
			return err
		}
		now, ok, err := s.openReturn(ctx, r.Domain)
		if err != nil || !ok || now.Phase != Accept {
			return err
		}
		p := s.Mirror.Progress(r.Domain, r.DrainAt)
		if p.Accounts > 0 && p.Drained == p.Accounts && p.Refused < refused {
			break
		}
		refused = max(refused, p.Refused)
	}
	r.Phase = Drain
	return s.advance(ctx, r, Accept)
}

// tell notes how far a drain is, for those who look.
func (s *Service) tell(id int64, p DrainProgress) {
	words := ""
	if p.Frozen > 0 {
		words = fmt.Sprintf("%d accounts are frozen: relais mirror accept, refuse or resume", p.Frozen)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining[id] = draining{p, words}
}

// say notes why a return does not go on.
func (s *Service) say(id int64, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.draining[id]
	d.words = words
	s.draining[id] = d
}

// retryPause is the wait before what failed is tried again: doubled each time, at most a minute.
func retryPause(n int) time.Duration {
	return min(time.Second<<min(n, 6), time.Minute)
}
