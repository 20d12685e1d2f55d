package mirror

import (
	"context"
	"encoding/json"
	"time"

	"relais/internal/audit"
	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/record"
)

// Status is what people are told of a domain's mirror.
type Status struct {
	InStep   bool          // every account was merged lately and has nothing left
	Lag      time.Duration // the oldest account's time since its last whole pass
	Frozen   bool
	Accounts []AccountStatus
}

// AccountStatus is what people are told of one account's mirror.
type AccountStatus struct {
	Account mail.AccountID
	Email   string
	Done    time.Time // end of the last pass that went through; zero: none since the start
	Waiting int       // messages that wait for a relay or for quiet
	Refused int       // items that the primary refused in the last pass
	// Expunges are messages deleted here that the primary could only mark as
	// deleted: pending expunge.
	Expunges int
	Error    string // why the last pass did not go through
	Frozen   bool
	Running  bool
}

// Status tells how far the mirror of a domain is.
func (s *Service) Status(domain mail.DomainID) Status {
	st := Status{InStep: true}
	r := s.runner(domain)
	if r == nil {
		return Status{}
	}
	now := s.Clock.Now()
	r.each(func(a *accountRunner) {
		state := a.snapshot()
		row := AccountStatus{Account: a.account.ID, Email: a.account.Email, Done: state.done,
			Waiting: state.waiting, Refused: state.refused, Expunges: state.expunges, Running: state.running}
		since := state.done
		if since.IsZero() {
			since = a.started
		}
		if state.err != nil {
			row.Error, row.Frozen = fault.Public(state.err), fault.Is(state.err, fault.Frozen)
		}
		st.Frozen = st.Frozen || row.Frozen
		// A pass that comes round in time is no lag, however long ago it was by the clock.
		if lag := now.Sub(since); lag > st.Lag && (state.err != nil || state.done.IsZero() || lag > 2*s.Every) {
			st.Lag = lag
		}
		st.InStep = st.InStep && !state.done.IsZero() && state.err == nil && state.refused == 0
		st.Accounts = append(st.Accounts, row)
	})
	return st
}

// Settled tells whether no pass of the domain is under way.
func (s *Service) Settled(domain mail.DomainID) bool {
	settled := true
	if r := s.runner(domain); r != nil {
		r.each(func(a *accountRunner) { settled = settled && !a.snapshot().running })
	}
	return settled
}

// Kick makes every account of a domain look at once.
func (s *Service) Kick(domain mail.DomainID) {
	if r := s.runner(domain); r != nil {
		r.each((*accountRunner).kick)
	}
}

// Rebuilt declares that a domain's primary begins anew: the base is closed, what
// the breaker stopped over its emptiness is settled, and all that is here will be put there.
func (s *Service) Rebuilt(ctx context.Context, domain mail.DomainID, by string) error {
	err := s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.DomainByID(ctx, domain)
		if err != nil {
			return err
		}
		people, err := tx.Directory.PeopleOfDomain(ctx, domain)
		if err != nil {
			return err
		}
		freezes, err := tx.Link.OpenFreezes(ctx, d.Tenant)
		if err != nil {
			return err
		}
		mine := map[mail.AccountID]bool{0: true}
		for _, p := range people {
			mine[p.Account] = true
			if err := tx.Link.Rebuilt(ctx, p.Account); err != nil {
				return err
			}
		}
		for _, f := range freezes {
			if mine[f.Account] {
				if err := tx.Link.Decide(ctx, f.ID, link.Resume, by); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		s.Kick(domain)
	}
	return err
}

// Drain makes the next pass of every account look at all that has no counterpart at the primary.
func (s *Service) Drain(ctx context.Context, domain mail.DomainID) error {
	err := s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		people, err := tx.Directory.PeopleOfDomain(ctx, domain)
		for _, p := range people {
			if err := tx.Link.LookAtAll(ctx, p.Account); err != nil {
				return err
			}
		}
		return err
	})
	if err == nil {
		s.Kick(domain)
	}
	return err
}

