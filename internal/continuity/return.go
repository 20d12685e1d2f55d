package continuity

import (
	"context"
	"time"

	"relais/internal/audit"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Mirror is what a return commands of the merge engine.
type Mirror interface {
	// Rebuilt declares that the primary begins anew. It may be called again; the mirror rests meanwhile.
	Rebuilt(ctx context.Context, domain mail.DomainID, by string) error
	// Drain makes the mirror look at all that the primary may lack. It may be called again.
	Drain(ctx context.Context, domain mail.DomainID) error
	// Progress tells how far the drain that began at since has come.
	Progress(domain mail.DomainID, since time.Time) DrainProgress
	// Settled tells whether no merge of the domain is under way.
	Settled(domain mail.DomainID) bool
}

// DrainProgress is how far a drain has come.
type DrainProgress struct {
	Accounts, Drained int // accounts; those merged whole since it began, with nothing left waiting
	Waiting, Refused  int // messages that wait; items that the primary refuses
	Frozen            int // accounts that wait for a person
}

// Reconciler compares both sides while neither moves, message by message.
type Reconciler interface {
	// Reconcile walks the domain. since is when the outage began whose events are
	// counted; what came or changed here after until is under way to the primary
	// by the normal course, and no difference.
	Reconcile(ctx context.Context, domain mail.DomainID, since, until time.Time) (Reconciliation, error)
}

// Reconciliation is its outcome.
type Reconciliation struct {
	Differences int    // that no refusal explains
	Refused     int    // items that the primary refuses and nobody has accepted
	Report      []byte // signed JSON
	Signature   []byte // empty when Report holds it
}

// ReturnOptions say how a domain is returned.
type ReturnOptions struct {
	Rebuilt bool   // the primary came back empty, or as another one
	Actor   string // who passed the gate
	Gate    string // what was confirmed there, in words
}

// ReturnProgress is how far a return is.
type ReturnProgress struct {
	Phase       Phase
	Rebuilt     bool
	Actor       string
	Drain       DrainProgress // of this node's memory; zero after a restart until the drain goes on
	Rounds      int           // reconciliations so far
	Differences int           // of the last one
	Refused     int           // items that wait for acceptance
	Report      int64         // the last report's number; 0: none
	Words       string        // why it does not go on, "" when it does
	BeganAt     time.Time
	EndedAt     time.Time // zero: under way
	Outcome     string    // Returned or BrokenOff, once it has ended
}

// AwaitsPerson tells whether it goes on only when a person decides something.
func (p ReturnProgress) AwaitsPerson() bool { return p.EndedAt.IsZero() && p.Phase == Accept }

// Return begins to give a domain back and returns at once; the rest goes on by
// itself, also after a restart. A return under way is left as it is, apart from
// Rebuilt, which may be added. A domain in Standby has nothing to return: the
// last return is told. fault.Conflict in Failing and Blind: nothing was switched.
func (s *Service) Return(ctx context.Context, domain mail.DomainID, o ReturnOptions) (ReturnProgress, error) {
	err := s.update(ctx, domain, func(ctx context.Context, w *Work) error {
		d, c, err := s.connected(ctx, w, domain)
		if err != nil {
			return err
		}
		phase := Drain
		if o.Rebuilt {
			phase = Declare
		}
		switch c.State {
		case Standby:
			return nil
		case Failing, Blind:
			return fault.New(fault.Conflict, "%s is %s: nothing was switched, so nothing can be returned", d.Name, c.State)
		case Returning:
			r, ok, err := w.OpenReturn(ctx, domain)
			if err != nil || !ok || r.Rebuilt || !o.Rebuilt {
				return err
			}
			from := r.Phase
			r.Phase, r.Rebuilt = Declare, true
			if err := s.note(ctx, w, domain, o.Actor, "continuity.rebuilt", nil); err != nil {
				return err
			}
			return w.Advance(ctx, r, from)
		}
		if p, err := w.Directory.Primary(ctx, domain); err != nil {
			return err
		} else if p.Isolated {
			if err := isolate(ctx, w, d, false, o.Actor); err != nil {
				return err
			}
		}
		gate := map[string]any{"confirmed": o.Gate, "by": o.Actor, "rebuilt": o.Rebuilt}
		if _, err := w.BeginReturn(ctx, Return{Domain: domain, Actor: o.Actor, Rebuilt: o.Rebuilt, Gate: jsonText(gate), Phase: phase}); err != nil {
			return err
		}
		if o.Rebuilt {
			if err := w.Directory.SetRebuilt(ctx, domain, w.Now); err != nil {
				return err
			}
		}
		return s.passIn(ctx, w, d, Active, []State{Returning}, reasons{cause: "the return was begun", actor: o.Actor, evidence: gate})
	})
	if err != nil {
		return ReturnProgress{}, err
	}
	return s.Progress(ctx, domain)
}

// note writes an act about a domain into the audit log.
func (s *Service) note(ctx context.Context, w *Work, domain mail.DomainID, actor, action string, detail map[string]any) error {
	d, err := w.Directory.DomainByID(ctx, domain)
	if err != nil {
		return err
	}
	_, err = w.Audit.Append(ctx, audit.New{Tenant: d.Tenant, Actor: actor, Action: action, Object: d.Name, Detail: jsonText(detail)})
	return err
}

// Progress tells how far the last return of a domain is; the zero value when there was none.
func (s *Service) Progress(ctx context.Context, domain mail.DomainID) (ReturnProgress, error) {
	var r Return
	var ok bool
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) (err error) {
		r, ok, err = w.LastReturn(ctx, domain)
		return err
	})
	if err != nil || !ok {
		return ReturnProgress{}, err
	}
	return s.progress(r), nil
}

func (s *Service) progress(r Return) ReturnProgress {
	p := ReturnProgress{Phase: r.Phase, Rebuilt: r.Rebuilt, Actor: r.Actor, Rounds: r.Rounds, Differences: r.Differences, Refused: r.Refused,
		Report: r.Report, BeganAt: r.BeganAt, EndedAt: r.EndedAt, Outcome: r.Outcome}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if live, ok := s.draining[r.ID]; ok && r.EndedAt.IsZero() {
		p.Drain, p.Words = live.DrainProgress, live.words
	}
	return p
}

// AcceptReturn takes the refused items of a return as they are, by a person's
// decision. The reconciliation is made once more, and its report names who
// accepted. fault.Conflict when nothing waits for acceptance.
func (s *Service) AcceptReturn(ctx context.Context, domain mail.DomainID, actor string) error {
	return s.update(ctx, domain, func(ctx context.Context, w *Work) error {
		r, ok, err := w.OpenReturn(ctx, domain)
		if err != nil {
			return err
		}
		if !ok || r.Phase != Accept {
			return fault.New(fault.Conflict, "no refused items wait for acceptance")
		}
		people, err := w.Directory.PeopleOfDomain(ctx, domain)
		if err != nil {
			return err
		}
		accepted := int64(0)
		for _, p := range people {
			n, err := w.Link.AcceptRefusals(ctx, p.Account, actor)
			if err != nil {
				return err
			}
			accepted += n
		}
		if err := s.note(ctx, w, domain, actor, "continuity.accept", map[string]any{"refused": accepted, "report": r.Report}); err != nil {
			return err
		}
		if err := w.Settle(ctx, domain, "accept", actor, AskRefused); err != nil {
			return err
		}
		r.Phase, r.Refused = Drain, 0
		return w.Advance(ctx, r, Accept)
	})
}
