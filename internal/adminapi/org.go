package adminapi

import (
	"context"
	"net/http"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
)

// Org is an organisation: a company, isolated from all others.
type Org struct {
	Org     string    `json:"org" doc:"short name, unique"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Domains []string  `json:"domains"`
	People  int       `json:"people"`
}

// NewOrg is what makes one.
type NewOrg struct {
	Org  string `json:"org" minLength:"1" maxLength:"63" pattern:"^[a-z0-9][a-z0-9-]*$" doc:"lower-case letters, digits and hyphens"`
	Name string `json:"name,omitempty" maxLength:"200" doc:"the full name; the short one when left out"`
}

// Orgs is a list of them.
type Orgs struct {
	Orgs []Org `json:"orgs"`
}

func (a *API) orgRoutes() {
	handle(a, http.MethodGet, "/orgs", "list-orgs", "List the organisations", a.listOrgs)
	handle(a, http.MethodPost, "/orgs", "add-org", "Make an organisation", a.addOrg)
	handle(a, http.MethodGet, "/orgs/{org}", "get-org", "Show an organisation", a.getOrg)
	handle(a, http.MethodDelete, "/orgs/{org}", "remove-org", "Remove an organisation without domains", a.removeOrg)
}

type orgPath struct {
	Org string `path:"org"`
}

// orgOf reads what is shown of a tenant.
func orgOf(ctx context.Context, tx *record.Tx, t directory.Tenant) (Org, error) {
	o := Org{Org: t.Slug, Name: t.Name, Created: t.CreatedAt, Domains: []string{}}
	domains, err := tx.Directory.Domains(ctx, t.ID)
	if err != nil {
		return o, err
	}
	for _, d := range domains {
		o.Domains = append(o.Domains, d.Name)
	}
	people, err := tx.Directory.People(ctx, t.ID)
	o.People = len(people)
	return o, err
}

func (a *API) listOrgs(ctx context.Context, _ *none) (*body[Orgs], error) {
	out := &body[Orgs]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.Orgs = []Org{}
		tenants, err := tx.Directory.Tenants(ctx)
		if err != nil {
			return err
		}
		for _, t := range tenants {
			if !t.ErasedAt.IsZero() {
				continue
			}
			o, err := orgOf(ctx, tx, t)
			if err != nil {
				return err
			}
			out.Body.Orgs = append(out.Body.Orgs, o)
		}
		return nil
	})
}

func (a *API) addOrg(ctx context.Context, in *body[NewOrg]) (*body[Org], error) {
	out := &body[Org]{}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		t, err := tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: in.Body.Org, Name: in.Body.Name,
			Wrap: func(id mail.TenantID) ([]byte, string, error) {
				wrapped, err := a.Keys.NewTenantKey(id)
				return wrapped, a.Keys.ID(), err
			}})
		if err != nil {
			return err
		}
		if out.Body, err = orgOf(ctx, tx, t); err != nil {
			return err
		}
		return note(ctx, tx, t.ID, "org.add", t.Slug, nil)
	})
}

func (a *API) getOrg(ctx context.Context, in *orgPath) (*body[Org], error) {
	out := &body[Org]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		t, err := tx.Directory.Tenant(ctx, in.Org)
		if err != nil {
			return err
		}
		out.Body, err = orgOf(ctx, tx, t)
		return err
	})
}

func (a *API) removeOrg(ctx context.Context, in *orgPath) (*none, error) {
	var id mail.TenantID
	err := a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		t, err := tx.Directory.Tenant(ctx, in.Org)
		if err != nil {
			return err
		}
		domains, err := tx.Directory.Domains(ctx, t.ID)
		if err != nil {
			return err
		}
		if len(domains) > 0 {
			return fault.New(fault.Conflict, "the organisation still has %d domains", len(domains))
		}
		if err := tx.Directory.EraseTenant(ctx, t.ID); err != nil {
			return err
		}
		id = t.ID
		return note(ctx, tx, t.ID, "org.remove", t.Slug, nil)
	})
	if err == nil {
		a.Forget(id)
	}
	return nil, err
}
