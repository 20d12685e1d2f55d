package directory

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Topology is how mail of a domain reaches Relais.
type Topology string

// The topologies.
const (
	InPath  Topology = "inpath"
	Backup  Topology = "backup"
	Journal Topology = "journal"
	Pull    Topology = "pull"
)

// Failover says whether a switch asks a person first.
type Failover string

// The ways of failover.
const (
	Auto Failover = "auto"
	Ask  Failover = "ask"
)

// OwnMail says what becomes of unauthenticated mail that claims to come from the domain.
type OwnMail string

// The policies for own mail.
const (
	MarkOwn   OwnMail = "mark"
	RefuseOwn OwnMail = "refuse"
)

// Domain is a mail domain of a tenant.
type Domain struct {
	ID           mail.DomainID
	Tenant       mail.TenantID
	Name         string // lower case, U-labels
	Topology     Topology
	Failover     Failover
	OwnMail      OwnMail
	DKIMSelector string
	DKIMSealed   []byte // the private key, sealed
	DKIMPublic   string // the text of the TXT record
	CreatedAt    time.Time
	RemovedAt    time.Time // zero: not removed
}

// NewDomain describes a domain to make. Failover "" is auto for InPath, else
// ask; OwnMail "" is mark.
type NewDomain struct {
	Tenant       mail.TenantID
	Name         string
	Topology     Topology
	Failover     Failover
	OwnMail      OwnMail
	DKIMSelector string
	DKIMSealed   []byte
	DKIMPublic   string
}

const domainColumns = `id, tenant_id, name, topology, failover, own_mail, dkim_selector, dkim_sealed, dkim_public, created_at, removed_at`

func scanDomain(s db.Scanner) (Domain, error) {
	var d Domain
	var created, removed int64
	err := s.Scan(&d.ID, &d.Tenant, &d.Name, &d.Topology, &d.Failover, &d.OwnMail, &d.DKIMSelector, &d.DKIMSealed, &d.DKIMPublic, &created, &removed)
	d.CreatedAt, d.RemovedAt = mail.FromMicros(created), mail.FromMicros(removed)
	return d, err
}

// CreateDomain makes a domain; fault.Conflict if any tenant has it, fault.Invalid for a name or value that can't be.
func (tx *Tx) CreateDomain(ctx context.Context, n NewDomain) (Domain, error) {
	name, err := mail.Domain(n.Name)
	if err != nil || name == "" {
		return Domain{}, fault.New(fault.Invalid, "%q is no domain name", n.Name)
	}
	if n.Failover == "" {
		n.Failover = Ask
		if n.Topology == InPath {
			n.Failover = Auto
		}
	}
	if n.OwnMail == "" {
		n.OwnMail = MarkOwn
	}
	switch n.Topology {
	case InPath, Backup, Journal, Pull:
	default:
		return Domain{}, fault.New(fault.Invalid, "topology %q: allowed are inpath, backup, journal, pull", n.Topology)
	}
	if err := n.Failover.valid(); err != nil {
		return Domain{}, err
	}
	if err := n.OwnMail.valid(); err != nil {
		return Domain{}, err
	}
	if _, err := tx.TenantByID(ctx, n.Tenant); err != nil {
		return Domain{}, err
	}
	if _, err := tx.Domain(ctx, name); taken(err, "domain", name) != nil {
		return Domain{}, taken(err, "domain", name)
	}
	d := Domain{Tenant: n.Tenant, Name: name, Topology: n.Topology, Failover: n.Failover, OwnMail: n.OwnMail,
		DKIMSelector: n.DKIMSelector, DKIMSealed: n.DKIMSealed, DKIMPublic: n.DKIMPublic, CreatedAt: tx.Now}
	err = tx.QueryRow(ctx, `INSERT INTO domains (tenant_id, name, topology, failover, own_mail, dkim_selector, dkim_sealed, dkim_public, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`, d.Tenant, d.Name, string(d.Topology), string(d.Failover), string(d.OwnMail),
		d.DKIMSelector, db.Bytes(d.DKIMSealed), d.DKIMPublic, mail.Micros(tx.Now)).Scan(&d.ID)
	return d, err
}

