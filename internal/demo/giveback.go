package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"relais/internal/demo/tamper"
)

// comeBack brings the old server back on the same ports, with the same people and not one message.
func (s *stage) comeBack(ctx context.Context) error {
	s.tells.heading(headReturn)
	step := s.tells.begin(rebuilding, nil)
	defer step.quit()
	rebuilt, err := s.newServer(ctx, "rebuilt", s.oldPorts.Base)
	if err != nil {
		return err
	}
	s.old = rebuilt
	step.done(rebuiltEmpty)
	return nil
}

// giveBack has Relais return everything, while mail keeps coming in.
func (s *stage) giveBack(ctx context.Context) error {
	began := time.Now()
	g := startGauge(s.old.imap(), s.company.Staff)
	defer g.close()
	step := s.tells.begin(givingBack, g.of(s.book))
	defer step.quit()
	// A new server has a new master password.
	if err := s.connect(ctx); err != nil {
		return err
	}
	if _, err := s.standby.run(ctx, "return", domainName, "--rebuilt", "--wait", timeToReturn.String()); err != nil {
		return err
	}
	s.result.ReturnTook = since(began)
	if err := s.inbound.silence(); err != nil {
		return err
	}
	s.result.Received += s.inbound.count() - s.before
	if err := s.standby.inStep(ctx, domainName, timeToMirror); err != nil {
		return err
	}
	step.done(gaveBack, s.tells.seconds(time.Since(began)))
	return nil
}

// prove counts, without Relais and with it.
func (s *stage) prove(ctx context.Context) error {
	s.tells.heading(headProof)
	step := s.tells.begin(walking, nil)
	defer step.quit()
	found, err := s.settle(ctx)
	if err != nil {
		return err
	}
	s.enter(found)
	step.done(walked, s.result.Returned, s.result.Lost, s.result.Doubled)
	if !found.empty() {
		s.tells.line("%s", found)
		return ErrDifferences
	}

	step = s.tells.begin(reconciling, nil)
	defer step.quit()
	if _, err := s.reconcile(ctx); err != nil {
		return err
	}
	r := s.result.Reconciled
	step.done(reconciled, r.Matched)
	s.tells.detail(outageCounts, r.Received, r.Sent, r.Moved, r.Flagged, r.Deleted)
	s.tells.detail(differenceCounts, r.Lost, r.Doubled, r.Extra, r.Flags, r.Folder, r.Date, r.Content, r.Refused)
	return nil
}

// betray alters the old server while the mirror is frozen, if that was asked for: Relais's report and the walk must
// both find exactly what was done. ErrDifferences then is the right end.
func (s *stage) betray(ctx context.Context) error {
	if s.Sabotage == (tamper.Kinds{}) {
		return nil
	}
	s.tells.heading(headSabotage)
	step := s.tells.begin(sabotaging, nil)
	defer step.quit()
	if _, err := s.standby.run(ctx, "mirror", "freeze", domainName, "--reason", "sabotage"); err != nil {
		return err
	}
	deeds, err := s.sabotage()
	if err != nil {
		return err
	}
	step.done(sabotaged, s.Sabotage.Lost, s.Sabotage.Doubled, s.Sabotage.Flags)

	step = s.tells.begin(reconciling, nil)
	defer step.quit()
	reported, err := s.reconcile(ctx)
	if err != nil && !foundDifferences(err) {
		return err
	}
	found, err := s.count()
	if err != nil {
		return err
	}
	s.enter(found)
	if !slices.Equal(reported, deeds) {
		return fmt.Errorf("the reconciliation reports\n  %s\nbut this was done:\n  %s", lines(reported), lines(deeds))
	}
	if walk := (tamper.Kinds{Lost: s.result.Lost, Doubled: s.result.Doubled, Flags: s.result.Differences}); walk != s.Sabotage {
		return fmt.Errorf("the walk finds %+v, but %+v was done:\n%s", walk, s.Sabotage, found)
	}
	step.done(caught)
	for _, d := range deeds {
		s.tells.line("      %s", d)
	}
	return ErrDifferences
}

func lines(deeds []tamper.Deed) string {
	all := make([]string, len(deeds))
	for i, d := range deeds {
		all[i] = d.String()
	}
	return strings.Join(all, "\n  ")
}

// reconcile has Relais compare its ledger with the old server, verifies the report's signature without a node, and
// enters what it counts. The differences come in the form of the deeds that may have caused them.
func (s *stage) reconcile(ctx context.Context) ([]tamper.Deed, error) {
	var file struct {
		Report struct {
			Counts      Reconciled
			Differences []struct {
				Account, Kind string
				MessageID     string `json:"message_id"`
			}
		}
	}
	path := filepath.Join(s.dir, "report.json")
	_, differs := s.standby.run(ctx, "reconcile", domainName, "--out", path)
	if differs != nil && !foundDifferences(differs) {
		return nil, differs
	}
	_, verified := s.standby.run(ctx, "verify", path)
	if verified != nil && !foundDifferences(verified) {
		return nil, verified
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	s.result.Reconciled = file.Report.Counts
	var out []tamper.Deed
	for _, d := range file.Report.Differences {
		out = append(out, tamper.Deed{Kind: d.Kind, Account: d.Account, ID: strings.Trim(d.MessageID, "<>")})
	}
	slices.SortFunc(out, func(a, b tamper.Deed) int { return strings.Compare(a.String(), b.String()) })
	return out, differs
}

// foundDifferences tells whether a command ended with the exit status that says so.
func foundDifferences(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && e.status == 3
}
