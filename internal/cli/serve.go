package cli

import (
	"path/filepath"

	"relais/internal/config"
)

type serveCmd struct {
	Config string `help:"Configuration file (default: relais.toml in the data directory)." placeholder:"FILE"`
}

// Help is the long help.
func (serveCmd) Help() string {
	return `Prints "ready" on a line of standard output when every listener accepts, and
logs to standard error. SIGTERM ends it within ten seconds.

Example:
  relais serve --config /var/lib/relais/relais.toml`
}

// Run runs the node until it is told to end.
func (c *serveCmd) Run(s *session) error {
	file := c.Config
	if file == "" {
		dir, err := s.dataDir()
		if err != nil {
			return usagef("which node? Give --config FILE, --data DIR, or set RELAIS_DATA")
		}
		file = filepath.Join(dir, config.FileName)
	}
	return s.Local.Serve(s.ctx, file, s.Stdout, s.Stderr)
}
