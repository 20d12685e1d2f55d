package adminapi

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/net/idna"

	"relais/internal/directory"
	"relais/internal/dkim"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/outbound"
	"relais/internal/record"
)

// Domain is a mail domain of an organisation.
type Domain struct {
	Domain   string      `json:"domain"`
	Org      string      `json:"org"`
	Topology string      `json:"topology" enum:"inpath,backup,journal,pull"`
	Failover string      `json:"failover" enum:"auto,ask"`
	OwnMail  string      `json:"own_mail" enum:"mark,refuse" doc:"what becomes of unauthenticated mail from outside that claims to come from here"`
	Created  time.Time   `json:"created"`
	People   int         `json:"people"`
	Primary  *Primary    `json:"primary,omitempty"`
	Records  []DNSRecord `json:"records" doc:"to publish"`
}

// DNSRecord is a record that the domain's zone should hold.
type DNSRecord struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
	For   string `json:"for" doc:"what it does"`
}

// NewDomain is what makes one.
type NewDomain struct {
	Domain   string `json:"domain" minLength:"1" maxLength:"253"`
	Org      string `json:"org" minLength:"1"`
	Topology string `json:"topology" enum:"inpath,backup,journal,pull"`
	Failover string `json:"failover,omitempty" enum:"auto,ask" doc:"left out: auto for inpath, else ask"`
}

// DomainChange is what can be set; what is left out stays.
type DomainChange struct {
	Failover string `json:"failover,omitempty" enum:"auto,ask"`
	OwnMail  string `json:"own_mail,omitempty" enum:"mark,refuse"`
}

// Domains is a list of them.
type Domains struct {
	Domains []Domain `json:"domains"`
}

func (a *API) domainRoutes() {
	handle(a, http.MethodGet, "/domains", "list-domains", "List the domains", a.listDomains)
	handle(a, http.MethodPost, "/domains", "add-domain", "Add a domain to an organisation", a.addDomain)
	handle(a, http.MethodGet, "/domains/{domain}", "get-domain", "Show a domain", a.getDomain)
	handle(a, http.MethodPatch, "/domains/{domain}", "set-domain", "Change how a domain behaves", a.setDomain)
	handle(a, http.MethodDelete, "/domains/{domain}", "remove-domain", "Remove a domain without people", a.removeDomain)
}

// DomainPath names a domain in a request.
type DomainPath struct {
	Domain string `path:"domain"`
}

// domainOf reads what is shown of a domain.
func (a *API) domainOf(ctx context.Context, tx *record.Tx, d directory.Domain) (Domain, error) {
	t, err := tx.Directory.TenantByID(ctx, d.Tenant)
	if err != nil {
		return Domain{}, err
	}
	people, err := tx.Directory.PeopleOfDomain(ctx, d.ID)
	if err != nil {
		return Domain{}, err
	}
	out := Domain{Domain: d.Name, Org: t.Slug, Topology: string(d.Topology), Failover: string(d.Failover),
		OwnMail: string(d.OwnMail), Created: d.CreatedAt, People: len(people), Records: a.records(d)}
	p, err := tx.Directory.Primary(ctx, d.ID)
	if err == nil {
		shown := primaryOf(d, p)
		out.Primary = &shown
	} else if !fault.Is(err, fault.NotFound) {
		return out, err
	}
	return out, nil
}

// records lists what the domain's zone should hold so that its mail arrives and is believed.
func (a *API) records(d directory.Domain) []DNSRecord {
	var out []DNSRecord
	for _, r := range outbound.Publish(d.Name, a.Hostname, string(d.Topology), d.DKIMPublic) {
		out = append(out, DNSRecord{Name: r.Name, Type: r.Type, Value: r.Value, For: r.Why})
	}
	return out
}

// asciiDomain is the name in A-labels: what the signer knows a domain by.
func asciiDomain(name string) string {
	if s, err := idna.Lookup.ToASCII(name); err == nil {
		return s
	}
	return name
}

func (a *API) listDomains(ctx context.Context, _ *none) (*body[Domains], error) {
	out := &body[Domains]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.Domains = []Domain{}
		domains, err := tx.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			shown, err := a.domainOf(ctx, tx, d)
			if err != nil {
				return err
			}
			out.Body.Domains = append(out.Body.Domains, shown)
		}
		return nil
	})
}

func (a *API) addDomain(ctx context.Context, in *body[NewDomain]) (*body[Domain], error) {
	name, err := mail.Domain(in.Body.Domain)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no domain name", in.Body.Domain)
	}
	// Making a key takes a moment: before the transaction.
	keys, err := dkim.Generate(a.Clock.Now(), false)
	if err != nil {
		return nil, err
	}
	private, err := keys.Private()
	if err != nil {
		return nil, err
	}
	sealed, err := a.Keys.Seal(dkim.SealContext(asciiDomain(name)), private)
	if err != nil {
		return nil, err
	}
	public, err := keys.Public()
	if err != nil {
		return nil, err
	}
	out := &body[Domain]{}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		t, err := tx.Directory.Tenant(ctx, in.Body.Org)
		if err != nil {
			return err
		}
		d, err := tx.Directory.CreateDomain(ctx, directory.NewDomain{
			Tenant: t.ID, Name: name, Topology: directory.Topology(in.Body.Topology), Failover: directory.Failover(in.Body.Failover),
			DKIMSelector: keys[0].Selector, DKIMSealed: sealed, DKIMPublic: public,
		})
		if err != nil {
			return err
		}
		if out.Body, err = a.domainOf(ctx, tx, d); err != nil {
			return err
		}
		return note(ctx, tx, t.ID, "domain.add", d.Name, in.Body)
	})
}

func (a *API) getDomain(ctx context.Context, in *DomainPath) (*body[Domain], error) {
	out := &body[Domain]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, in.Domain)
		if err != nil {
			return err
		}
		out.Body, err = a.domainOf(ctx, tx, d)
		return err
	})
}

func (a *API) setDomain(ctx context.Context, in *struct {
	DomainPath
	Body DomainChange
}) (*body[Domain], error) {
	out := &body[Domain]{}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, in.Domain)
		if err != nil {
			return err
		}
		if f := in.Body.Failover; f != "" {
			if err := tx.Directory.SetFailover(ctx, d.ID, directory.Failover(f)); err != nil {
				return err
			}
		}
		if o := in.Body.OwnMail; o != "" {
			if err := tx.Directory.SetOwnMail(ctx, d.ID, directory.OwnMail(o)); err != nil {
				return err
			}
		}
		if d, err = tx.Directory.DomainByID(ctx, d.ID); err != nil {
			return err
		}
		if out.Body, err = a.domainOf(ctx, tx, d); err != nil {
			return err
		}
		return note(ctx, tx, d.Tenant, "domain.set", d.Name, in.Body)
	})
}

func (a *API) removeDomain(ctx context.Context, in *DomainPath) (*none, error) {
	return nil, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, in.Domain)
		if err != nil {
			return err
		}
		if err := tx.Directory.RemoveDomain(ctx, d.ID); err != nil {
			return err
		}
		return note(ctx, tx, d.Tenant, "domain.remove", d.Name, nil)
	})
}
