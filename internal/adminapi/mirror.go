package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mirror"
	"relais/internal/record"
)

// Mirror keeps a domain in step with its primary.
type Mirror interface {
	Status(domain mail.DomainID) mirror.Status
	// FreezeAccounts stops it by a person's decision.
	FreezeAccounts(ctx context.Context, domain mail.DomainID, by, reason string) error
	Freezes(ctx context.Context, domain mail.DomainID) ([]link.Freeze, error)
	// Decide carries out what a person decided about all that is frozen; fault.NotFound when nothing is.
	Decide(ctx context.Context, domain mail.DomainID, d link.Decision, by string) (int, error)
}

// MirrorStatus is how far a domain's mirror is.
type MirrorStatus struct {
	InStep bool    `json:"in_step" doc:"every account was merged lately and has nothing left"`
	LagS   float64 `json:"lag_s" doc:"seconds that the oldest account is behind"`
	Frozen bool    `json:"frozen" doc:"something waits for a person"`
}

// MirrorDetail is MirrorStatus with its accounts and what is frozen.
type MirrorDetail struct {
	Domain string `json:"domain"`
	MirrorStatus
	Accounts []MirrorAccount `json:"accounts"`
	Freezes  []Freeze        `json:"freezes"`
}

// MirrorAccount is how far one account's mirror is.
type MirrorAccount struct {
	Email   string    `json:"email"`
	Done    time.Time `json:"done,omitzero" doc:"end of the last pass that went through"`
	Waiting int       `json:"waiting" doc:"messages that wait for a relay or for quiet"`
	Refused int       `json:"refused" doc:"items that the primary refused"`
	Error   string    `json:"error,omitempty"`
	Frozen  bool      `json:"frozen"`
	Running bool      `json:"running"`
}

// Freeze is a breaker that tripped, or a person's stop.
type Freeze struct {
	ID       int64           `json:"id"`
	Account  string          `json:"account,omitempty" doc:"address; empty for the whole organisation"`
	At       time.Time       `json:"at"`
	Reason   string          `json:"reason"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
}

// Decided is what became of a decision.
type Decided struct {
	Settled int `json:"settled" doc:"freezes that the decision ended"`
}

// NewFreeze is a person's stop of a mirror.
type NewFreeze struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

func (a *API) mirrorRoutes() {
	handle(a, http.MethodGet, "/domains/{domain}/mirror", "get-mirror", "Show how far a domain's mirror is", a.getMirror)
	handle(a, http.MethodPost, "/domains/{domain}/mirror/freeze", "freeze-mirror", "Stop a domain's mirror", a.freezeMirror)
	for _, d := range []link.Decision{link.Resume, link.Accept, link.Refuse} {
		handle(a, http.MethodPost, "/domains/{domain}/mirror/"+string(d), string(d)+"-mirror", "Decide about what is frozen: "+string(d), a.decideMirror(d))
	}
}

// domain finds a domain by name, outside any transaction.
func (a *API) domain(ctx context.Context, name string) (d directory.Domain, err error) {
	err = a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err = tx.Directory.Domain(ctx, name)
		return err
	})
	return d, err
}

func mirrorStatus(s mirror.Status) MirrorStatus {
	return MirrorStatus{InStep: s.InStep, LagS: s.Lag.Seconds(), Frozen: s.Frozen}
}

func (a *API) getMirror(ctx context.Context, in *DomainPath) (*body[MirrorDetail], error) {
	d, err := a.domain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	freezes, err := a.Mirror.Freezes(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	s := a.Mirror.Status(d.ID)
	out := &body[MirrorDetail]{MirrorDetail{Domain: d.Name, MirrorStatus: mirrorStatus(s), Accounts: []MirrorAccount{}, Freezes: []Freeze{}}}
	emails := map[mail.AccountID]string{}
	for _, acc := range s.Accounts {
		emails[acc.Account] = acc.Email
		out.Body.Accounts = append(out.Body.Accounts, MirrorAccount{Email: acc.Email, Done: acc.Done, Waiting: acc.Waiting,
			Refused: acc.Refused, Error: acc.Error, Frozen: acc.Frozen, Running: acc.Running})
	}
	for _, f := range freezes {
		out.Body.Freezes = append(out.Body.Freezes, Freeze{f.ID, emails[f.Account], f.At, f.Reason, json.RawMessage(f.Evidence)})
	}
	out.Body.Frozen = out.Body.Frozen || len(freezes) > 0
	return out, nil
}

func (a *API) freezeMirror(ctx context.Context, in *struct {
	DomainPath
	Body NewFreeze
}) (*body[MirrorDetail], error) {
	d, err := a.domain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	reason := in.Body.Reason
	if reason == "" {
		reason = "stopped by " + actor(ctx)
	}
	if err := a.Mirror.FreezeAccounts(ctx, d.ID, actor(ctx), reason); err != nil {
		return nil, err
	}
	return a.getMirror(ctx, &in.DomainPath)
}

func (a *API) decideMirror(decision link.Decision) func(context.Context, *DomainPath) (*body[Decided], error) {
	return func(ctx context.Context, in *DomainPath) (*body[Decided], error) {
		d, err := a.domain(ctx, in.Domain)
		if err != nil {
			return nil, err
		}
		n, err := a.Mirror.Decide(ctx, d.ID, decision, actor(ctx))
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.NotFound, "nothing is frozen in %s", d.Name)
		}
		return &body[Decided]{Decided{n}}, err
	}
}
