package outbound

import (
	"context"
	"strings"
	"time"

	"relais/internal/mail"
	"relais/internal/smtp"
)

// settle records the results of an attempt and tells the sender what she must know.
func (r *Runner) settle(ctx context.Context, b *batch, results []result) {
	now := r.config.Clock.Now()
	var plain, failed, delayed []Outcome
	var bad, late []Reported
	for i, it := range b.items {
		res := results[i]
		o := Outcome{ID: it.ID, State: res.state, Reply: res.words}
		report := Reported{Item: it, Reply: res.reply, Host: res.host, Words: res.words}
		if res.state == Waiting {
			o.NextAt = now.Add(r.config.backOff(it.Attempts))
			if !now.Before(it.ExpiresAt) {
				o.State = Failed
				report.Expired = true
			} else if o.NextAt.After(it.ExpiresAt) {
				o.NextAt = it.ExpiresAt // one last time
			}
		}
		switch {
		case o.State == Failed && wants(it, "FAILURE"):
			failed, bad = append(failed, o), append(bad, report)
		case o.State == Waiting && r.isLate(it, now) && wants(it, "DELAY"):
			o.Delayed = true
			delayed, late = append(delayed, o), append(late, report)
		default:
			plain = append(plain, o)
		}
		r.config.Log.Info("mail to the outside", "message", it.ID, "domain", it.Domain, "state", string(o.State), "attempt", it.Attempts, "reply", o.Reply)
	}
	r.record(ctx, plain)
	r.tell(ctx, b, Failed, bad, failed)
	r.tell(ctx, b, Waiting, late, delayed)
}

func (r *Runner) isLate(it Item, now time.Time) bool {
	return r.config.DelayNotice > 0 && it.DelayToldAt.IsZero() && now.Sub(it.CreatedAt) >= r.config.DelayNotice
}

// wants tells whether the sender is to hear of an event (RFC 3461 §4.1). A null
// sender never does: notices about notices would go on for ever (RFC 5321 §4.5.5).
func wants(it Item, event string) bool {
	if it.From == "" {
		return false
	}
	return it.Notify == "" || it.Notify != "NEVER" && strings.Contains(it.Notify, event)
}

func (r *Runner) record(ctx context.Context, outcomes []Outcome) {
	if len(outcomes) == 0 {
		return
	}
	err := r.store.Queue(ctx, func(ctx context.Context, tx *Tx) error { return recordAll(ctx, tx, outcomes) })
	if err != nil {
		// The lease brings the rows back: a repeat, as after a crash.
		r.config.Log.Error("record what was sent", "err", err)
	}
}

func recordAll(ctx context.Context, tx *Tx, outcomes []Outcome) error {
	for _, o := range outcomes {
		if err := tx.Record(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// tell sends one notice for all recipients of the batch that share a fate, and
// records the outcomes with it.
func (r *Runner) tell(ctx context.Context, b *batch, fate State, reported []Reported, outcomes []Outcome) {
	if len(outcomes) == 0 {
		return
	}
	first := b.items[0]
	body, err := r.store.Body(ctx, first.Tenant, first.Hash)
	if err != nil {
		body = nil // the notice goes without the message's header
	}
	sender, err := mail.ParseAddress(first.From)
	if err != nil {
		r.record(ctx, outcomes)
		return
	}
	n := &Notice{
		Tenant: first.Tenant, To: sender, Account: first.Account, Person: first.Person,
		Fate: fate, Recipients: reported, At: r.config.Clock.Now(),
	}
	n.compose(r.config.Hostname, body)
	err = r.returner.Return(ctx, n, func(ctx context.Context, tx *Tx) error { return recordAll(ctx, tx, outcomes) })
	if err == nil {
		return
	}
	r.config.Log.Error("file a notice", "message", first.ID, "err", err)
	for i := range outcomes { // the notice must not be lost: the attempt is made again
		outcomes[i] = Outcome{ID: outcomes[i].ID, State: Waiting, Reply: outcomes[i].Reply, NextAt: n.At.Add(r.config.FirstRetry)}
	}
	r.record(ctx, outcomes)
}

// Reported is a recipient of whom a notice tells.
type Reported struct {
	Item
	Reply   *smtp.Reply // that decided, or the last one; nil for none
	Host    string      // who said it; "" for ourselves
	Words   string
	Expired bool // tried until ExpiresAt
}
