package story

import (
	"testing"

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