func (f Failover) valid() error {
	if f != Auto && f != Ask {
		return fault.New(fault.Invalid, "failover %q: allowed are auto, ask", f)
	}
	return nil
}

func (o OwnMail) valid() error {
	if o != MarkOwn && o != RefuseOwn {
		return fault.New(fault.Invalid, "own mail %q: allowed are mark, refuse", o)
	}
	return nil
}

// Domain finds a domain that is not removed, by any spelling of its name; fault.NotFound.
func (tx *Tx) Domain(ctx context.Context, name string) (Domain, error) {
	name, err := mail.Domain(name)
	if err != nil {
		return Domain{}, fault.Wrap(err, fault.NotFound, "no such domain")
	}
	d, err := scanDomain(tx.QueryRow(ctx, `SELECT `+domainColumns+` FROM domains WHERE name = $1 AND removed_at = 0`, name))
	return d, found(err, "domain")
}

// DomainByID finds a domain, removed or not; fault.NotFound.
func (tx *Tx) DomainByID(ctx context.Context, id mail.DomainID) (Domain, error) {
	d, err := scanDomain(tx.QueryRow(ctx, `SELECT `+domainColumns+` FROM domains WHERE id = $1`, id))
	return d, found(err, "domain")
}

// Domains lists the domains of a tenant (0: of all) that are not removed, by name.
func (tx *Tx) Domains(ctx context.Context, tenant mail.TenantID) ([]Domain, error) {
	return db.Collect(scanDomain)(tx.Query(ctx,
		`SELECT `+domainColumns+` FROM domains WHERE removed_at = 0 AND (tenant_id = $1 OR $1 = 0) ORDER BY name`, tenant))
}

// SetFailover says whether a switch of the domain asks a person first.
func (tx *Tx) SetFailover(ctx context.Context, id mail.DomainID, f Failover) error {
	if err := f.valid(); err != nil {
		return err
	}
	res, err := tx.Exec(ctx, `UPDATE domains SET failover = $2 WHERE id = $1 AND removed_at = 0`, id, string(f))
	return changed(res, err, "domain")
}

// SetOwnMail says what becomes of unauthenticated mail that claims to come from the domain.
func (tx *Tx) SetOwnMail(ctx context.Context, id mail.DomainID, o OwnMail) error {
	if err := o.valid(); err != nil {
		return err
	}
	res, err := tx.Exec(ctx, `UPDATE domains SET own_mail = $2 WHERE id = $1 AND removed_at = 0`, id, string(o))
	return changed(res, err, "domain")
}

// SetDKIM gives the domain another signing key.
func (tx *Tx) SetDKIM(ctx context.Context, id mail.DomainID, selector string, sealed []byte, public string) error {
	res, err := tx.Exec(ctx, `UPDATE domains SET dkim_selector = $2, dkim_sealed = $3, dkim_public = $4 WHERE id = $1 AND removed_at = 0`,
		id, selector, sealed, public)
	return changed(res, err, "domain")
}

// RemoveDomain takes the domain out of use; fault.Conflict while it has people or groups.
func (tx *Tx) RemoveDomain(ctx context.Context, id mail.DomainID) error {
	var n int
	err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM people WHERE domain_id = $1 AND removed_at = 0)
 + (SELECT count(*) FROM groups WHERE domain_id = $1 AND removed_at = 0)`, id).Scan(&n)
	if err != nil {
		return err
	}
	if n > 0 {
		return fault.New(fault.Conflict, "the domain still has %d people and groups", n)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM addresses WHERE domain_id = $1`, id); err != nil {
		return err
	}
	res, err := tx.Exec(ctx, `UPDATE domains SET removed_at = $2 WHERE id = $1 AND removed_at = 0`, id, mail.Micros(tx.Now))
	return changed(res, err, "domain")
}
