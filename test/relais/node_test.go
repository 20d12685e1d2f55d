package relais_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relais/test/postgres"
	"relais/test/relais"
)

func TestNodeServesAndEnds(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			cfg := relais.Config{}
			if store == "postgres" {
				cfg.Store = postgres.Start(t).Database()
			}
			n := relais.New(t, cfg)
			if a := n.Run("status"); a.Status != relais.Unreachable {
				t.Errorf("without a running node: %s", a)
			}
			n.Serve()
			for _, addr := range []string{n.MX(), n.Submission(), n.Submissions(), n.IMAP(), n.IMAPS()} {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Errorf("ready, but %v", err)
					continue
				}
				_ = c.Close()
			}
			if pid, err := os.ReadFile(filepath.Join(n.Dir, "relais.pid")); err != nil || strings.TrimSpace(string(pid)) == "" {
				t.Errorf("relais.pid holds %q, %v", pid, err)
			}
			n.Kill()
			n.Serve()
			n.Must("status", "--json")
			n.Stop()
			n.Must("check", "--json")
		})
	}
}