// Progress is how far a drain has come.
type Progress struct {
	Accounts, Drained int // accounts; those whose last pass began after the drain and left nothing waiting
	Waiting, Refused  int // messages
	Frozen            int // accounts
}

// Progress tells how far the drain that began at since has come.
func (s *Service) Progress(domain mail.DomainID, since time.Time) Progress {
	var p Progress
	r := s.runner(domain)
	if r == nil {
		return p
	}
	r.each(func(a *accountRunner) {
		state := a.snapshot()
		p.Accounts++
		p.Waiting += state.waiting
		p.Refused += state.refused
		if state.err != nil && fault.Is(state.err, fault.Frozen) {
			p.Frozen++
		}
		if state.begun.After(since) && state.err == nil && state.waiting == 0 {
			p.Drained++
		}
	})
	return p
}

// FreezeAccounts stops the mirror of a domain by a person's decision. Freezing
// the whole tenant would stop its other domains as well, so each account is frozen.
func (s *Service) FreezeAccounts(ctx context.Context, domain mail.DomainID, by, reason string) error {
	return s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.DomainByID(ctx, domain)
		if err != nil {
			return err
		}
		people, err := tx.Directory.PeopleOfDomain(ctx, domain)
		if err != nil {
			return err
		}
		for _, p := range people {
			if err := tx.Link.AddFreeze(ctx, link.NewFreeze{Tenant: d.Tenant, Account: p.Account, Reason: reason,
				Evidence: map[string]any{"by": by}}); err != nil {
				return err
			}
		}
		return note(ctx, tx, d.Tenant, by, "mirror.freeze", d.Name, map[string]any{"reason": reason})
	})
}

// Freezes lists what waits for a decision in a domain.
func (s *Service) Freezes(ctx context.Context, domain mail.DomainID) ([]link.Freeze, error) {
	var out []link.Freeze
	err := s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		out, err = freezesOf(ctx, tx, domain)
		return err
	})
	return out, err
}

func freezesOf(ctx context.Context, tx *record.Tx, domain mail.DomainID) ([]link.Freeze, error) {
	d, err := tx.Directory.DomainByID(ctx, domain)
	if err != nil {
		return nil, err
	}
	people, err := tx.Directory.PeopleOfDomain(ctx, domain)
	if err != nil {
		return nil, err
	}
	mine := map[mail.AccountID]bool{0: true}
	for _, p := range people {
		mine[p.Account] = true
	}
	all, err := tx.Link.OpenFreezes(ctx, d.Tenant)
	var out []link.Freeze
	for _, f := range all {
		if mine[f.Account] {
			out = append(out, f)
		}
	}
	return out, err
}

// Decide carries a person's decision about everything that is frozen in a domain,
// and tells how many freezes it settled. fault.NotFound when nothing is frozen.
func (s *Service) Decide(ctx context.Context, domain mail.DomainID, d link.Decision, by string) (int, error) {
	n := 0
	err := s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		n = 0
		freezes, err := freezesOf(ctx, tx, domain)
		if err != nil {
			return err
		}
		if len(freezes) == 0 {
			return fault.New(fault.NotFound, "nothing is frozen")
		}
		for _, f := range freezes {
			if err := tx.Link.Decide(ctx, f.ID, d, by); err != nil {
				return err
			}
			n++
		}
		return note(ctx, tx, freezes[0].Tenant, by, "mirror."+string(d), "", map[string]any{"freezes": n})
	})
	if err == nil {
		s.Kick(domain)
	}
	return n, err
}

// note writes an act into the audit log.
func note(ctx context.Context, tx *record.Tx, tenant mail.TenantID, actor, action, object string, detail map[string]any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = tx.Audit.Append(ctx, audit.New{Tenant: tenant, Actor: actor, Action: action, Object: object, Detail: string(text)})
	return err
}
