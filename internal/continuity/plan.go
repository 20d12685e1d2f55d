package continuity

import (
	"context"
	"fmt"

	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/mail"
)

// Plan is what a return would do, as far as the record tells without asking the primary.
type Plan struct {
	Domain    string
	State     State
	Rebuilt   bool
	Append    int // messages that the primary lacks
	Owed      int // of these, messages that arrived and were never handed over
	Changes   int // events here that the primary has not heard of
	Accounts  []PlanAccount
	Obstacles []string // what keeps a return from beginning or ending
}

// PlanAccount is the part of a Plan about one person.
type PlanAccount struct {
	Email   string
	Append  int
	Changes int
	Refused int // items that the primary refused until now
}

// Plan tells what a return would do. Nothing is changed.
func (s *Service) Plan(ctx context.Context, domain mail.DomainID, rebuilt bool) (Plan, error) {
	var out Plan
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) error {
		d, c, err := s.connected(ctx, w, domain)
		if err != nil {
			return err
		}
		out = Plan{Domain: d.Name, State: c.State, Rebuilt: rebuilt}
		owed, err := w.Duty.Count(ctx, domain)
		if err != nil {
			return err
		}
		out.Owed = int(owed[duty.Owed] + owed[duty.Claimed])
		people, err := w.Directory.PeopleOfDomain(ctx, domain)
		if err != nil {
			return err
		}
		for _, p := range people {
			a, err := planAccount(ctx, w, p, rebuilt)
			if err != nil {
				return err
			}
			out.Append += a.Append
			out.Changes += a.Changes
			out.Accounts = append(out.Accounts, a)
			if err := obstacles(ctx, w, &out, d, p); err != nil {
				return err
			}
		}
		if c.State == Failing || c.State == Blind || c.State == Standby {
			out.Obstacles = append(out.Obstacles, fmt.Sprintf("%s is %s: nothing was switched", d.Name, c.State))
		}
		return nil
	})
	return out, err
}

func planAccount(ctx context.Context, w *Work, p directory.Person, rebuilt bool) (PlanAccount, error) {
	a := PlanAccount{Email: p.Email}
	account, err := w.Mailbox.Account(ctx, p.Account)
	if err != nil {
		return a, err
	}
	merged, err := w.Link.State(ctx, p.Account)
	if err != nil {
		return a, err
	}
	a.Changes = int(account.Modseq - min(merged.MergedModseq, account.Modseq))
	if a.Append, err = w.Mailbox.CountLive(ctx, p.Account); err != nil {
		return a, err
	}
	if !rebuilt {
		unlinked, err := w.Link.Unlinked(ctx, p.Account)
		if err != nil {
			return a, err
		}
		a.Append = len(unlinked)
	}
	refused, err := w.Link.Refusals(ctx, p.Account)
	a.Refused = len(refused)
	return a, err
}

// obstacles notes an account that is frozen: its mirror waits for a person.
func obstacles(ctx context.Context, w *Work, plan *Plan, d directory.Domain, p directory.Person) error {
	f, err := w.Link.Freeze(ctx, d.Tenant, p.Account)
	if err != nil {
		return err
	}
	if f.Open() && !plan.Rebuilt { // declaring the primary rebuilt settles it
		plan.Obstacles = append(plan.Obstacles, fmt.Sprintf("the mirror of %s is frozen: %s", p.Email, f.Reason))
	}
	return nil
}
