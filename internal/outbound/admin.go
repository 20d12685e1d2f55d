package outbound

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Filter says which rows are listed; zero values do not restrict.
type Filter struct {
	State  State // "" is all that are open
	Domain string
	Tenant mail.TenantID
	After  mail.QueueID // rows with a higher id
	Limit  int          // 100
}

// List lists rows in order of their ids.
func (tx *Tx) List(ctx context.Context, f Filter) ([]Item, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	return db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM queue WHERE id > $1
 AND (state = $2 OR $2 = '' AND state IN ('waiting', 'sending', 'held')) AND (dest_domain = $3 OR $3 = '') AND (tenant_id = $4 OR $4 = 0)
 ORDER BY id LIMIT $5`, f.After, string(f.State), f.Domain, f.Tenant, f.Limit))
}

// OfIntake lists the rows of one arrival.
func (tx *Tx) OfIntake(ctx context.Context, intake string) ([]Item, error) {
	return db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM queue WHERE intake_id = $1 ORDER BY id`, intake))
}

// Count counts rows by state; tenant 0 is all.
func (tx *Tx) Count(ctx context.Context, tenant mail.TenantID) (map[State]int64, error) {
	type pair struct {
		state State
		n     int64
	}
	pairs, err := db.Collect(func(s db.Scanner) (p pair, err error) { return p, s.Scan(&p.state, &p.n) })(
		tx.Query(ctx, `SELECT state, COUNT(*) FROM queue WHERE tenant_id = $1 OR $1 = 0 GROUP BY state`, tenant))
	out := make(map[State]int64, len(pairs))
	for _, p := range pairs {
		out[p.state] = p.n
	}
	return out, err
}

// byHand marks a row that an administrator wants tried: its claim makes 0
// attempts of it, and even a host that rests is asked.
const byHand = -1

// Retry makes a waiting or held row due now, with a fresh back-off. A failed or
// dropped one is opened again for as long as a new one. fault.Conflict while it
// is being sent or when it was.
func (tx *Tx) Retry(ctx context.Context, id mail.QueueID) error {
	it, err := tx.allowed(ctx, id, Waiting, Held, Failed, Dropped)
	if err != nil {
		return err
	}
	expires := it.ExpiresAt
	if it.State == Failed || it.State == Dropped {
		expires = tx.Now.Add(DefaultExpire)
	}
	_, err = tx.Exec(ctx, `UPDATE queue SET state = 'waiting', attempts = $4, next_at = $2, expires_at = $3, done_at = 0 WHERE id = $1`,
		id, mail.Micros(tx.Now), mail.Micros(expires), byHand)
	tx.Touched.Topic(Topic)
	return err
}

// Hold keeps a waiting row back until Retry or Drop.
func (tx *Tx) Hold(ctx context.Context, id mail.QueueID) error {
	if _, err := tx.allowed(ctx, id, Waiting, Held); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE queue SET state = 'held' WHERE id = $1`, id)
	return err
}

// Drop gives a waiting or held row up without a notice to its sender.
func (tx *Tx) Drop(ctx context.Context, id mail.QueueID) error {
	if _, err := tx.allowed(ctx, id, Waiting, Held); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE queue SET state = 'dropped', done_at = $2 WHERE id = $1`, id, mail.Micros(tx.Now))
	return err
}

func (tx *Tx) allowed(ctx context.Context, id mail.QueueID, states ...State) (Item, error) {
	it, err := tx.locked(ctx, id)
	if err != nil {
		return it, err
	}
	for _, s := range states {
		if it.State == s {
			return it, nil
		}
	}
	if it.State == Sending {
		return it, fault.New(fault.Conflict, "message %d is being sent at this moment", id)
	}
	return it, fault.New(fault.Conflict, "message %d is %s", id, it.State)
}

// Prune removes rows that were closed before a moment.
func (tx *Tx) Prune(ctx context.Context, before time.Time) error {
	_, err := tx.Exec(ctx, `DELETE FROM queue WHERE state IN ('sent', 'failed', 'dropped') AND done_at > 0 AND done_at < $1`, mail.Micros(before))
	return err
}
