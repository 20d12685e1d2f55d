package cli

import (
	"bufio"
	"fmt"
	"net/url"
	"strings"

	"relais/internal/adminapi"
)

type peopleCmd struct {
	Import      peopleImportCmd   `cmd:"" help:"Import people from a CSV file."`
	List        peopleListCmd     `cmd:"" help:"List the people."`
	Show        peopleShowCmd     `cmd:"" help:"Show a person."`
	Remove      peopleRemoveCmd   `cmd:"" help:"Remove a person; the mail is kept."`
	Password    peoplePasswordCmd `cmd:"" help:"Set a person's password."`
	AppPassword appPasswordCmd    `cmd:"" name:"app-password" help:"Passwords for programs and devices."`
}

func personURL(email string) string { return "/people/" + url.PathEscape(email) }

type peopleListCmd struct {
	Org string `help:"Of this organisation alone." placeholder:"ORG"`
}

// Help is the long help.
func (peopleListCmd) Help() string {
	return `Example:
  relais people list --org exemple`
}

// Run lists them.
func (c *peopleListCmd) Run(s *session) error {
	var l adminapi.People
	if err := s.get("/people?org="+url.QueryEscape(c.Org), &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("EMAIL", "NAME", "ORG", "ALIASES", "GROUPS")
		for _, p := range l.People {
			t.row(p.Email, p.Name, p.Org, strings.Join(p.Aliases, " "), strings.Join(p.Groups, " "))
		}
	})
	return nil
}

type peopleShowCmd struct {
	Email string `arg:"" help:"Main address."`
}

// Help is the long help.
func (peopleShowCmd) Help() string {
	return `Example:
  relais people show ann@exemple.fr`
}

// Run shows her.
func (c *peopleShowCmd) Run(s *session) error {
	var p adminapi.Person
	if err := s.get(personURL(c.Email), &p); err != nil {
		return err
	}
	s.answer(p, func(t *table) {
		t.row("address", p.Email)
		t.row("name", p.Name)
		t.row("organisation", p.Org)
		t.row("aliases", strings.Join(p.Aliases, " "))
		t.row("groups", strings.Join(p.Groups, " "))
		t.row("phone", p.Phone)
		t.row("sign-in name at the primary", p.PrimaryLogin)
		t.row("since", when(p.Created))
	})
	return nil
}

type peopleRemoveCmd struct {
	Email string `arg:"" help:"Main address."`
}

// Help is the long help.
func (peopleRemoveCmd) Help() string {
	return `Example:
  relais people remove ann@exemple.fr`
}

// Run removes her.
func (c *peopleRemoveCmd) Run(s *session) error {
	return s.remove(personURL(c.Email), "person", c.Email)
}

type peoplePasswordCmd struct {
	Email string `arg:"" help:"Main address."`
	Stdin bool   `help:"Read the password from standard input, one line."`
}

// Help is the long help.
func (peoplePasswordCmd) Help() string {
	return `Without --stdin Relais makes a password and shows it once.

Example:
  relais people password ann@exemple.fr`
}

// Run sets it.
func (c *peoplePasswordCmd) Run(s *session) error {
	var n adminapi.NewPassword
	if c.Stdin {
		line, err := bufio.NewReader(s.Stdin).ReadString('\n')
		if n.Password = strings.TrimRight(line, "\r\n"); n.Password == "" {
			return fmt.Errorf("read password: standard input holds none (%w)", err)
		}
	}
	var p adminapi.Password
	if err := s.post(personURL(c.Email)+"/password", n, &p); err != nil {
		return err
	}
	s.answer(p, func(t *table) {
		t.line("Set the password of %s.", p.Email)
		if p.Password != "" {
			t.line("It is: %s", p.Password)
		}
	})
	return nil
}

type appPasswordCmd struct {
	Add    appPasswordAddCmd    `cmd:"" default:"withargs" help:"Make an app password; shown once."`
	List   appPasswordListCmd   `cmd:"" help:"List a person's app passwords."`
	Remove appPasswordRemoveCmd `cmd:"" help:"Revoke an app password."`
}

type appPasswordAddCmd struct {
	Email string `arg:"" help:"Main address."`
	Label string `default:"app" help:"What it is for." placeholder:"TEXT"`
}

// Help is the long help.
func (appPasswordAddCmd) Help() string {
	return `Example:
  relais people app-password ann@exemple.fr --label phone`
}

// Run makes it.
func (c *appPasswordAddCmd) Run(s *session) error {
	var p adminapi.AppPassword
	if err := s.post(personURL(c.Email)+"/app-passwords", adminapi.NewAppPassword{Label: c.Label}, &p); err != nil {
		return err
	}
	s.answer(p, func(t *table) {
		t.line("App password %d of %s: %s", p.ID, p.Email, p.Password)
	})
	return nil
}

type appPasswordListCmd struct {
	Email string `arg:"" help:"Main address."`
}

// Help is the long help.
func (appPasswordListCmd) Help() string {
	return `Example:
  relais people app-password list ann@exemple.fr`
}

// Run lists them.
func (c *appPasswordListCmd) Run(s *session) error {
	var l adminapi.AppPasswords
	if err := s.get(personURL(c.Email)+"/app-passwords", &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("ID", "LABEL", "MADE", "LAST USED")
		for _, p := range l.AppPasswords {
			t.row(p.ID, p.Label, when(p.Created), when(p.LastUsed))
		}
	})
	return nil
}

type appPasswordRemoveCmd struct {
	Email string `arg:"" help:"Main address."`
	ID    string `arg:"" help:"Number, as list shows it."`
}

// Help is the long help.
func (appPasswordRemoveCmd) Help() string {
	return `Example:
  relais people app-password remove ann@exemple.fr 3`
}

// Run revokes it.
func (c *appPasswordRemoveCmd) Run(s *session) error {
	return s.remove(personURL(c.Email)+"/app-passwords/"+url.PathEscape(c.ID), "app password", c.ID)
}
