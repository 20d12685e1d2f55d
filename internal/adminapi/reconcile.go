package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"relais/internal/directory"
	"relais/internal/fault"
)

// Reconciler compares a domain's ledger with its primary.
type Reconciler interface {
	// Reconcile gives the signed report as a file, and whether it lists
	// differences. fault.Unavailable when the primary does not answer.
	Reconcile(ctx context.Context, d directory.Domain, by string, progress func(done, of int)) (file []byte, differs bool, err error)
}

// Reconciliation is how far a reconciliation is, and at the end its report.
type Reconciliation struct {
	ID      string          `json:"id"`
	State   string          `json:"state" enum:"running,done,failed"`
	Done    int             `json:"done" doc:"accounts compared"`
	Total   int             `json:"total"`
	Differs bool            `json:"differs"`
	Error   string          `json:"error,omitempty"`
	Report  json.RawMessage `json:"report,omitempty" doc:"the signed report, as a file for verify"`
}

// reconciliations are those of this run of the node; the last few can be asked about.
type reconciliations struct {
	mu   sync.Mutex
	last int
	byID map[string]*Reconciliation
}

// keepReconciliations is how many can still be asked about.
const keepReconciliations = 5

func (a *API) reconcileRoutes() {
	handle(a, http.MethodPost, "/domains/{domain}/reconciliations", "start-reconciliation", "Compare a domain's ledger with its primary", a.startReconciliation)
	handle(a, http.MethodGet, "/reconciliations/{id}", "get-reconciliation", "Show how far a reconciliation is", a.getReconciliation)
}

func (a *API) startReconciliation(ctx context.Context, in *DomainPath) (*body[Reconciliation], error) {
	d, err := a.domain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	r := &a.reconciliations
	r.mu.Lock()
	if r.byID == nil {
		r.byID = map[string]*Reconciliation{}
	}
	r.last++
	id := strconv.Itoa(r.last)
	delete(r.byID, strconv.Itoa(r.last-keepReconciliations))
	job := &Reconciliation{ID: id, State: "running"}
	r.byID[id] = job
	answer := *job
	r.mu.Unlock()

	who := actor(ctx)
	a.background.Go(func() {
		file, differs, err := a.Reconciler.Reconcile(a.life, d, who, func(done, of int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			job.Done, job.Total = done, of
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		job.State, job.Report, job.Differs = "done", file, differs
		if err != nil {
			job.State, job.Error, job.Report = "failed", fault.Public(err), nil
			a.Log.Warn("reconciliation failed", "domain", d.Name, "err", err)
		}
	})
	return &body[Reconciliation]{answer}, nil
}

func (a *API) getReconciliation(_ context.Context, in *struct {
	ID string `path:"id"`
}) (*body[Reconciliation], error) {
	a.reconciliations.mu.Lock()
	defer a.reconciliations.mu.Unlock()
	r := a.reconciliations.byID[in.ID]
	if r == nil {
		return nil, fault.New(fault.NotFound, "no such reconciliation since the node was started")
	}
	return &body[Reconciliation]{*r}, nil
}
