package continuity

import (
	"context"

	"relais/internal/fault"
	"relais/internal/mail"
)

// Status is all that is told of a domain.
type Status struct {
	Current
	Name      string
	Isolated  bool          // the primary is cut off
	Health    Health        // the primary's, as this node sees it
	Probes    []ProbeStatus // as this node sees them
	Questions []Question
	Return    *ReturnProgress // under way or the last one; nil: there was none
}

// Status tells how a domain is.
func (s *Service) Status(ctx context.Context, domain mail.DomainID) (Status, error) {
	var st Status
	var last Return
	var any bool
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) error {
		d, err := w.Directory.DomainByID(ctx, domain)
		if err != nil {
			return err
		}
		st.Name = d.Name
		if st.Current, err = w.Current(ctx, domain); err != nil {
			return err
		}
		if st.State == Standby && st.Since.IsZero() {
			st.Since = d.CreatedAt
		}
		p, err := w.Directory.Primary(ctx, domain)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		st.Isolated = p.Isolated
		if st.Questions, err = w.Open(ctx, domain); err != nil {
			return err
		}
		last, any, err = w.LastReturn(ctx, domain)
		return err
	})
	if err != nil {
		return st, err
	}
	if any {
		p := s.progress(last)
		st.Return = &p
	}
	st.Probes, st.Health = s.probesOf(domain)
	return st, nil
}

func (s *Service) probesOf(domain mail.DomainID) ([]ProbeStatus, Health) {
	s.running.Lock()
	w := s.watchers[domain]
	s.running.Unlock()
	if w == nil {
		return nil, Unknown
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown, w.judged
}

// Gauge is one number about one primary, for metrics.
type Gauge struct {
	Domain   string
	State    State
	Kind     string  // of the probe
	Up       bool    // the last one succeeded
	Took     float64 // seconds
	Failures int     // in a row
}

// Gauges lists the last probes of all domains that this node watches.
func (s *Service) Gauges() []Gauge {
	s.running.Lock()
	watchers := make([]*watcher, 0, len(s.watchers))
	for _, w := range s.watchers {
		watchers = append(watchers, w)
	}
	s.running.Unlock()
	var out []Gauge
	for _, w := range watchers {
		w.mu.Lock()
		d, shown := w.target.Domain, w.shown
		w.mu.Unlock()
		s.mu.RLock()
		state := Standby
		if c, ok := s.current[d.ID]; ok {
			state = c.State
		}
		s.mu.RUnlock()
		for _, p := range shown {
			out = append(out, Gauge{Domain: d.Name, State: state, Kind: string(p.Kind), Up: p.OK, Took: p.Took, Failures: p.Failures})
		}
	}
	return out
}

// Passages lists the latest passages of a domain, the last first.
func (s *Service) Passages(ctx context.Context, domain mail.DomainID, limit int) ([]Passage, error) {
	var out []Passage
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) (err error) {
		out, err = w.Log(ctx, domain, limit)
		return err
	})
	return out, err
}
