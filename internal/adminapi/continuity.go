package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"relais/internal/directory"
)

// Continuity knows who is in charge of a domain's mail, and changes it.
type Continuity interface {
	Standing(ctx context.Context, d directory.Domain) (Standing, error)
	// Failover puts Relais in charge; with isolate the primary is cut off.
	Failover(ctx context.Context, d directory.Domain, by string, isolate bool) error
	// Return begins to give everything back. It goes on by itself.
	Return(ctx context.Context, d directory.Domain, by string, rebuilt bool) error
	// Plan tells what Return would do.
	Plan(ctx context.Context, d directory.Domain, rebuilt bool) (ReturnPlan, error)
	// AcceptRefused accepts what the primary will not take, so that a return can end.
	AcceptRefused(ctx context.Context, d directory.Domain, by string) error
	// Passages lists the latest passages, the last first.
	Passages(ctx context.Context, d directory.Domain, limit int) ([]Passage, error)
}

// Standing is where a domain stands.
type Standing struct {
	Domain    string         `json:"domain"`
	State     string         `json:"state" enum:"standby,failing,active,returning,blind"`
	Since     time.Time      `json:"since"`
	Cause     string         `json:"cause,omitempty"`
	Actor     string         `json:"actor,omitempty" doc:"who caused it"`
	Isolated  bool           `json:"isolated,omitempty"`
	Health    string         `json:"health,omitempty" doc:"the primary's, by the probes: well, doubtful, dead or unknown"`
	Questions []Question     `json:"questions" doc:"what waits for a person"`
	Return    *ReturnedSoFar `json:"return,omitempty" doc:"the last return, under way or ended"`
}

// Question waits for a person's decision.
type Question struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Text    string    `json:"text"`
	Answers []string  `json:"answers"`
}

// ReturnedSoFar is how far a return is.
type ReturnedSoFar struct {
	Rebuilt     bool      `json:"rebuilt"`
	Phase       string    `json:"phase" enum:"declare,drain,reconcile,accept"`
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended,omitzero"`
	Outcome     string    `json:"outcome,omitempty"`
	Words       string    `json:"words,omitempty" doc:"why it does not go on"`
	Accounts    int       `json:"accounts"`
	Drained     int       `json:"drained" doc:"accounts that lack nothing at the primary"`
	Waiting     int       `json:"waiting" doc:"messages still to bring"`
	Differences int       `json:"differences" doc:"that the last reconciliation found"`
	Refused     int       `json:"refused" doc:"items that the primary refuses and nobody accepted"`
}

// ReturnPlan is what a return would do.
type ReturnPlan struct {
	Domain    string   `json:"domain"`
	State     string   `json:"state"`
	Rebuilt   bool     `json:"rebuilt"`
	Accounts  int      `json:"accounts"`
	Append    int64    `json:"append" doc:"messages that the primary lacks by what is known here"`
	Owed      int64    `json:"owed" doc:"of these, messages that arrived and were never handed over"`
	Changes   int64    `json:"changes" doc:"events here that the primary has not heard of"`
	Obstacles []string `json:"obstacles" doc:"what keeps a return from beginning"`
}

// Passage is a way from one state to another.
type Passage struct {
	At       time.Time       `json:"at"`
	From     string          `json:"from"`
	To       string          `json:"to"`
	Cause    string          `json:"cause"`
	Actor    string          `json:"actor"`
	Evidence json.RawMessage `json:"evidence"`
}

// Passages is a domain's continuity log.
type Passages struct {
	Domain   string    `json:"domain"`
	Passages []Passage `json:"passages"`
}

// NewFailover asks for a switch.
type NewFailover struct {
	Isolate bool `json:"isolate,omitempty" doc:"the primary works and is hostile: cut it off"`
}

// NewReturn asks for a return.
type NewReturn struct {
	Rebuilt bool `json:"rebuilt,omitempty" doc:"the primary begins anew, with nothing of what it held"`
}

func (a *API) continuityRoutes() {
	handle(a, http.MethodGet, "/domains/{domain}/continuity", "get-continuity", "Show who is in charge of a domain's mail", a.getContinuity)
	handle(a, http.MethodGet, "/domains/{domain}/passages", "list-passages", "List a domain's passages from state to state", a.listPassages)
	handle(a, http.MethodPost, "/domains/{domain}/failover", "failover", "Put Relais in charge of a domain's mail", a.failover)
	handle(a, http.MethodPost, "/domains/{domain}/return", "return", "Give a domain back to its primary", a.beginReturn)
	handle(a, http.MethodGet, "/domains/{domain}/return/plan", "plan-return", "Tell what a return would do", a.planReturn)
	handle(a, http.MethodPost, "/domains/{domain}/return/accept", "accept-return", "Accept what the primary refuses", a.acceptReturn)
}

func (a *API) standing(ctx context.Context, d directory.Domain, err error) (*body[Standing], error) {
	if err != nil {
		return nil, err
	}
	s, err := a.Continuity.Standing(ctx, d)
	return &body[Standing]{s}, err
}

func (a *API) getContinuity(ctx context.Context, in *DomainPath) (*body[Standing], error) {
	d, err := a.domain(ctx, in.Domain)
	return a.standing(ctx, d, err)
}

func (a *API) listPassages(ctx context.Context, in *struct {
	DomainPath
	Limit int `query:"limit" default:"50" minimum:"1" maximum:"1000"`
}) (*body[Passages], error) {
	d, err := a.domain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	list, err := a.Continuity.Passages(ctx, d, in.Limit)
	return &body[Passages]{Passages{d.Name, list}}, err
}

func (a *API) failover(ctx context.Context, in *struct {
	DomainPath
	Body NewFailover
}) (*body[Standing], error) {
	d, err := a.domain(ctx, in.Domain)
	if err == nil {
		err = a.Continuity.Failover(ctx, d, actor(ctx), in.Body.Isolate)
	}
	return a.standing(ctx, d, err)
}

func (a *API) beginReturn(ctx context.Context, in *struct {
	DomainPath
	Body NewReturn
}) (*body[Standing], error) {
	d, err := a.domain(ctx, in.Domain)
	if err == nil {
		err = a.Continuity.Return(ctx, d, actor(ctx), in.Body.Rebuilt)
	}
	return a.standing(ctx, d, err)
}

func (a *API) planReturn(ctx context.Context, in *struct {
	DomainPath
	Rebuilt bool `query:"rebuilt"`
}) (*body[ReturnPlan], error) {
	d, err := a.domain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	plan, err := a.Continuity.Plan(ctx, d, in.Rebuilt)
	return &body[ReturnPlan]{plan}, err
}

func (a *API) acceptReturn(ctx context.Context, in *DomainPath) (*body[Standing], error) {
	d, err := a.domain(ctx, in.Domain)
	if err == nil {
		err = a.Continuity.AcceptRefused(ctx, d, actor(ctx))
	}
	return a.standing(ctx, d, err)
}
