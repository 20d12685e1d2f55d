package recordtest

import (
	"context"
	"testing"

	"relais/internal/db"
	"relais/internal/record"
)

// Run runs the suite that every engine passes. open gives an empty, migrated
// engine of its own to each test; the suite closes it.
func Run(t *testing.T, open func(testing.TB) db.Engine) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b *Bundle)
	}{
		{"Engine/undoes what failed", testUndo},
		{"Engine/shows a snapshot", testSnapshot},
		{"Engine/survives a panic", testPanic},
		{"Engine/takes odd text", testOddText},
		{"Engine/counts without a gap under load", testConcurrent},
		{"Mailbox/born with defaults", testDefaults},
		{"Mailbox/names", testNames},
		{"Mailbox/rename takes children along", testRename},
		{"Mailbox/delete keeps tombstones", testDeleteMailbox},
		{"Mailbox/a lost role is made again", testLostRole},
		{"Placement/life", testLife},
		{"Placement/same flags are no change", testSameFlags},
		{"Placement/pages", testPages},
		{"Placement/copies and moves across accounts", testAcrossAccounts},
		{"Thread/joins", testThreads},
		{"Directory/resolves", testResolve},
		{"Directory/unique and removed", testUnique},
		{"Directory/signs in", testSignIn},
		{"Duty/passes", testDutyPasses},
		{"Duty/claims by arrival", testDutyClaims},
		{"Duty/group", testDutyGroup},
		{"Job/claims, retries, gives up", testJobs},
		{"Job/runs", testRunner},
		{"Audit/chain", testAudit},
		{"Link/keeps history", testLinks},
		{"Continuity/passes, asks, returns", testContinuity},
		{"File/one body for all", testFileMany},
		{"File/concurrent same body", testFileSameBody},
		{"File/suppresses a repeat", testRepeat},
		{"File/fails whole", testFileFails},
		{"File/a body moves", testMoveBody},
		{"Watch/tells", testWatch},
		{"Check/finds what is broken", testCheck},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := Over(t, open(t))
			test.run(t, b)
			if !t.Failed() {
				b.Sound()
			}
		})
	}
}

// Sound ends the test unless the record passes its own check, bodies included.
func (b *Bundle) Sound() {
	b.T.Helper()
	report, err := b.Check(b.T.Context(), record.CheckOptions{Bodies: true})
	if err != nil {
		b.T.Fatal(err)
	}
	for _, v := range report.Violations {
		b.T.Errorf("%s: %s", v.Invariant, v.Where)
	}
}

// want ends the test unless got is what was wanted.
func want[T comparable](t testing.TB, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Fatalf("%s: got %v, want %v", what, got, wanted)
	}
}

type updater = func(ctx context.Context, tx *record.Tx) error
