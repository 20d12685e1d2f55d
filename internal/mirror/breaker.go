package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// Breaker holds the limits beyond which deletions wait for a person, in both
// directions. Zero values take the defaults. Moves and expunges in Trash and
// Junk are not counted; a message deleted and put back changed counts as deleted.
type Breaker struct {
	Hour, Week           int     // messages of an account within an hour, within seven days; default 50 each
	HourShare, WeekShare float64 // of the account's messages; default 0.20 and 0.30
	TenantHour           int     // messages of a tenant within an hour; default 500
	TenantShare          float64 // of the tenant's messages; default 0.05
}

func (b Breaker) withDefaults() Breaker {
	set := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	share := func(f *float64, d float64) {
		if *f == 0 {
			*f = d
		}
	}
	set(&b.Hour, 50)
	set(&b.Week, 50)
	set(&b.TenantHour, 500)
	share(&b.HourShare, 0.20)
	share(&b.WeekShare, 0.30)
	share(&b.TenantShare, 0.05)
	return b
}

// reached tells whether n of total messages are as many as the limit and as large a share.
func reached(n, total, limit int, share float64) bool {
	return n >= limit && float64(n) >= share*float64(total)
}

const (
	anHour = time.Hour
	aWeek  = 7 * 24 * time.Hour
)

// guard counts what this pass would delete on each side, together with what was
// deleted lately, and freezes before anything is written.
func (p *pass) guard(ctx context.Context) error {
	byPrimary, byPeople := 0, 0
	for _, s := range p.subjects {
		switch s.out.Op {
		case merge.TombstoneHere:
			if pr := p.byBox[s.placement.Mailbox]; pr == nil || !discards(pr.box.Role) {
				byPrimary++
			}
		case merge.Relink:
			if pr, _ := s.where(p); s.placement.Live() && (pr == nil || !pr.setBack) {
				byPrimary++
			}
		case merge.DeleteThere:
			if pr, _ := s.where(p); p.mode.Push && (pr == nil || !discards(pr.box.Role)) {
				byPeople++
			}
		case merge.Freeze:
			return p.trip(ctx, "the primary was set back to an older copy", map[string]any{"message": s.placement.ID})
		}
	}
	if (byPrimary > 0 || byPeople > 0) && !p.refusing {
		if err := p.count(ctx, byPrimary, byPeople); err != nil {
			return err
		}
	}
	for _, s := range p.subjects {
		if s.out.Op == merge.Relink && s.placement.Live() && p.mode.Push {
			// Matched by content with nothing there: the primary lacks it.
			s.out = merge.Outcome{Op: merge.AppendThere, Flags: s.placement.Flags, Mailbox: s.placement.Mailbox}
		}
	}
	return nil
}

// count compares planned and recent deletions with the limits. Those that people
// made here are in the ledger already; those of the primary are added to what the mirror took from it before.
func (p *pass) count(ctx context.Context, byPrimary, byPeople int) error {
	var verdict string
	evidence := map[string]any{"there": byPrimary, "here": byPeople}
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		verdict = ""
		b := p.s.Breaker
		total, err := tx.Mailbox.CountLive(ctx, p.acct.ID)
		if err != nil {
			return err
		}
		for _, w := range []struct {
			span  time.Duration
			limit int
			share float64
		}{{anHour, b.Hour, b.HourShare}, {aWeek, b.Week, b.WeekShare}} {
			since, allowed := p.countFrom(tx.Now.Add(-w.span))
			taken, err := tx.Mailbox.CountExpunged(ctx, p.acct.ID, since, true)
			if err != nil {
				return err
			}
			made, err := tx.Mailbox.CountExpunged(ctx, p.acct.ID, since, false)
			if err != nil {
				return err
			}
			there, here := taken+byPrimary-allowed.There, 0
			if byPeople > 0 {
				here = max(made, byPeople) - allowed.Here
			}
			switch {
			case reached(there, total+taken, w.limit, w.share):
				verdict = fmt.Sprintf("%d of %d messages vanished at the primary within %s", there, total+taken, words(w.span))
			case reached(here, total+made, w.limit, w.share):
				verdict = fmt.Sprintf("%d of %d messages were deleted here within %s", here, total+made, words(w.span))
			}
			if verdict != "" {
				return nil
			}
		}
		since, allowed := p.countFrom(tx.Now.Add(-anHour))
		n, all, err := tx.Mailbox.CountTenantExpunged(ctx, p.acct.Tenant, since)
		if err != nil {
			return err
		}
		if n += byPrimary - allowed.There - allowed.Here; reached(n, all+n, b.TenantHour, b.TenantShare) {
			verdict = fmt.Sprintf("%d of the company's %d messages were deleted within an hour", n, all+n)
			evidence["tenant"] = true
		}
		return nil
	})
	if err != nil || verdict == "" {
		return err
	}
	return p.trip(ctx, verdict, evidence)
}

// allowance is what a person let through: the deletions that a freeze had stopped.
type allowance struct {
	There int `json:"there"`
	Here  int `json:"here"`
}

// countFrom is the moment from which deletions count towards a limit: a decision
// to go on covers what had happened until then, and an acceptance also what it was about.
func (p *pass) countFrom(since time.Time) (time.Time, allowance) {
	var a allowance
	if p.freeze.DecidedAt.After(since) {
		since = p.freeze.DecidedAt
		if p.freeze.Decision == link.Accept {
			// Evidence that does not say allows nothing.
			_ = json.Unmarshal([]byte(p.freeze.Evidence), &a)
		}
	}
	return since, a
}

func words(d time.Duration) string {
	if d == anHour {
		return "an hour"
	}
	return "seven days"
}

// trip freezes the account (or the tenant, when the evidence says so), tells
// people and ends the pass.
func (p *pass) trip(ctx context.Context, reason string, evidence map[string]any) error {
	f := Frozen{Tenant: p.acct.Tenant, Account: p.acct.ID, Email: p.acct.Email, Reason: reason}
	if evidence["tenant"] == true {
		f.Account = 0
	}
	err := p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Link.AddFreeze(ctx, link.NewFreeze{Tenant: f.Tenant, Account: f.Account, Reason: reason, Evidence: evidence}); err != nil {
			return err
		}
		return note(ctx, tx, p.acct.Tenant, "relais", "mirror.freeze", p.acct.Email, evidence)
	})
	if err != nil {
		return err
	}
	p.log.Warn("the breaker froze the mirror", "reason", reason)
	if p.s.Alarm != nil {
		p.s.Alarm.Frozen(ctx, f)
	}
	return fault.New(fault.Frozen, "the mirror of %s is frozen: %s", p.acct.Email, reason)
}
