package directory

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Group is an address whose mail goes to its members.
type Group struct {
	ID        mail.GroupID
	Tenant    mail.TenantID
	Domain    mail.DomainID
	Address   string // lower case
	Name      string
	CreatedAt time.Time
	RemovedAt time.Time // zero: not removed
}

// NewGroup describes a group to make. Tenant 0 is that of the address's domain.
type NewGroup struct {
	Tenant  mail.TenantID
	Address mail.Address
	Name    string
}

const groupColumns = `id, tenant_id, domain_id, address, name, created_at, removed_at`

func scanGroup(s db.Scanner) (Group, error) {
	var g Group
	var created, removed int64
	err := s.Scan(&g.ID, &g.Tenant, &g.Domain, &g.Address, &g.Name, &created, &removed)
	g.CreatedAt, g.RemovedAt = mail.FromMicros(created), mail.FromMicros(removed)
	return g, err
}

// CreateGroup makes a group without members; fault.Conflict if the address is taken.
func (tx *Tx) CreateGroup(ctx context.Context, n NewGroup) (Group, error) {
	d, err := tx.homeOf(ctx, n.Tenant, n.Address)
	if err != nil {
		return Group{}, err
	}
	g := Group{Tenant: d.Tenant, Domain: d.ID, Address: n.Address.Key(), Name: db.Text(n.Name), CreatedAt: tx.Now}
	if err := tx.freeAddress(ctx, g.Address); err != nil {
		return g, err
	}
	err = tx.QueryRow(ctx, `INSERT INTO groups (tenant_id, domain_id, address, name, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		g.Tenant, g.Domain, g.Address, g.Name, mail.Micros(tx.Now)).Scan(&g.ID)
	if err != nil {
		return g, err
	}
	return g, tx.addAddress(ctx, address{key: g.Address, tenant: g.Tenant, domain: g.Domain, group: g.ID})
}

// Group finds a group, removed or not; fault.NotFound.
func (tx *Tx) Group(ctx context.Context, id mail.GroupID) (Group, error) {
	g, err := scanGroup(tx.QueryRow(ctx, `SELECT `+groupColumns+` FROM groups WHERE id = $1`, id))
	return g, found(err, "group")
}

// GroupByAddress finds a group by its address, in any case; fault.NotFound.
func (tx *Tx) GroupByAddress(ctx context.Context, a mail.Address) (Group, error) {
	g, err := scanGroup(tx.QueryRow(ctx, `SELECT `+groupColumns+` FROM groups WHERE address = $1 AND removed_at = 0`, a.Key()))
	return g, found(err, "group")
}

// Groups lists the groups of a tenant (0: of all) by address.
func (tx *Tx) Groups(ctx context.Context, tenant mail.TenantID) ([]Group, error) {
	return db.Collect(scanGroup)(tx.Query(ctx,
		`SELECT `+groupColumns+` FROM groups WHERE removed_at = 0 AND (tenant_id = $1 OR $1 = 0) ORDER BY address`, tenant))
}

// GroupMembers lists the members of a group by address.
func (tx *Tx) GroupMembers(ctx context.Context, id mail.GroupID) ([]Person, error) {
	return db.Collect(scanPerson)(tx.Query(ctx, `SELECT `+personColumnsOf+` FROM group_members m JOIN people p ON p.id = m.person_id
 WHERE m.group_id = $1 AND p.removed_at = 0 ORDER BY p.email`, id))
}

// GroupsOf lists the groups that a person belongs to, by address.
func (tx *Tx) GroupsOf(ctx context.Context, id mail.PersonID) ([]Group, error) {
	return db.Collect(scanGroup)(tx.Query(ctx, `SELECT `+groupColumns+` FROM groups
 WHERE removed_at = 0 AND id IN (SELECT group_id FROM group_members WHERE person_id = $1) ORDER BY address`, id))
}

// SetMembers replaces the members; each must be of the group's tenant (fault.Denied).
func (tx *Tx) SetMembers(ctx context.Context, id mail.GroupID, members []mail.PersonID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM group_members WHERE group_id = $1`, id); err != nil {
		return err
	}
	for _, m := range members {
		if err := tx.AddMember(ctx, id, m); err != nil {
			return err
		}
	}
	return nil
}

// AddMember adds a member; one that is there stays. fault.Denied for a person of another tenant.
func (tx *Tx) AddMember(ctx context.Context, id mail.GroupID, person mail.PersonID) error {
	var same int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM groups g JOIN people p ON p.tenant_id = g.tenant_id
 WHERE g.id = $1 AND p.id = $2 AND g.removed_at = 0 AND p.removed_at = 0`, id, person).Scan(&same)
	if err != nil {
		return err
	}
	if same == 0 {
		return fault.New(fault.Denied, "group and person are not both of one organisation")
	}
	_, err = tx.Exec(ctx, `INSERT INTO group_members (group_id, person_id) VALUES ($1, $2) ON CONFLICT (group_id, person_id) DO NOTHING`, id, person)
	return err
}

// RemoveGroup takes the group out of use.
func (tx *Tx) RemoveGroup(ctx context.Context, id mail.GroupID) error {
	res, err := tx.Exec(ctx, `UPDATE groups SET removed_at = $2 WHERE id = $1 AND removed_at = 0`, id, mail.Micros(tx.Now))
	if err := changed(res, err, "group"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM group_members WHERE group_id = $1`, id); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM addresses WHERE group_id = $1`, id)
	return err
}
