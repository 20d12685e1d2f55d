package app

import (
	"context"
	"encoding/json"
	"time"

	"relais/internal/adminapi"
	"relais/internal/config"
	"relais/internal/continuity"
	"relais/internal/directory"
	"relais/internal/mail"
	"relais/internal/mirror"
	"relais/internal/mirror/merge"
)

// continuityDoor is continuity as the administrators' door sees it.
type continuityDoor struct{ *continuity.Service }

var _ adminapi.Continuity = continuityDoor{}

// Standing is where a domain stands.
func (c continuityDoor) Standing(ctx context.Context, d directory.Domain) (adminapi.Standing, error) {
	st, err := c.Status(ctx, d.ID)
	if err != nil {
		return adminapi.Standing{}, err
	}
	out := adminapi.Standing{
		Domain: d.Name, State: string(st.State), Since: st.Since, Cause: st.Cause, Actor: st.Actor, Isolated: st.Isolated,
		Health: healthOf(st.Probes), Questions: []adminapi.Question{},
	}
	for _, q := range st.Questions {
		out.Questions = append(out.Questions, adminapi.Question{ID: q.ID, At: q.At, Kind: string(q.Kind), Text: q.Text, Answers: q.Answers()})
	}
	if r := st.Return; r != nil {
		out.Return = &adminapi.ReturnedSoFar{
			Rebuilt: r.Rebuilt, Phase: string(r.Phase), Began: r.BeganAt, Ended: r.EndedAt, Outcome: r.Outcome, Words: r.Words,
			Accounts: r.Drain.Accounts, Drained: r.Drain.Drained, Waiting: r.Drain.Waiting, Differences: r.Differences, Refused: r.Refused,
		}
	}
	return out, nil
}

// healthOf is the worst of what the probes say.
func healthOf(probes []continuity.ProbeStatus) string {
	worst := ""
	rank := map[string]int{"well": 1, "unknown": 2, "doubtful": 3, "dead": 4}
	for _, p := range probes {
		if rank[p.Health] > rank[worst] {
			worst = p.Health
		}
	}
	return worst
}

// Failover puts Relais in charge.
func (c continuityDoor) Failover(ctx context.Context, d directory.Domain, by string, isolate bool) error {
	_, err := c.Service.Failover(ctx, d.ID, continuity.FailoverOptions{Actor: by, Isolate: isolate})
	return err
}

// Return begins to give everything back.
func (c continuityDoor) Return(ctx context.Context, d directory.Domain, by string, rebuilt bool) error {
	_, err := c.Service.Return(ctx, d.ID, continuity.ReturnOptions{Rebuilt: rebuilt, Actor: by, Gate: "the domain's name was given"})
	return err
}

// Plan tells what a return would do.
func (c continuityDoor) Plan(ctx context.Context, d directory.Domain, rebuilt bool) (adminapi.ReturnPlan, error) {
	p, err := c.Service.Plan(ctx, d.ID, rebuilt)
	out := adminapi.ReturnPlan{Domain: d.Name, State: string(p.State), Rebuilt: rebuilt, Accounts: len(p.Accounts),
		Append: int64(p.Append), Owed: int64(p.Owed), Changes: int64(p.Changes), Obstacles: p.Obstacles}
	if out.Obstacles == nil {
		out.Obstacles = []string{}
	}
	return out, err
}

// AcceptRefused accepts what the primary will not take.
func (c continuityDoor) AcceptRefused(ctx context.Context, d directory.Domain, by string) error {
	return c.AcceptReturn(ctx, d.ID, by)
}

// Passages lists the latest passages.
func (c continuityDoor) Passages(ctx context.Context, d directory.Domain, limit int) ([]adminapi.Passage, error) {
	list, err := c.Service.Passages(ctx, d.ID, limit)
	out := []adminapi.Passage{}
	for _, p := range list {
		out = append(out, adminapi.Passage{At: p.At, From: string(p.From), To: string(p.To), Cause: p.Cause, Actor: p.Actor, Evidence: json.RawMessage(p.Evidence)})
	}
	return out, err
}

// gate tells the mirror what continuity lets it do.
type gate struct{ *continuity.Service }

// Mode is what the mirror may do for a domain at this moment.
func (g gate) Mode(ctx context.Context, domain mail.DomainID) (mirror.Mode, error) {
	m, err := g.Service.Mode(ctx, domain)
	out := mirror.Mode{Pull: m.Pull, Push: m.Push, Appends: m.Appends, Lead: merge.PrimaryLeads}
	if m.StandbyLeads {
		out.Lead = merge.StandbyLeads
	}
	return out, err
}

// Frozen tells people that the mirror waits for them.
func (g gate) Frozen(ctx context.Context, f mirror.Frozen) {
	g.Service.Frozen(ctx, continuity.Frozen{Tenant: f.Tenant, Account: f.Account, Email: f.Email, Reason: f.Reason})
}

// mirrorForReturn is the mirror as a return commands it. It is filled after
// continuity was made, since the mirror itself asks continuity what it may do.
type mirrorForReturn struct{ *mirror.Service }

// Progress tells how far the drain that began at since has come.
func (m *mirrorForReturn) Progress(domain mail.DomainID, since time.Time) continuity.DrainProgress {
	p := m.Service.Progress(domain, since)
	return continuity.DrainProgress{Accounts: p.Accounts, Drained: p.Drained, Waiting: p.Waiting, Refused: p.Refused, Frozen: p.Frozen}
}

// Settled tells whether no merge of the domain is under way.
func (m *mirrorForReturn) Settled(domain mail.DomainID) bool {
	for _, a := range m.Status(domain).Accounts {
		if a.Running {
			return false
		}
	}
	return true
}

// breaker is the configuration in the mirror's terms.
func breaker(b config.Breaker) mirror.Breaker {
	return mirror.Breaker{
		Hour: b.AccountMessages, Week: b.AccountMessages,
		HourShare: float64(b.AccountHourPercent) / 100, WeekShare: float64(b.AccountWeekPercent) / 100,
		TenantHour: b.TenantMessages, TenantShare: float64(b.TenantHourPercent) / 100,
	}
}
