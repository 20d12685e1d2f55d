package adminapi

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// importPlan is an import with what was found about it.
type importPlan struct {
	NewImport
	parsed    []parsedRow
	verifiers []string // by row; "" keeps the password there is
}

// parsedRow is a row whose addresses were read.
type parsedRow struct {
	ImportRow
	email   mail.Address
	aliases []mail.Address
	groups  []mail.Address
}

func (p *importPlan) fail(line int, format string, args ...any) {
	p.Problems = append(p.Problems, LineProblem{line, fmt.Sprintf(format, args...)})
}

// problem is all that is wrong, in order of the lines.
func (p *importPlan) problem() error {
	if len(p.Problems) == 0 {
		return nil
	}
	slices.SortStableFunc(p.Problems, func(a, b LineProblem) int { return cmp.Compare(a.Line, b.Line) })
	d := &detailed{fault: fault.New(fault.Invalid, "nothing was imported, %d lines are wrong", p.wrongLines())}
	for _, l := range p.Problems {
		d.lines = append(d.lines, fmt.Sprintf("line %d: %s", l.Line, l.Text))
	}
	return d
}

func (p *importPlan) wrongLines() int {
	lines := map[int]bool{}
	for _, l := range p.Problems {
		lines[l.Line] = true
	}
	return len(lines)
}

func (p *importPlan) passwords() int {
	n := 0
	for _, r := range p.Rows {
		if r.Password != "" {
			n++
		}
	}
	return n
}

// check reads the rows and finds what is wrong with them, among themselves and
// against the directory.
func (p *importPlan) check(ctx context.Context, tx *record.Tx) error {
	t, err := tx.Directory.Tenant(ctx, p.Org)
	if err != nil {
		return err
	}
	domains, err := tx.Directory.Domains(ctx, t.ID)
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, d := range domains {
		ours[d.Name] = true
	}
	owner := map[string]int{} // address → line
	groups := map[string]bool{}
	for _, row := range p.Rows {
		r := parsedRow{ImportRow: row}
		r.email, _ = p.address(row.Line, row.Email, "email", ours)
		mine := map[string]bool{r.email.Key(): true}
		p.own(owner, r.email, row.Line)
		for _, s := range row.Aliases {
			if a, ok := p.address(row.Line, s, "alias", ours); ok && !mine[a.Key()] {
				mine[a.Key()] = true
				p.own(owner, a, row.Line)
				r.aliases = append(r.aliases, a)
			}
		}
		for _, s := range row.Groups {
			if a, ok := p.address(row.Line, s, "group", ours); ok {
				groups[a.Key()] = true
				r.groups = append(r.groups, a)
			}
		}
		if len(row.Password) > directory.MaxPassword {
			p.fail(row.Line, "password: longer than %d bytes", directory.MaxPassword)
		}
		p.parsed = append(p.parsed, r)
	}
	for _, r := range p.parsed {
		if err := p.conflicts(ctx, tx, r, groups); err != nil {
			return err
		}
	}
	return nil
}

// address reads one that has to be of a domain of the organisation.
func (p *importPlan) address(line int, s, what string, ours map[string]bool) (mail.Address, bool) {
	a, err := mail.ParseAddress(s)
	switch {
	case s == "":
		p.fail(line, "%s: is missing", what)
	case err != nil || a.IsNull():
		p.fail(line, "%s: %q is no e-mail address", what, s)
	case !ours[a.Domain]:
		p.fail(line, "%s: %s is not a domain of %s", what, a.Domain, p.Org)
	default:
		return a, true
	}
	return mail.Address{}, false
}

// own notes whose address it is and finds a second owner in the file.
func (p *importPlan) own(owner map[string]int, a mail.Address, line int) {
	if a.IsNull() {
		return
	}
	if first, ok := owner[a.Key()]; ok {
		p.fail(line, "%s stands in line %d already", a, first)
		return
	}
	owner[a.Key()] = line
}

// conflicts finds addresses that somebody else has.
func (p *importPlan) conflicts(ctx context.Context, tx *record.Tx, r parsedRow, groups map[string]bool) error {
	for _, a := range append([]mail.Address{r.email}, r.aliases...) {
		if a.IsNull() {
			continue
		}
		if groups[a.Key()] {
			p.fail(r.Line, "%s is a group in this file", a)
			continue
		}
		person, group, err := holder(ctx, tx, a)
		if err != nil {
			return err
		}
		switch {
		case group:
			p.fail(r.Line, "%s is a group", a)
		case person != "" && person != r.email.Key():
			p.fail(r.Line, "%s is an address of %s", a, person)
		}
	}
	for _, a := range r.groups {
		person, _, err := holder(ctx, tx, a)
		if err != nil {
			return err
		}
		if person != "" {
			p.fail(r.Line, "group: %s is an address of %s", a, person)
		}
	}
	return nil
}

