package cli

import (
	"net/http"
	"net/url"
	"strings"

	"relais/internal/adminapi"
)

type orgCmd struct {
	Add    orgAddCmd    `cmd:"" help:"Make an organisation."`
	List   orgListCmd   `cmd:"" help:"List the organisations."`
	Show   orgShowCmd   `cmd:"" help:"Show an organisation."`
	Remove orgRemoveCmd `cmd:"" help:"Remove an organisation without domains."`
}

type orgAddCmd struct {
	Org  string `arg:"" help:"Short name: lower-case letters, digits, hyphens."`
	Name string `help:"Full name." placeholder:"NAME"`
}

// Help is the long help.
func (orgAddCmd) Help() string {
	return `Example:
  relais org add exemple --name "Exemple SARL"`
}

// Run makes the organisation.
func (c *orgAddCmd) Run(s *session) error {
	var o adminapi.Org
	if err := s.post("/orgs", adminapi.NewOrg{Org: c.Org, Name: c.Name}, &o); err != nil {
		return err
	}
	s.answer(o, func(t *table) { t.line("Made the organisation %s.", o.Org) })
	return nil
}

type orgListCmd struct{}

// Help is the long help.
func (orgListCmd) Help() string {
	return `Example:
  relais org list`
}

// Run lists them.
func (orgListCmd) Run(s *session) error {
	var l adminapi.Orgs
	if err := s.get("/orgs", &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("ORG", "NAME", "DOMAINS", "PEOPLE")
		for _, o := range l.Orgs {
			t.row(o.Org, o.Name, strings.Join(o.Domains, " "), o.People)
		}
	})
	return nil
}

type orgShowCmd struct {
	Org string `arg:"" help:"Short name."`
}

// Help is the long help.
func (orgShowCmd) Help() string {
	return `Example:
  relais org show exemple`
}

// Run shows it.
func (c *orgShowCmd) Run(s *session) error {
	var o adminapi.Org
	if err := s.get("/orgs/"+url.PathEscape(c.Org), &o); err != nil {
		return err
	}
	s.answer(o, func(t *table) {
		t.row("organisation", o.Org)
		t.row("name", o.Name)
		t.row("since", when(o.Created))
		t.row("domains", strings.Join(o.Domains, " "))
		t.row("people", o.People)
	})
	return nil
}

type orgRemoveCmd struct {
	Org string `arg:"" help:"Short name."`
}

// Help is the long help.
func (orgRemoveCmd) Help() string {
	return `Example:
  relais org remove exemple`
}

// Run removes it.
func (c *orgRemoveCmd) Run(s *session) error {
	return s.remove("/orgs/"+url.PathEscape(c.Org), "organisation", c.Org)
}

// removed is what --json says of a removal.
type removed struct {
	Removed string `json:"removed"`
}

// remove removes a resource and says so.
func (s *session) remove(path, kind, name string) error {
	if err := s.call(http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	s.answer(removed{name}, func(t *table) { t.line("Removed the %s %s.", kind, name) })
	return nil
}
