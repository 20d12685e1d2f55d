package cli

import (
	"net/http"
	"net/url"
	"strings"

	"relais/internal/adminapi"
)

type groupCmd struct {
	Set    groupSetCmd    `cmd:"" help:"Make a group, or replace its members."`
	List   groupListCmd   `cmd:"" help:"List the groups."`
	Show   groupShowCmd   `cmd:"" help:"Show a group."`
	Remove groupRemoveCmd `cmd:"" help:"Remove a group."`
}

type groupSetCmd struct {
	Address string   `arg:"" help:"The group's address."`
	Members []string `arg:"" optional:"" help:"Addresses of its members."`
	Name    string   `help:"Name of a new group." placeholder:"NAME"`
}

// Help is the long help.
func (groupSetCmd) Help() string {
	return `Example:
  relais group set tous@exemple.fr ann@exemple.fr bob@exemple.fr`
}

// Run makes or changes it.
func (c *groupSetCmd) Run(s *session) error {
	n := adminapi.NewGroup{Name: c.Name, Members: c.Members}
	if n.Members == nil {
		n.Members = []string{}
	}
	var g adminapi.Group
	if err := s.call(http.MethodPut, "/groups/"+url.PathEscape(c.Address), n, &g); err != nil {
		return err
	}
	s.answer(g, func(t *table) { t.line("The group %s has %d members.", g.Address, len(g.Members)) })
	return nil
}

type groupListCmd struct{}

// Help is the long help.
func (groupListCmd) Help() string {
	return `Example:
  relais group list`
}

// Run lists them.
func (groupListCmd) Run(s *session) error {
	var l adminapi.Groups
	if err := s.get("/groups", &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("ADDRESS", "NAME", "ORG", "MEMBERS")
		for _, g := range l.Groups {
			t.row(g.Address, g.Name, g.Org, len(g.Members))
		}
	})
	return nil
}

type groupShowCmd struct {
	Address string `arg:"" help:"The group's address."`
}

// Help is the long help.
func (groupShowCmd) Help() string {
	return `Example:
  relais group show tous@exemple.fr`
}

// Run shows it.
func (c *groupShowCmd) Run(s *session) error {
	var g adminapi.Group
	if err := s.get("/groups/"+url.PathEscape(c.Address), &g); err != nil {
		return err
	}
	s.answer(g, func(t *table) {
		t.row("address", g.Address)
		t.row("name", g.Name)
		t.row("organisation", g.Org)
		t.row("members", strings.Join(g.Members, " "))
	})
	return nil
}

type groupRemoveCmd struct {
	Address string `arg:"" help:"The group's address."`
}

// Help is the long help.
func (groupRemoveCmd) Help() string {
	return `Example:
  relais group remove tous@exemple.fr`
}

// Run removes it.
func (c *groupRemoveCmd) Run(s *session) error {
	return s.remove("/groups/"+url.PathEscape(c.Address), "group", c.Address)
}