// holder tells whose address exactly this is. (Resolve alone would say that
// ann+news@ is Ann's, who can be sent to there but does not hold it.)
func holder(ctx context.Context, tx *record.Tx, a mail.Address) (person string, group bool, err error) {
	r, err := tx.Directory.Resolve(ctx, a)
	if err != nil || r.Kind == directory.ToGroup {
		return "", r.Kind == directory.ToGroup, err
	}
	if r.Kind != directory.ToPerson {
		return "", false, nil
	}
	own, err := tx.Directory.OwnAddresses(ctx, r.Person.ID)
	if err != nil || !slices.Contains(own, a.Key()) {
		return "", false, err
	}
	return r.Person.Email, false, nil
}

// file makes or updates one person.
func (p *importPlan) file(ctx context.Context, tx *record.Tx, tenant mail.TenantID, r parsedRow, verifier string) (isNew bool, err error) {
	person, err := tx.Directory.PersonByEmail(ctx, r.email.String())
	switch {
	case fault.Is(err, fault.NotFound):
		isNew = true
		acc, err := tx.Mailbox.CreateAccount(ctx, tenant, mailbox.Person)
		if err != nil {
			return isNew, err
		}
		person, err = tx.Directory.CreatePerson(ctx, directory.NewPerson{
			Tenant: tenant, Account: acc.ID, Email: r.email, Name: r.Name, Aliases: r.aliases, Phone: r.Phone, PrimaryLogin: r.PrimaryLogin,
		})
		if err != nil {
			return isNew, err
		}
	case err != nil:
		return false, err
	default:
		if err := p.update(ctx, tx, person, r); err != nil {
			return false, err
		}
	}
	if isNew || slices.Contains(p.Columns, colGroups) {
		if err := setGroups(ctx, tx, tenant, person, r.groups); err != nil {
			return isNew, err
		}
	}
	if verifier == "" {
		return isNew, nil
	}
	_, err = tx.Directory.AddCredential(ctx, directory.NewCredential{Person: person.ID, Kind: directory.Passphrase, Verifier: verifier})
	return isNew, err
}

// update changes what the file has a column for.
func (p *importPlan) update(ctx context.Context, tx *record.Tx, person directory.Person, r parsedRow) error {
	for column, set := range map[string]func(){
		colName:  func() { person.Name = r.Name },
		colPhone: func() { person.Phone = r.Phone },
		colLogin: func() { person.PrimaryLogin = r.PrimaryLogin },
	} {
		if slices.Contains(p.Columns, column) {
			set()
		}
	}
	if err := tx.Directory.UpdatePerson(ctx, person); err != nil {
		return err
	}
	if !slices.Contains(p.Columns, colAliases) {
		return nil
	}
	return tx.Directory.SetAliases(ctx, person.ID, r.aliases)
}

// setGroups makes the person a member of exactly these groups; those that are
// not there are made.
func setGroups(ctx context.Context, tx *record.Tx, tenant mail.TenantID, person directory.Person, groups []mail.Address) error {
	keep := map[mail.GroupID]bool{}
	for _, addr := range groups {
		g, err := tx.Directory.GroupByAddress(ctx, addr)
		if fault.Is(err, fault.NotFound) {
			g, err = tx.Directory.CreateGroup(ctx, directory.NewGroup{Tenant: tenant, Address: addr})
		}
		if err != nil {
			return err
		}
		keep[g.ID] = true
		if err := tx.Directory.AddMember(ctx, g.ID, person.ID); err != nil {
			return err
		}
	}
	had, err := tx.Directory.GroupsOf(ctx, person.ID)
	if err != nil {
		return err
	}
	for _, g := range had {
		if keep[g.ID] {
			continue
		}
		if err := removeMember(ctx, tx, g.ID, person.ID); err != nil {
			return err
		}
	}
	return nil
}

func removeMember(ctx context.Context, tx *record.Tx, group mail.GroupID, person mail.PersonID) error {
	members, err := tx.Directory.GroupMembers(ctx, group)
	if err != nil {
		return err
	}
	left := []mail.PersonID{}
	for _, m := range members {
		if m.ID != person {
			left = append(left, m.ID)
		}
	}
	return tx.Directory.SetMembers(ctx, group, left)
}
