package cli

import (
	"net/http"
	"net/url"

	"relais/internal/adminapi"
)

type domainCmd struct {
	Add    domainAddCmd    `cmd:"" help:"Add a domain to an organisation."`
	Set    domainSetCmd    `cmd:"" help:"Change how a domain behaves."`
	List   domainListCmd   `cmd:"" help:"List the domains."`
	Show   domainShowCmd   `cmd:"" help:"Show a domain and the DNS records to publish."`
	Remove domainRemoveCmd `cmd:"" help:"Remove a domain without people."`
}

type domainAddCmd struct {
	Domain   string `arg:"" help:"Domain name."`
	Org      string `required:"" help:"Its organisation." placeholder:"ORG"`
	Topology string `required:"" enum:"inpath,backup,journal,pull" help:"How it is connected: inpath, backup, journal or pull." placeholder:"T"`
	Failover string `enum:"auto,ask," default:"" help:"Switch by itself or ask: auto or ask (default: auto for inpath, else ask)." placeholder:"F"`
}

// Help is the long help.
func (domainAddCmd) Help() string {
	return `Makes the domain's DKIM keys and prints the DNS records to publish.

Example:
  relais domain add exemple.fr --org exemple --topology inpath`
}

// Run adds the domain.
func (c *domainAddCmd) Run(s *session) error {
	var d adminapi.Domain
	err := s.post("/domains", adminapi.NewDomain{Domain: c.Domain, Org: c.Org, Topology: c.Topology, Failover: c.Failover}, &d)
	if err != nil {
		return err
	}
	s.answer(d, func(t *table) {
		t.line("Added the domain %s.", d.Domain)
		records(t, d.Records)
	})
	return nil
}

func records(t *table, rs []adminapi.DNSRecord) {
	if len(rs) == 0 {
		return
	}
	t.line("")
	t.line("DNS records to publish:")
	for _, r := range rs {
		t.line("")
		t.line("; %s", r.For)
		t.line("%s %s %s", r.Name, r.Type, r.Value)
	}
}

type domainSetCmd struct {
	Domain   string `arg:"" help:"Domain name."`
	Failover string `enum:"auto,ask," default:"" help:"Switch by itself or ask people first: auto or ask." placeholder:"F"`
	OwnMail  string `enum:"mark,refuse," default:"" help:"Unauthenticated mail from outside that claims to come from here: mark or refuse." placeholder:"M"`
}

// Help is the long help.
func (domainSetCmd) Help() string {
	return `Example:
  relais domain set exemple.fr --failover ask`
}

// Run changes the domain.
func (c *domainSetCmd) Run(s *session) error {
	if c.Failover == "" && c.OwnMail == "" {
		return usagef("nothing to set: give --failover or --own-mail")
	}
	var d adminapi.Domain
	err := s.call(http.MethodPatch, "/domains/"+url.PathEscape(c.Domain), adminapi.DomainChange{Failover: c.Failover, OwnMail: c.OwnMail}, &d)
	if err != nil {
		return err
	}
	s.answer(d, func(t *table) { domainRows(t, d) })
	return nil
}

type domainListCmd struct{}

// Help is the long help.
func (domainListCmd) Help() string {
	return `Example:
  relais domain list --json`
}

// Run lists them.
func (domainListCmd) Run(s *session) error {
	var l adminapi.Domains
	if err := s.get("/domains", &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("DOMAIN", "ORG", "TOPOLOGY", "FAILOVER", "PEOPLE", "PRIMARY")
		for _, d := range l.Domains {
			primary := "-"
			if d.Primary != nil {
				primary = d.Primary.IMAP
			}
			t.row(d.Domain, d.Org, d.Topology, d.Failover, d.People, primary)
		}
	})
	return nil
}

type domainShowCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (domainShowCmd) Help() string {
	return `Example:
  relais domain show exemple.fr`
}

// Run shows it.
func (c *domainShowCmd) Run(s *session) error {
	var d adminapi.Domain
	if err := s.get("/domains/"+url.PathEscape(c.Domain), &d); err != nil {
		return err
	}
	s.answer(d, func(t *table) {
		domainRows(t, d)
		records(t, d.Records)
	})
	return nil
}

func domainRows(t *table, d adminapi.Domain) {
	t.row("domain", d.Domain)
	t.row("organisation", d.Org)
	t.row("topology", d.Topology)
	t.row("failover", d.Failover)
	t.row("own mail", d.OwnMail)
	t.row("people", d.People)
	if d.Primary != nil {
		t.row("primary", d.Primary.IMAP+" (IMAP, "+d.Primary.IMAPTLS+"), "+d.Primary.SMTP+" (SMTP, "+d.Primary.SMTPTLS+")")
	}
}

type domainRemoveCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (domainRemoveCmd) Help() string {
	return `Example:
  relais domain remove exemple.fr`
}

// Run removes it.
func (c *domainRemoveCmd) Run(s *session) error {
	return s.remove("/domains/"+url.PathEscape(c.Domain), "domain", c.Domain)
}
