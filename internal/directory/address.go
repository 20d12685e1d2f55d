package directory

import (
	"context"

	"relais/internal/fault"
	"relais/internal/mail"
)

// ResolutionKind says what an address is to this installation.
type ResolutionKind int

// The kinds of a resolution.
const (
	Foreign  ResolutionKind = iota // of no domain of ours
	Unknown                        // of a domain of ours, but nobody's
	ToPerson                       // of a person
	ToGroup                        // of a group
)

// Resolution is who receives the mail to an address.
type Resolution struct {
	Kind    ResolutionKind
	Domain  Domain
	Person  Person
	Group   Group
	Members []Person // of the group, or the person alone
}

// Resolve finds who receives the mail to an address. ann+x@ is ann@ when ann+x@
// itself is nobody's.
func (tx *Tx) Resolve(ctx context.Context, a mail.Address) (Resolution, error) {
	d, err := tx.Domain(ctx, a.Domain)
	if fault.Is(err, fault.NotFound) {
		return Resolution{Kind: Foreign}, nil
	}
	if err != nil {
		return Resolution{}, err
	}
	r, err := tx.resolveKey(ctx, d, a.Key())
	if base := a.Base(); err == nil && r.Kind == Unknown && base != a {
		return tx.resolveKey(ctx, d, base.Key())
	}
	return r, err
}

func (tx *Tx) resolveKey(ctx context.Context, d Domain, key string) (Resolution, error) {
	r := Resolution{Kind: Unknown, Domain: d}
	var person mail.PersonID
	var group mail.GroupID
	err := found(tx.QueryRow(ctx, `SELECT person_id, group_id FROM addresses WHERE address = $1`, key).Scan(&person, &group), "address")
	switch {
	case fault.Is(err, fault.NotFound):
		return r, nil
	case err != nil:
		return r, err
	case person != 0:
		r.Kind = ToPerson
		r.Person, err = tx.Person(ctx, person)
		r.Members = []Person{r.Person}
		return r, err
	}
	r.Kind = ToGroup
	if r.Group, err = tx.Group(ctx, group); err != nil {
		return r, err
	}
	r.Members, err = tx.GroupMembers(ctx, group)
	return r, err
}

// address is a row of addresses.
type address struct {
	key    string
	tenant mail.TenantID
	domain mail.DomainID
	person mail.PersonID
	group  mail.GroupID
}

func (tx *Tx) addAddress(ctx context.Context, a address) error {
	_, err := tx.Exec(ctx, `INSERT INTO addresses (address, tenant_id, domain_id, person_id, group_id) VALUES ($1, $2, $3, $4, $5)`,
		a.key, a.tenant, a.domain, a.person, a.group)
	return err
}

// freeAddress is fault.Conflict when somebody has the address.
func (tx *Tx) freeAddress(ctx context.Context, key string) error {
	var n int
	err := found(tx.QueryRow(ctx, `SELECT 1 FROM addresses WHERE address = $1`, key).Scan(&n), "address")
	return taken(err, "address", key)
}
