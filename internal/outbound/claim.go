package outbound

import (
	"cmp"
	"context"
	"slices"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// Claim takes at most limit due rows, the longest due first, and returns them in
// order of their ids. Rows whose lease ended, because their runner was killed,
// are among them.
func (tx *Tx) Claim(ctx context.Context, limit int, lease time.Duration) ([]Item, error) {
	until := mail.Micros(tx.Now.Add(lease))
	items, err := db.Collect(scan)(tx.Query(ctx, `UPDATE queue SET state = 'sending', claimed_until = $1, next_at = $1, attempts = attempts + 1
 WHERE id IN (SELECT id FROM queue WHERE state IN ('waiting', 'sending') AND next_at <= $2 ORDER BY next_at, id LIMIT $3`+tx.Dialect().SkipLocked()+`)
 RETURNING `+columns, until, mail.Micros(tx.Now), limit))
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.ID, b.ID) })
	return items, err
}

// NextDue is when the first open row becomes due; the zero time when none waits.
func (tx *Tx) NextDue(ctx context.Context) (time.Time, error) {
	var at int64
	err := tx.QueryRow(ctx, `SELECT COALESCE(MIN(next_at), 0) FROM queue WHERE state IN ('waiting', 'sending')`).Scan(&at)
	return mail.FromMicros(at), err
}

// Renew lengthens the lease of rows that are still being sent.
func (tx *Tx) Renew(ctx context.Context, ids []mail.QueueID, lease time.Duration) error {
	until := mail.Micros(tx.Now.Add(lease))
	for _, id := range ids {
		if _, err := tx.Exec(ctx, `UPDATE queue SET claimed_until = $2, next_at = $2 WHERE id = $1 AND state = 'sending'`, id, until); err != nil {
			return err
		}
	}
	return nil
}

// Recover makes every claimed row due at once: for the start of a node that is
// the only one, where no other runner can have it.
func (tx *Tx) Recover(ctx context.Context) error {
	_, err := tx.Exec(ctx, `UPDATE queue SET state = 'waiting', claimed_until = 0, next_at = $1 WHERE state = 'sending'`, mail.Micros(tx.Now))
	return err
}

// Release gives rows back that were not tried; the attempt does not count.
func (tx *Tx) Release(ctx context.Context, ids []mail.QueueID, at time.Time) error {
	for _, id := range ids {
		_, err := tx.Exec(ctx, `UPDATE queue SET state = 'waiting', claimed_until = 0, next_at = $2, attempts = attempts - 1
 WHERE id = $1 AND state = 'sending'`, id, mail.Micros(at))
		if err != nil {
			return err
		}
	}
	return nil
}

// Postpone puts off what waits for a destination that has more than it can take
// now, so that it does not stand before the others.
func (tx *Tx) Postpone(ctx context.Context, domain string, until time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE queue SET next_at = $2 WHERE dest_domain = $1 AND state = 'waiting' AND next_at < $2`, domain, mail.Micros(until))
	return err
}

// Outcome is what became of an attempt.
type Outcome struct {
	ID      mail.QueueID
	State   State     // Sent, Waiting or Failed
	Reply   string    // the server's words, or what was in the way
	NextAt  time.Time // of Waiting
	Delayed bool      // of Waiting: the sender is told of the delay
}

// Record writes the outcome of an attempt. It is ignored when the row is no
// longer being sent: another runner has it, since our lease ended.
func (tx *Tx) Record(ctx context.Context, o Outcome) error {
	next, done, told := mail.Micros(tx.Now), mail.Micros(tx.Now), int64(0)
	if o.State == Waiting {
		next, done = mail.Micros(o.NextAt), 0
	}
	if o.Delayed {
		told = mail.Micros(tx.Now)
	}
	_, err := tx.Exec(ctx, `UPDATE queue SET state = $2, last_reply = $3, next_at = $4, done_at = $5, claimed_until = 0,
 delay_told_at = CASE WHEN delay_told_at = 0 THEN $6 ELSE delay_told_at END WHERE id = $1 AND state = 'sending'`,
		o.ID, string(o.State), db.Text(o.Reply), next, done, told)
	return err
}
