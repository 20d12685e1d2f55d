package adminapi

import (
	"context"
	"net/http"
	"time"

	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/outbound"
	"relais/internal/record"
)

// Status is how the node and its domains are.
type Status struct {
	Version string           `json:"version"`
	Now     time.Time        `json:"now"`
	Since   time.Time        `json:"since" doc:"when this node started"`
	Domains []DomainStatus   `json:"domains"`
	Queue   map[string]int64 `json:"queue" doc:"mail for elsewhere by state"`
}

// DomainStatus is how one domain is.
type DomainStatus struct {
	Domain    string           `json:"domain"`
	Org       string           `json:"org"`
	Topology  string           `json:"topology"`
	Failover  string           `json:"failover"`
	State     string           `json:"state" enum:"standby,failing,active,returning,blind"`
	Since     time.Time        `json:"since"`
	Cause     string           `json:"cause,omitempty"`
	Isolated  bool             `json:"isolated,omitempty"`
	Health    string           `json:"health,omitempty" doc:"the primary's, by the probes"`
	Mirror    MirrorStatus     `json:"mirror"`
	Queue     int64            `json:"queue" doc:"messages that the primary has not taken yet"`
	Owed      map[string]int64 `json:"owed" doc:"messages owed to the primary by state"`
	Questions []Question       `json:"questions" doc:"what waits for a person"`
}

func (a *API) statusRoutes() {
	handle(a, http.MethodGet, "/status", "get-status", "How the node and its domains are", a.getStatus)
}

func (a *API) getStatus(ctx context.Context, _ *none) (*body[Status], error) {
	out := &body[Status]{}
	var domains []directory.Domain
	err := a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		out.Body = Status{Version: a.Version, Now: tx.Now, Since: a.started, Domains: []DomainStatus{}, Queue: map[string]int64{}}
		counts, err := tx.Outbound.Count(ctx, 0)
		if err != nil {
			return err
		}
		for _, state := range []outbound.State{outbound.Waiting, outbound.Sending, outbound.Held, outbound.Failed} {
			out.Body.Queue[string(state)] = counts[state]
		}
		if domains, err = tx.Directory.Domains(ctx, 0); err != nil {
			return err
		}
		for _, d := range domains {
			t, err := tx.Directory.TenantByID(ctx, d.Tenant)
			if err != nil {
				return err
			}
			s := DomainStatus{Domain: d.Name, Org: t.Slug, Topology: string(d.Topology), Failover: string(d.Failover), Owed: map[string]int64{}}
			counts, err := tx.Duty.Count(ctx, d.ID)
			if err != nil {
				return err
			}
			for state, n := range counts {
				s.Owed[string(state)] = n
			}
			s.Queue = counts[duty.Owed] + counts[duty.Claimed]
			out.Body.Domains = append(out.Body.Domains, s)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Outside the snapshot: what follows is asked of rooms that open their own.
	for i, d := range domains {
		s := &out.Body.Domains[i]
		st, err := a.Continuity.Standing(ctx, d)
		if err != nil {
			return nil, err
		}
		s.State, s.Since, s.Cause, s.Isolated, s.Health, s.Questions = st.State, st.Since, st.Cause, st.Isolated, st.Health, st.Questions
		s.Mirror = mirrorStatus(a.Mirror.Status(d.ID))
	}
	return out, nil
}
