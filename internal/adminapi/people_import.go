package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/intake"
	"relais/internal/record"
)

// maxImportRows bounds the people of one import.
const maxImportRows = 200_000

// The columns whose presence in a file matters: a column that is not there keeps
// what people have.
const (
	colName, colAliases, colGroups = "name", "aliases", "groups"
	colPhone, colLogin             = "phone", "primary_login"
)

// NewImport is a file of people. All of it is imported, or nothing when any line is wrong.
type NewImport struct {
	Org      string        `json:"org" minLength:"1"`
	Columns  []string      `json:"columns" doc:"the columns of the file; what has none keeps what it is"`
	Rows     []ImportRow   `json:"rows"`
	Problems []LineProblem `json:"problems,omitempty" doc:"lines that could not be read; they refuse the import, with what else is wrong"`
}

// ImportRow is one line of a file of people.
type ImportRow struct {
	Line         int      `json:"line" doc:"where it stands in the file, for errors"`
	Email        string   `json:"email"`
	Name         string   `json:"name,omitempty"`
	Aliases      []string `json:"aliases,omitempty"`
	Groups       []string `json:"groups,omitempty" doc:"addresses; a group that is not there is made"`
	Phone        string   `json:"phone,omitempty"`
	PrimaryLogin string   `json:"primary_login,omitempty" doc:"the sign-in name at the primary where it is not the address"`
	Password     string   `json:"password,omitempty" doc:"empty: keeps the one there is"`
}

// LineProblem is what is wrong with one line.
type LineProblem struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Import is how far an import is.
type Import struct {
	ID      string `json:"id"`
	State   string `json:"state" enum:"running,done,failed"`
	Done    int    `json:"done" doc:"passwords hashed"`
	Total   int    `json:"total"`
	Created int    `json:"created"`
	Updated int    `json:"updated"`
	Error   string `json:"error,omitempty"`
}

// imports are the imports of this run of the node.
type imports struct {
	mu   sync.Mutex
	last int
	byID map[string]*running
}

type running struct {
	done   atomic.Int64
	mu     sync.Mutex
	answer Import
}

// keepImports is how many finished imports can still be asked about.
const keepImports = 20

func (a *API) importRoutes() {
	handle(a, http.MethodPost, "/imports", "start-import", "Import people", a.startImport)
	handle(a, http.MethodGet, "/imports/{id}", "get-import", "Show how far an import is", a.getImport)
}

// startImport refuses a file with mistakes, all of them named; else it begins,
// since hashing a thousand passwords takes half a minute.
func (a *API) startImport(ctx context.Context, in *body[NewImport]) (*body[Import], error) {
	if len(in.Body.Rows) > maxImportRows {
		return nil, fault.New(fault.TooLarge, "more than %d people in one import", maxImportRows)
	}
	plan := &importPlan{NewImport: in.Body}
	if err := a.Store.View(ctx, plan.check); err != nil {
		return nil, err
	}
	if err := plan.problem(); err != nil {
		return nil, err
	}
	r := a.imports.begin(plan.passwords())
	answer := r.state()
	who := context.WithValue(a.life, actorKey{}, actor(ctx))
	a.background.Go(func() {
		created, updated, err := a.runImport(who, plan, &r.done)
		r.end(created, updated, err)
		if err != nil {
			a.Log.Error("import failed", "err", err)
		}
	})
	return &body[Import]{answer}, nil
}

func (a *API) getImport(_ context.Context, in *struct {
	ID string `path:"id"`
}) (*body[Import], error) {
	a.imports.mu.Lock()
	r := a.imports.byID[in.ID]
	a.imports.mu.Unlock()
	if r == nil {
		return nil, fault.New(fault.NotFound, "no such import since the node was started")
	}
	return &body[Import]{r.state()}, nil
}

func (i *imports) begin(total int) *running {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.byID == nil {
		i.byID = map[string]*running{}
	}
	i.last++
	delete(i.byID, strconv.Itoa(i.last-keepImports))
	r := &running{answer: Import{ID: strconv.Itoa(i.last), State: "running", Total: total}}
	i.byID[r.answer.ID] = r
	return r
}

func (r *running) state() Import {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.answer
	s.Done = int(r.done.Load())
	return s
}

func (r *running) end(created, updated int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer.State, r.answer.Created, r.answer.Updated = "done", created, updated
	if err != nil {
		r.answer.State, r.answer.Created, r.answer.Updated, r.answer.Error = "failed", 0, 0, fault.Public(err)
	}
}

// hash makes the verifiers, on all cores; done counts them.
func (p *importPlan) hash(ctx context.Context, done *atomic.Int64) error {
	p.verifiers = make([]string, len(p.parsed))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range p.parsed {
		if r.Password == "" {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var err error
			p.verifiers[i], err = directory.HashPassphrase(r.Password)
			done.Add(1)
			return err
		})
	}
	return g.Wait()
}

// runImport hashes, then files everything in one transaction.
func (a *API) runImport(ctx context.Context, p *importPlan, done *atomic.Int64) (created, updated int, err error) {
	if err := p.hash(ctx, done); err != nil {
		return 0, 0, err
	}
	err = a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		created, updated = 0, 0
		t, err := tx.Directory.Tenant(ctx, p.Org)
		if err != nil {
			return err
		}
		for i, r := range p.parsed {
			isNew, err := p.file(ctx, tx, t.ID, r, p.verifiers[i])
			if err != nil {
				return fmt.Errorf("line %d: %w", r.Line, err)
			}
			if isNew {
				created++
			} else {
				updated++
			}
		}
		domains, err := tx.Directory.Domains(ctx, t.ID)
		if err != nil {
			return err
		}
		for _, d := range domains {
			if err := intake.Adopt(ctx, tx, d.ID); err != nil {
				return err
			}
		}
		tx.Signal(record.TopicDirectory)
		return note(ctx, tx, t.ID, "people.import", t.Slug, map[string]int{"created": created, "updated": updated})
	})
	return created, updated, err
}
