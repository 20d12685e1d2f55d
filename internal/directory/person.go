package directory

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Person has an account and signs in by Email, in lower case.
type Person struct {
	ID           mail.PersonID
	Tenant       mail.TenantID
	Domain       mail.DomainID
	Account      mail.AccountID
	Email        string
	Name         string
	Phone        string
	PrimaryLogin string // the sign-in name at the primary; "" is Email
	CreatedAt    time.Time
	RemovedAt    time.Time // zero: not removed
}

// Login is the sign-in name at the primary.
func (p *Person) Login() string {
	if p.PrimaryLogin != "" {
		return p.PrimaryLogin
	}
	return p.Email
}

// NewPerson describes a person to make. Tenant and Domain 0 are those of the
// e-mail address's domain.
type NewPerson struct {
	Tenant       mail.TenantID
	Domain       mail.DomainID
	Account      mail.AccountID
	Email        mail.Address
	Name         string
	Aliases      []mail.Address
	Phone        string
	PrimaryLogin string
}

const personColumns = `id, tenant_id, domain_id, account_id, email, name, phone, primary_login, created_at, removed_at`

// personColumnsOf is personColumns of the table p of a join.
const personColumnsOf = `p.id, p.tenant_id, p.domain_id, p.account_id, p.email, p.name, p.phone, p.primary_login, p.created_at, p.removed_at`

func scanPerson(s db.Scanner) (Person, error) {
	var p Person
	var created, removed int64
	err := s.Scan(&p.ID, &p.Tenant, &p.Domain, &p.Account, &p.Email, &p.Name, &p.Phone, &p.PrimaryLogin, &created, &removed)
	p.CreatedAt, p.RemovedAt = mail.FromMicros(created), mail.FromMicros(removed)
	return p, err
}

