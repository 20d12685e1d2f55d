package cli

import (
	"os"

	"relais/internal/config"
)

type initCmd struct {
	Store    string `help:"Database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE." placeholder:"URL"`
	Hostname string `help:"Full name of this node (default: the machine's)." placeholder:"NAME"`
	PortBase int    `help:"Add N to each usual port: N+25, N+587, N+465, N+143, N+993, N+80, N+443, N+90." placeholder:"N"`
	Loopback bool   `help:"Listen on 127.0.0.1 only, allow plaintext sign-in there, exempt 127/8 from limits."`
}

// Help is the long help.
func (initCmd) Help() string {
	return `Example:
  relais init --data /var/lib/relais --hostname relais.example.com
  relais init --data ./try --port-base 10000 --loopback`
}

// Run makes the node.
func (c *initCmd) Run(s *session) error {
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	host := c.Hostname
	switch {
	case host != "":
	case c.Loopback:
		host = "localhost"
	default:
		if host, err = os.Hostname(); err != nil {
			return usagef("the machine has no name: give --hostname")
		}
	}
	r, err := s.Local.Init(s.ctx, config.Choices{
		Dir: dir, Hostname: host, Store: c.Store, PortBase: c.PortBase, Loopback: c.Loopback,
	})
	if err != nil {
		return err
	}
	s.answer(r, func(t *table) {
		t.line("Made a node in %s.", r.Dir)
		t.line("")
		t.row("configuration", r.Config)
		t.row("store", r.Store)
		t.row("key file", r.KeyFile)
		t.row("administrator", r.Administrator)
		t.row("token, shown once", r.Token)
		t.line("")
		t.line("Copy the key file to a safe place now: without it no message can be read,")
		t.line("and whoever has it and the store can read them all.")
		if r.SelfSigned {
			t.line("")
			t.line("The certificate is self-signed: mail programs will warn. Replace it as [tls] in the configuration says.")
		}
		t.line("")
		t.line("Next steps:")
		t.line("  relais serve --config %s", r.Config)
		t.line("  export RELAIS_DATA=%s", r.Dir)
		t.line("  relais org add ORG")
		t.line("  relais domain add DOMAIN --org ORG --topology inpath")
		t.line("  relais primary add DOMAIN --imap HOST:PORT --imap-tls tls --smtp HOST:PORT --smtp-tls starttls --master USER --secret-file FILE")
		t.line("  relais people import FILE.csv --org ORG")
	})
	return nil
}
