package recordtest

import (
	"context"
	"testing"
	"time"

	"relais/internal/continuity"
	"relais/internal/continuity/probe"
	"relais/internal/fault"
	"relais/internal/record"
)

// testContinuity passes a domain through an outage and back, with a question and a probe on the way.
func testContinuity(t *testing.T, b *Bundle) {
	d := b.Domain.ID
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		c, err := tx.Continuity.Current(ctx, d)
		want(t, "state at first", c.State, continuity.Standby)
		want(t, "since", c.Since.IsZero(), true)
		if err != nil {
			return err
		}
		err = tx.Continuity.Pass(ctx, continuity.Passage{Domain: d, From: continuity.Failing, To: continuity.Active}, time.Time{})
		want(t, "a passage from where it is not", fault.CodeOf(err), fault.Conflict)
		return nil
	})
	outage := Start.Add(-time.Minute)
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		err := tx.Continuity.Pass(ctx, continuity.Passage{Domain: d, From: continuity.Standby, To: continuity.Failing, Cause: "dead", Actor: "relais"}, time.Time{})
		if err != nil {
			return err
		}
		return tx.Continuity.Pass(ctx, continuity.Passage{Domain: d, From: continuity.Failing, To: continuity.Active, Cause: "dead", Actor: "relais", Evidence: `{"n":1}`}, outage)
	})
	var first, second int64
	b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
		if first, _, err = tx.Continuity.Ask(ctx, d, continuity.AskBack, "again?", ""); err != nil {
			return err
		}
		var filed bool
		second, filed, err = tx.Continuity.Ask(ctx, d, continuity.AskBack, "again!", "")
		want(t, "the same question filed twice", filed, false)
		want(t, "question", second, first)
		if err != nil {
			return err
		}
		row := continuity.ProbeRow{Domain: d, Node: "n", Kind: probe.SMTP, At: Start, OK: true, Took: time.Millisecond, WellAt: Start, Banner: "mx"}
		if err := tx.Continuity.SaveProbe(ctx, row); err != nil {
			return err
		}
		row.OK, row.WellAt, row.Banner, row.Words = false, time.Time{}, "", "refused"
		return tx.Continuity.SaveProbe(ctx, row)
	})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		c, err := tx.Continuity.Current(ctx, d)
		want(t, "state", c.State, continuity.Active)
		want(t, "outage", c.OutageAt.Equal(outage), true)
		if err != nil {
			return err
		}
		log, err := tx.Continuity.Log(ctx, d, 10)
		want(t, "passages", len(log), 2)
		want(t, "the last", log[0].To, continuity.Active)
		want(t, "evidence", log[0].Evidence, `{"n":1}`)
		if err != nil {
			return err
		}
		probes, err := tx.Continuity.Probes(ctx, d)
		want(t, "probes", len(probes), 1)
		want(t, "ok", probes[0].OK, false)
		want(t, "the last success is kept", probes[0].WellAt.Equal(Start), true)
		want(t, "banner", probes[0].Banner, "mx")
		return err
	})
	var r continuity.Return
	b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
		if err := tx.Continuity.Settle(ctx, d, "returned", "root", continuity.AskBack, continuity.AskFailover); err != nil {
			return err
		}
		open, err := tx.Continuity.Open(ctx, 0)
		want(t, "open questions", len(open), 0)
		if err != nil {
			return err
		}
		r, err = tx.Continuity.BeginReturn(ctx, continuity.Return{Domain: d, Actor: "root", Rebuilt: true, Gate: "{}", Phase: continuity.Declare})
		return err
	})
	b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
		if r.Report, err = tx.Continuity.AddReport(ctx, continuity.Report{Domain: d, Kind: "return", JSON: []byte(`{"a":1}`)}); err != nil {
			return err
		}
		r.Phase, r.Rounds, r.DrainAt = continuity.Drain, 1, Start
		if err := tx.Continuity.Advance(ctx, r, continuity.Declare); err != nil {
			return err
		}
		want(t, "the same step again", fault.CodeOf(tx.Continuity.Advance(ctx, r, continuity.Declare)), fault.Conflict)
		return nil
	})
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		got, ok, err := tx.Continuity.OpenReturn(ctx, d)
		want(t, "under way", ok, true)
		want(t, "rebuilt", got.Rebuilt, true)
		want(t, "phase", got.Phase, continuity.Drain)
		want(t, "drained since", got.DrainAt.Equal(Start), true)
		if err != nil {
			return err
		}
		got.EndedAt, got.Outcome = tx.Now, continuity.Returned
		if err := tx.Continuity.Advance(ctx, got, continuity.Drain); err != nil {
			return err
		}
		_, ok, err = tx.Continuity.OpenReturn(ctx, d)
		want(t, "under way after its end", ok, false)
		if err != nil {
			return err
		}
		report, err := tx.Continuity.LastReport(ctx, d)
		want(t, "report", string(report.JSON), `{"a":1}`)
		return err
	})
}