// CreatePerson makes a person with address and aliases. fault.Conflict if one of
// them is taken, fault.NotFound if its domain is not one of the tenant's.
func (tx *Tx) CreatePerson(ctx context.Context, n NewPerson) (Person, error) {
	d, err := tx.homeOf(ctx, n.Tenant, n.Email)
	if err != nil {
		return Person{}, err
	}
	p := Person{Tenant: d.Tenant, Domain: d.ID, Account: n.Account, Email: n.Email.Key(), Name: db.Text(n.Name),
		Phone: db.Text(n.Phone), PrimaryLogin: db.Text(n.PrimaryLogin), CreatedAt: tx.Now}
	if err := tx.freeAddress(ctx, p.Email); err != nil {
		return p, err
	}
	err = tx.QueryRow(ctx, `INSERT INTO people (tenant_id, domain_id, account_id, email, name, phone, primary_login, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
		p.Tenant, p.Domain, p.Account, p.Email, p.Name, p.Phone, p.PrimaryLogin, mail.Micros(tx.Now)).Scan(&p.ID)
	if err != nil {
		return p, err
	}
	if err := tx.addAddress(ctx, address{key: p.Email, tenant: d.Tenant, domain: d.ID, person: p.ID}); err != nil {
		return p, err
	}
	return p, tx.addAliases(ctx, p, n.Aliases)
}

func (tx *Tx) addAliases(ctx context.Context, p Person, aliases []mail.Address) error {
	for _, a := range aliases {
		d, err := tx.homeOf(ctx, p.Tenant, a)
		if err != nil {
			return err
		}
		if a.Key() == p.Email {
			continue
		}
		if err := tx.freeAddress(ctx, a.Key()); err != nil {
			return err
		}
		if err := tx.addAddress(ctx, address{key: a.Key(), tenant: p.Tenant, domain: d.ID, person: p.ID}); err != nil {
			return err
		}
	}
	return nil
}

// homeOf is the domain of an address, which has to be the tenant's (0: anyone's).
func (tx *Tx) homeOf(ctx context.Context, tenant mail.TenantID, a mail.Address) (Domain, error) {
	if a.IsNull() {
		return Domain{}, fault.New(fault.Invalid, "an address is missing")
	}
	d, err := tx.Domain(ctx, a.Domain)
	if fault.Is(err, fault.NotFound) || err == nil && tenant != 0 && d.Tenant != tenant {
		return d, fault.New(fault.NotFound, "%s is not a domain of the organisation", a.Domain)
	}
	return d, err
}

// Person finds a person, removed or not; fault.NotFound.
func (tx *Tx) Person(ctx context.Context, id mail.PersonID) (Person, error) {
	p, err := scanPerson(tx.QueryRow(ctx, `SELECT `+personColumns+` FROM people WHERE id = $1`, id))
	return p, found(err, "person")
}

// PersonByEmail finds a person by the main address, in any case; fault.NotFound.
func (tx *Tx) PersonByEmail(ctx context.Context, email string) (Person, error) {
	a, err := mail.ParseAddress(email)
	if err != nil || a.IsNull() {
		return Person{}, fault.New(fault.NotFound, "no such person")
	}
	p, err := scanPerson(tx.QueryRow(ctx, `SELECT `+personColumns+` FROM people WHERE email = $1 AND removed_at = 0`, a.Key()))
	return p, found(err, "person")
}

// PersonByAccount finds whose account it is; fault.NotFound for a shared one.
func (tx *Tx) PersonByAccount(ctx context.Context, acc mail.AccountID) (Person, error) {
	p, err := scanPerson(tx.QueryRow(ctx, `SELECT `+personColumns+` FROM people WHERE account_id = $1 AND removed_at = 0`, acc))
	return p, found(err, "person")
}

// People lists the people of a tenant (0: of all) by address.
func (tx *Tx) People(ctx context.Context, tenant mail.TenantID) ([]Person, error) {
	if tenant == 0 {
		return db.Collect(scanPerson)(tx.Query(ctx, `SELECT `+personColumns+` FROM people WHERE removed_at = 0 ORDER BY email`))
	}
	return db.Collect(scanPerson)(tx.Query(ctx,
		`SELECT `+personColumns+` FROM people WHERE tenant_id = $1 AND removed_at = 0 ORDER BY email`, tenant))
}

// PeopleOfDomain lists the people of a domain by address.
func (tx *Tx) PeopleOfDomain(ctx context.Context, domain mail.DomainID) ([]Person, error) {
	d, err := tx.DomainByID(ctx, domain)
	if err != nil {
		return nil, err
	}
	return db.Collect(scanPerson)(tx.Query(ctx,
		`SELECT `+personColumns+` FROM people WHERE tenant_id = $1 AND domain_id = $2 AND removed_at = 0 ORDER BY email`, d.Tenant, domain))
}

// UpdatePerson changes name, phone and sign-in name at the primary.
func (tx *Tx) UpdatePerson(ctx context.Context, p Person) error {
	res, err := tx.Exec(ctx, `UPDATE people SET name = $2, phone = $3, primary_login = $4 WHERE id = $1 AND removed_at = 0`,
		p.ID, db.Text(p.Name), db.Text(p.Phone), db.Text(p.PrimaryLogin))
	return changed(res, err, "person")
}

// SetAliases replaces the aliases of a person.
func (tx *Tx) SetAliases(ctx context.Context, id mail.PersonID, aliases []mail.Address) error {
	p, err := tx.Person(ctx, id)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM addresses WHERE person_id = $1 AND address <> $2`, id, p.Email); err != nil {
		return err
	}
	return tx.addAliases(ctx, p, aliases)
}

// RemovePerson takes the person out of use: addresses, memberships and
// credentials end, the account with its mail stays.
func (tx *Tx) RemovePerson(ctx context.Context, id mail.PersonID) error {
	res, err := tx.Exec(ctx, `UPDATE people SET removed_at = $2 WHERE id = $1 AND removed_at = 0`, id, mail.Micros(tx.Now))
	if err := changed(res, err, "person"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM addresses WHERE person_id = $1`, id); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM group_members WHERE person_id = $1`, id); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE credentials SET revoked_at = $2 WHERE person_id = $1 AND revoked_at = 0`, id, mail.Micros(tx.Now))
	return err
}

// OwnAddresses lists the addresses that the person may send as: the main one first.
func (tx *Tx) OwnAddresses(ctx context.Context, id mail.PersonID) ([]string, error) {
	return db.Collect(func(s db.Scanner) (a string, err error) { return a, s.Scan(&a) })(tx.Query(ctx,
		`SELECT a.address FROM addresses a JOIN people p ON p.id = a.person_id WHERE a.person_id = $1
 ORDER BY CASE WHEN a.address = p.email THEN 0 ELSE 1 END, a.address`, id))
}
