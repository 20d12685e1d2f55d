package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"relais/internal/adminapi"
)

type primaryCmd struct {
	Add    primaryAddCmd    `cmd:"" help:"Connect a domain's first mail system."`
	List   primaryListCmd   `cmd:"" help:"List the primaries."`
	Show   primaryShowCmd   `cmd:"" help:"Show a primary."`
	Remove primaryRemoveCmd `cmd:"" help:"Disconnect a primary; what is mirrored stays."`
}

type primaryAddCmd struct {
	Domain       string        `arg:"" help:"Domain name."`
	IMAP         string        `required:"" name:"imap" help:"IMAP server." placeholder:"HOST:PORT"`
	IMAPTLS      string        `required:"" name:"imap-tls" enum:"none,starttls,tls" help:"none, starttls or tls." placeholder:"HOW"`
	SMTP         string        `required:"" name:"smtp" help:"SMTP server that takes the domain's mail." placeholder:"HOST:PORT"`
	SMTPTLS      string        `required:"" name:"smtp-tls" enum:"none,starttls,tls" help:"none, starttls or tls." placeholder:"HOW"`
	CA           string        `name:"ca" xor:"trust" type:"existingfile" help:"Authority to trust, PEM." placeholder:"FILE"`
	Pin          string        `xor:"trust" help:"SHA-256 of the server's public key." placeholder:"SHA256"`
	Master       string        `required:"" help:"Master user that may open every mailbox." placeholder:"USER"`
	SecretFile   string        `required:"" type:"existingfile" help:"File with the master user's password." placeholder:"FILE"`
	ProbeEvery   time.Duration `help:"Probe period." placeholder:"DUR"`
	ProbeAddress string        `help:"Mailbox for the marked round trip." placeholder:"ADDRESS"`
}

// Help is the long help.
func (primaryAddCmd) Help() string {
	return `Without --ca and --pin the server's key is trusted on first use, and its pin printed.

Example:
  relais primary add exemple.fr --imap mail.exemple.fr:993 --imap-tls tls \
    --smtp mail.exemple.fr:25 --smtp-tls starttls --master relais --secret-file ./secret --probe-every 1s`
}

// Run connects it.
func (c *primaryAddCmd) Run(s *session) error {
	secret, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	n := adminapi.NewPrimary{
		IMAP: c.IMAP, IMAPTLS: c.IMAPTLS, SMTP: c.SMTP, SMTPTLS: c.SMTPTLS, Pin: c.Pin,
		Master: c.Master, Secret: strings.TrimRight(string(secret), "\r\n"), ProbeAddress: c.ProbeAddress,
	}
	if c.ProbeEvery != 0 {
		n.ProbeEvery = c.ProbeEvery.String()
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("read authority: %w", err)
		}
		n.CA = string(pem)
	}
	var p adminapi.Primary
	if err := s.call(http.MethodPut, "/domains/"+url.PathEscape(c.Domain)+"/primary", n, &p); err != nil {
		return err
	}
	s.answer(p, func(t *table) {
		t.line("Connected the primary of %s.", p.Domain)
		if p.Trusted {
			t.line("Trusted on first use; compare with what the server's keeper says:")
			primaryPins(t, p)
		}
	})
	return nil
}

func primaryPins(t *table, p adminapi.Primary) {
	if p.PinIMAP != "" {
		t.row("pin of IMAP", p.PinIMAP)
	}
	if p.PinSMTP != "" {
		t.row("pin of SMTP", p.PinSMTP)
	}
}

type primaryListCmd struct{}

// Help is the long help.
func (primaryListCmd) Help() string {
	return `Example:
  relais primary list`
}

// Run lists them.
func (primaryListCmd) Run(s *session) error {
	var l adminapi.Primaries
	if err := s.get("/primaries", &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("DOMAIN", "IMAP", "TLS", "SMTP", "TLS", "MASTER", "PROBE EVERY")
		for _, p := range l.Primaries {
			t.row(p.Domain, p.IMAP, p.IMAPTLS, p.SMTP, p.SMTPTLS, p.Master, p.ProbeEvery)
		}
	})
	return nil
}

type primaryShowCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (primaryShowCmd) Help() string {
	return `Example:
  relais primary show exemple.fr`
}

// Run shows it.
func (c *primaryShowCmd) Run(s *session) error {
	var p adminapi.Primary
	if err := s.get("/domains/"+url.PathEscape(c.Domain)+"/primary", &p); err != nil {
		return err
	}
	s.answer(p, func(t *table) {
		t.row("domain", p.Domain)
		t.row("IMAP", p.IMAP, p.IMAPTLS)
		t.row("SMTP", p.SMTP, p.SMTPTLS)
		primaryPins(t, p)
		t.row("master user", p.Master)
		t.row("probe every", p.ProbeEvery)
		if !p.Rebuilt.IsZero() {
			t.row("declared rebuilt", when(p.Rebuilt))
		}
	})
	return nil
}

type primaryRemoveCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (primaryRemoveCmd) Help() string {
	return `Example:
  relais primary remove exemple.fr`
}

// Run removes it.
func (c *primaryRemoveCmd) Run(s *session) error {
	return s.remove("/domains/"+url.PathEscape(c.Domain)+"/primary", "primary of", c.Domain)
}
