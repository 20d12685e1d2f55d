package story

import (
	"testing"
	"time"

	"relais/internal/demo/traffic"
	"relais/test/relais"
)

// Carry runs a node that carries a company's mail alone: its domain has no primary to relay to or to mirror.
func Carry(t testing.TB, c traffic.Company, cfg relais.Config) *relais.Node {
	t.Helper()
	n := relais.New(t, cfg)
	n.Serve()
	n.Must("org", "add", Org)
	n.Must("domain", "add", c.Domain, "--org", Org, "--topology", "inpath")
	n.Must("people", "import", PeopleFile(t, c), "--org", Org)
	return n
}

// OpenAlone is Open without a primary: the node carries the company's mail, the history lies there.
func OpenAlone(t testing.TB, o Options) *Stage {
	t.Helper()
	s := newStage(t, o)
	s.Node = Carry(t, s.Company, s.nodeConfig())
	t.Cleanup(s.Silence) // before the node goes
	s.check(traffic.Load(s.Book, s.Node.IMAP(), s.Writer("history").History(o.Size.History, time.Now())))
	s.Say("relais carries %d messages of history for %d people", s.Book.Messages(), len(s.Company.Staff))
	return s
}
