package cli

import (
	"fmt"

	"relais/internal/fault"
	"relais/internal/record"
)

type checkCmd struct {
	Store bool `help:"Read, decrypt and compare every stored body too."`
}

// Help is the long help.
func (checkCmd) Help() string {
	return `Verifies the ledger's rows against each other and every reference to a body;
with --store also every body. Works with or without a running node.

Exit status 3: something does not hold.

Example:
  relais check --store --data /var/lib/relais`
}

// Run checks.
func (c *checkCmd) Run(s *session) error {
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	bar := s.progress("Checking", 1)
	r, err := s.Local.Check(s.ctx, dir, c.Store, func(step string, done, total int64) {
		bar.label, bar.total = "Checking "+step, int(max(total, 1))
		bar.at(int(done))
	})
	bar.end()
	if fault.Is(err, fault.Conflict) { // a node runs: it checks itself
		r = &record.Report{}
		err = s.post(fmt.Sprintf("/check?bodies=%v", c.Store), nil, r)
	}
	if err != nil {
		return err
	}
	s.answer(r, func(t *table) {
		t.row("accounts", r.Accounts)
		t.row("messages", r.Messages)
		t.row("events", r.Changes)
		t.row("bodies", r.Bodies)
		for _, d := range r.Damaged {
			t.line("Damaged, and needed by nothing: %s", oneLine(d))
		}
		for _, v := range r.Violations {
			t.line("Does not hold: %s", v.Invariant)
			t.line("  %s", oneLine(v.Where))
		}
		if len(r.Violations) == 0 {
			t.line("Everything holds.")
		}
	})
	if len(r.Violations) > 0 {
		return ErrDifferences
	}
	return nil
}
