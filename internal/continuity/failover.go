package continuity

import (
	"cmp"
	"context"
	"encoding/json"

	"relais/internal/audit"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
)

// FailoverOptions say how a domain is switched by a person.
type FailoverOptions struct {
	Actor  string
	Reason string // "": decided by a person
	// Isolate cuts a hostile primary off: no pull, no push, no relay, no probes, until a return begins.
	Isolate bool
}

// Failover puts Relais in charge of a domain by a person's decision, whatever
// the probes say; a return under way is broken off. A domain that is active
// stays so. fault.NotFound for a domain without a primary.
func (s *Service) Failover(ctx context.Context, domain mail.DomainID, o FailoverOptions) (Current, error) {
	var out Current
	err := s.update(ctx, domain, func(ctx context.Context, w *Work) error {
		d, c, err := s.connected(ctx, w, domain)
		if err != nil {
			return err
		}
		if o.Isolate {
			if err := isolate(ctx, w, d, true, o.Actor); err != nil {
				return err
			}
		}
		if out = c; c.State == Active {
			return nil
		}
		r := reasons{cause: cmp.Or(o.Reason, "decided by a person"), actor: o.Actor,
			evidence: map[string]any{"was": c.State, "because": c.Cause, "isolated": o.Isolate}}
		switch c.State {
		case Failing, Blind:
			r.outage = c.Since
		case Returning:
			r.outage = c.OutageAt // still the same outage: nothing of it was proven to be back
			if err := breakOff(ctx, w, domain); err != nil {
				return err
			}
		}
		if err := s.passIn(ctx, w, d, c.State, []State{Active}, r); err != nil {
			return err
		}
		out, err = w.Current(ctx, domain)
		return err
	})
	return out, err
}

// isolate cuts the primary off, or connects it again.
func isolate(ctx context.Context, w *Work, d directory.Domain, on bool, actor string) error {
	if err := w.Directory.SetIsolated(ctx, d.ID, on); err != nil {
		return err
	}
	_, err := w.Audit.Append(ctx, audit.New{Tenant: d.Tenant, Actor: actor, Action: "continuity.isolate", Object: d.Name,
		Detail: jsonText(map[string]any{"isolated": on})})
	return err
}

func breakOff(ctx context.Context, w *Work, domain mail.DomainID) error {
	r, ok, err := w.OpenReturn(ctx, domain)
	if err != nil || !ok {
		return err
	}
	from := r.Phase
	r.EndedAt, r.Outcome = w.Now, BrokenOff
	return w.Advance(ctx, r, from)
}

// connected is a domain that has a primary, and where it stands.
func (s *Service) connected(ctx context.Context, w *Work, domain mail.DomainID) (directory.Domain, Current, error) {
	d, err := w.Directory.DomainByID(ctx, domain)
	if err != nil {
		return d, Current{}, err
	}
	if _, err := w.Directory.Primary(ctx, domain); err != nil {
		if fault.Is(err, fault.NotFound) {
			return d, Current{}, fault.New(fault.NotFound, "%s has no primary", d.Name)
		}
		return d, Current{}, err
	}
	c, err := w.Current(ctx, domain)
	return d, c, err
}

// Questions lists the open questions of a domain (0: of all).
func (s *Service) Questions(ctx context.Context, domain mail.DomainID) ([]Question, error) {
	var out []Question
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) (err error) {
		out, err = w.Open(ctx, domain)
		return err
	})
	return out, err
}

// Answer carries out what a person decided. fault.NotFound, fault.Conflict when
// the question was answered already, fault.Invalid for an answer that it does not have.
func (s *Service) Answer(ctx context.Context, id int64, answer, actor string) error {
	var q Question
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) (err error) {
		q, err = w.Question(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	if !q.AnsweredAt.IsZero() {
		return fault.New(fault.Conflict, "the question was answered %q by %s", q.Answer, q.AnsweredBy)
	}
	if !allowed(q, answer) {
		return fault.New(fault.Invalid, "answer %q: want one of %v", answer, q.Answers())
	}
	switch {
	case q.Kind == AskFailover && answer == "switch":
		_, err := s.Failover(ctx, q.Domain, FailoverOptions{Actor: actor, Reason: "the question was answered"})
		return err
	case q.Kind == AskRefused && answer == "accept":
		return s.AcceptReturn(ctx, q.Domain, actor)
	}
	return s.update(ctx, q.Domain, func(ctx context.Context, w *Work) error {
		if q.Kind == AskCertificate && answer == "trust" {
			if err := trust(ctx, w, q); err != nil {
				return err
			}
		}
		if err := s.note(ctx, w, q.Domain, actor, "continuity.answer", map[string]any{"question": q.Kind, "answer": answer}); err != nil {
			return err
		}
		return w.Settle(ctx, q.Domain, answer, actor, q.Kind)
	})
}

func allowed(q Question, answer string) bool {
	for _, a := range q.Answers() {
		if a == answer {
			return true
		}
	}
	return false
}

// trust pins the key that the question is about.
func trust(ctx context.Context, w *Work, q Question) error {
	var seen struct{ Probe, Pin string }
	if err := json.Unmarshal([]byte(q.Evidence), &seen); err != nil || seen.Pin == "" {
		return fault.Wrap(err, fault.Internal, "the question's evidence names no key")
	}
	p, err := w.Directory.Primary(ctx, q.Domain)
	if err != nil {
		return err
	}
	if seen.Probe == "imap" {
		p.PinIMAP = seen.Pin
	} else {
		p.PinSMTP = seen.Pin
	}
	w.Touched.Topic("directory")
	return w.Directory.SetPins(ctx, q.Domain, p.PinIMAP, p.PinSMTP)
}
