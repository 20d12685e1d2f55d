package directory

import (
	"context"
	"regexp"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Tenant is a company: what is isolated, keyed and erased as one.
type Tenant struct {
	ID        mail.TenantID
	Slug      string // its name in commands and addresses of the API
	Name      string
	CreatedAt time.Time
	ErasedAt  time.Time // zero: not erased
}

// NewTenant describes a tenant to make.
type NewTenant struct {
	Slug string // a-z, 0-9 and "-" inside, at most 63 characters
	Name string // "" is the slug
	// Wrap makes the tenant's data key, wrapped for its id, and says with which key.
	Wrap func(mail.TenantID) (wrapped []byte, keyID string, err error)
}

var slug = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const tenantColumns = `id, slug, name, created_at, erased_at`

func scanTenant(s db.Scanner) (Tenant, error) {
	var t Tenant
	var created, erased int64
	err := s.Scan(&t.ID, &t.Slug, &t.Name, &created, &erased)
	t.CreatedAt, t.ErasedAt = mail.FromMicros(created), mail.FromMicros(erased)
	return t, err
}

// CreateTenant makes a tenant with its data key; fault.Conflict if the slug is taken.
func (tx *Tx) CreateTenant(ctx context.Context, n NewTenant) (Tenant, error) {
	if !slug.MatchString(n.Slug) {
		return Tenant{}, fault.New(fault.Invalid, "organisation %q: allowed are a-z, 0-9 and - inside", n.Slug)
	}
	if n.Name == "" {
		n.Name = n.Slug
	}
	if _, err := tx.Tenant(ctx, n.Slug); taken(err, "organisation", n.Slug) != nil {
		return Tenant{}, taken(err, "organisation", n.Slug)
	}
	t := Tenant{Slug: n.Slug, Name: db.Text(n.Name), CreatedAt: tx.Now}
	err := tx.QueryRow(ctx, `INSERT INTO tenants (slug, name, wrapped_key, key_id, created_at) VALUES ($1, $2, $3, '', $4) RETURNING id`,
		t.Slug, t.Name, []byte{}, mail.Micros(tx.Now)).Scan(&t.ID)
	if err != nil {
		return t, err
	}
	wrapped, id, err := n.Wrap(t.ID)
	if err != nil {
		return t, err
	}
	return t, tx.SetTenantKey(ctx, t.ID, wrapped, id)
}

// Tenant finds a tenant by its slug; fault.NotFound.
func (tx *Tx) Tenant(ctx context.Context, slug string) (Tenant, error) {
	t, err := scanTenant(tx.QueryRow(ctx, `SELECT `+tenantColumns+` FROM tenants WHERE slug = $1`, slug))
	return t, found(err, "organisation")
}

// TenantByID finds a tenant; fault.NotFound.
func (tx *Tx) TenantByID(ctx context.Context, id mail.TenantID) (Tenant, error) {
	t, err := scanTenant(tx.QueryRow(ctx, `SELECT `+tenantColumns+` FROM tenants WHERE id = $1`, id))
	return t, found(err, "organisation")
}

// Tenants lists all tenants by slug, the erased ones too.
func (tx *Tx) Tenants(ctx context.Context) ([]Tenant, error) {
	return db.Collect(scanTenant)(tx.Query(ctx, `SELECT `+tenantColumns+` FROM tenants ORDER BY slug`))
}

// TenantKey is the tenant's wrapped data key, empty once it was erased.
func (tx *Tx) TenantKey(ctx context.Context, id mail.TenantID) (wrapped []byte, err error) {
	err = tx.QueryRow(ctx, `SELECT wrapped_key FROM tenants WHERE id = $1`, id).Scan(&wrapped)
	return wrapped, found(err, "organisation")
}

// SetTenantKey stores the data key wrapped anew.
func (tx *Tx) SetTenantKey(ctx context.Context, id mail.TenantID, wrapped []byte, keyID string) error {
	res, err := tx.Exec(ctx, `UPDATE tenants SET wrapped_key = $2, key_id = $3 WHERE id = $1 AND erased_at = 0`, id, wrapped, keyID)
	return changed(res, err, "organisation")
}

// EraseTenant destroys the tenant's data key: its bodies can't be read any more.
func (tx *Tx) EraseTenant(ctx context.Context, id mail.TenantID) error {
	res, err := tx.Exec(ctx, `UPDATE tenants SET wrapped_key = $2, key_id = '', erased_at = $3 WHERE id = $1 AND erased_at = 0`,
		id, []byte{}, mail.Micros(tx.Now))
	return changed(res, err, "organisation")
}
