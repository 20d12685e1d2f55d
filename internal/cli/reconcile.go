package cli

import (
	"errors"
	"fmt"
	"net/url"
	"os"

	"relais/internal/adminapi"
	"relais/internal/reconcile"
)

type reconcileCmd struct {
	Domain string `arg:"" help:"Domain name."`
	Out    string `help:"Write the signed report to this file." placeholder:"FILE" type:"path"`
}

// Help is the long help.
func (reconcileCmd) Help() string {
	return `Reads both sides whole and compares them message by message. With --json the
answer is the signed report, as a file for relais verify.

Exit status 3: there are differences.

Example:
  relais reconcile exemple.fr --out report.json && relais verify report.json`
}

// Run compares.
func (c *reconcileCmd) Run(s *session) error {
	var r adminapi.Reconciliation
	if err := s.post("/domains/"+url.PathEscape(c.Domain)+"/reconciliations", nil, &r); err != nil {
		return err
	}
	bar := s.progress("Comparing accounts", 1)
	defer bar.end()
	for r.State == "running" {
		if r.Total > 0 {
			bar.total = r.Total
			bar.at(r.Done)
		}
		if err := s.wait(pollEvery); err != nil {
			return err
		}
		if err := s.get("/reconciliations/"+url.PathEscape(r.ID), &r); err != nil {
			return err
		}
	}
	bar.end()
	if r.State == "failed" {
		return errors.New("no report: " + r.Error)
	}
	if c.Out != "" {
		if err := os.WriteFile(c.Out, append(r.Report, '\n'), 0o600); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if s.root.JSON {
		s.printJSON(r.Report)
	} else {
		report, fingerprint, err := reconcile.Verify(r.Report, "")
		if err != nil {
			return err
		}
		t := newTable(s.Stdout)
		reportTable(t, report, fingerprint)
		t.flush()
	}
	if r.Differs {
		return ErrDifferences
	}
	return nil
}

func reportTable(t *table, r *reconcile.Report, fingerprint string) {
	c := r.Counts
	t.line("Reconciliation of %s at %s", r.Domain, when(r.At))
	t.line("")
	t.row("during the outage", fmt.Sprintf("%d received, %d sent, %d moved, %d flagged, %d deleted", c.Received, c.Sent, c.Moved, c.Flagged, c.Deleted))
	t.row("messages here", c.Here)
	t.row("messages at the primary", c.There)
	t.row("the same on both sides", c.Matched)
	t.row("lost", c.Lost)
	t.row("doubled", c.Doubled)
	t.row("other flags", c.Flags)
	t.row("other folder", c.Folder)
	t.row("other date", c.Date)
	t.row("other content", c.Content)
	t.row("only at the primary", c.Extra)
	t.row("under way", c.UnderWay)
	t.row("refused by the primary", c.Refused)
	t.row("key of the signature", fingerprint)
	for _, d := range r.Differences {
		t.line("")
		t.line("%s  %s  %s", d.Kind, d.Account, oneLine(d.MessageID))
		if d.Here != "" || d.There != "" {
			t.line("  here %q, at the primary %q", d.Here, d.There)
		}
	}
	for _, f := range r.Refused {
		t.line("")
		t.line("refused  %s  %s %s", f.Account, f.Operation, oneLine(f.Folder))
		t.line("  the server said: %s", oneLine(f.Words))
	}
}

type verifyCmd struct {
	File string `arg:"" type:"existingfile" help:"Signed report." placeholder:"FILE"`
	Key  string `help:"Public key that must have signed it, base64 (default: the one in the file, shown to compare)." placeholder:"KEY"`
}

// Help is the long help.
func (verifyCmd) Help() string {
	return `Works anywhere, without a node.

Exit status 1: altered, or no report. 3: genuine, and it lists differences.

Example:
  relais verify report.json`
}

// maxReport bounds what is read, 256 MiB.
const maxReport = 256 << 20

// verified is what --json says of a report.
type verified struct {
	Valid       bool              `json:"valid"`
	Fingerprint string            `json:"fingerprint"`
	Report      *reconcile.Report `json:"report"`
}

// Run verifies.
func (c *verifyCmd) Run(s *session) error {
	if info, err := os.Stat(c.File); err == nil && info.Size() > maxReport {
		return errors.New("read report: larger than 256 MiB")
	}
	file, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	report, fingerprint, err := reconcile.Verify(file, c.Key)
	if err != nil {
		return err
	}
	s.answer(verified{true, fingerprint, report}, func(t *table) {
		t.line("The signature is genuine.")
		reportTable(t, report, fingerprint)
	})
	if report.Open() > 0 {
		return ErrDifferences
	}
	return nil
}
