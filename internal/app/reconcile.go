package app

import (
	"context"
	"time"

	"relais/internal/adminapi"
	"relais/internal/clock"
	"relais/internal/continuity"
	"relais/internal/directory"
	"relais/internal/mail"
	"relais/internal/mirror"
	"relais/internal/reconcile"
	"relais/internal/record"
)

// reconciler compares ledgers with primaries, signs what it finds and keeps it.
type reconciler struct {
	store   *record.Store
	node    string
	connect mirror.Connector
	signer  *reconcile.Signer
}

var (
	_ adminapi.Reconciler   = reconciler{}
	_ continuity.Reconciler = reconcilerForReturn{}
)

// compare walks both sides of a domain. What came or changed here after until
// (zero: no such moment) is under way by the normal course: its difference is
// marked as expected.
func (r reconciler) compare(ctx context.Context, d directory.Domain, since, until time.Time, progress func(done, of int)) (*reconcile.Report, error) {
	var p directory.Primary
	err := r.store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		p, err = tx.Directory.Primary(ctx, d.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	walk := reconcile.Reconciler{Store: r.store, Node: r.node, Connect: r.connect, Clock: clock.System{}}
	report, err := walk.Run(ctx, d, p, since, progress)
	if err != nil || until.IsZero() {
		return report, err
	}
	return report, r.store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i := range report.Differences {
			diff := &report.Differences[i]
			if diff.Placement == 0 {
				continue
			}
			life, err := tx.Mailbox.ChangesOf(ctx, diff.Placement)
			if err != nil {
				return err
			}
			diff.Expected = diff.Expected || len(life) > 0 && life[len(life)-1].At.After(until)
		}
		return nil
	})
}

// Reconcile compares, signs and keeps the report for an administrator who asks.
func (r reconciler) Reconcile(ctx context.Context, d directory.Domain, _ string, progress func(done, of int)) ([]byte, bool, error) {
	var since time.Time
	err := r.store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		c, err := tx.Continuity.Current(ctx, d.ID)
		since = c.OutageAt
		return err
	})
	if err != nil {
		return nil, false, err
	}
	report, err := r.compare(ctx, d, since, time.Time{}, progress)
	if err != nil {
		return nil, false, err
	}
	file, err := r.signer.Sign(report)
	if err != nil {
		return nil, false, err
	}
	err = r.store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Continuity.AddReport(ctx, continuity.Report{Domain: d.ID, Kind: "reconcile", JSON: file})
		return err
	})
	return file, report.Open() > 0, err
}

// unexplained counts the differences that nothing explains. While neither side
// moves nothing is under way: what is, must be waited for.
func unexplained(r *reconcile.Report) int {
	n := 0
	for _, d := range r.Differences {
		if !d.Expected {
			n++
		}
	}
	return n
}

// reconcilerForReturn compares for a return, which keeps the report itself.
type reconcilerForReturn struct{ reconciler }

// Reconcile compares while neither side moves.
func (r reconcilerForReturn) Reconcile(ctx context.Context, domain mail.DomainID, since, until time.Time) (continuity.Reconciliation, error) {
	var d directory.Domain
	err := r.store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		d, err = tx.Directory.DomainByID(ctx, domain)
		return err
	})
	if err != nil {
		return continuity.Reconciliation{}, err
	}
	report, err := r.compare(ctx, d, since, until, nil)
	if err != nil {
		return continuity.Reconciliation{}, err
	}
	file, err := r.signer.Sign(report)
	out := continuity.Reconciliation{Differences: unexplained(report), Report: file}
	for _, f := range report.Refused {
		if f.AcceptedBy == "" {
			out.Refused++
		}
	}
	return out, err
}
