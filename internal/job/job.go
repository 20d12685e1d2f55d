// Package job keeps work to do later in the same database, filed in the same transaction as what causes it.
//
// A job may run more than once (a node can die between its effect and Done), so
// handlers are written to be repeated.
package job

import (
	"context"
	"encoding/json"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Topic is what watchers of new jobs listen to.
const Topic = "job"

// Job is a piece of work.
type Job struct {
	ID       int64
	Tenant   mail.TenantID
	Kind     string
	Payload  string // JSON
	RunAt    time.Time
	Attempts int // this one included, once claimed
	Error    string
}

// Decode reads the payload into v.
func (j *Job) Decode(v any) error { return json.Unmarshal([]byte(j.Payload), v) }

// New describes a job to file.
type New struct {
	Tenant  mail.TenantID
	Kind    string
	Payload any       // stored as JSON
	RunAt   time.Time // zero: now
}

// Tx works on the jobs within one transaction.
type Tx struct {
	db.Tx
	Now     time.Time
	Touched *db.Touched
}

// In makes a Tx.
func In(tx db.Tx, now time.Time, touched *db.Touched) *Tx {
	return &Tx{Tx: tx, Now: now, Touched: touched}
}

// Enqueue files a job.
func (tx *Tx) Enqueue(ctx context.Context, n New) (int64, error) {
	payload, err := json.Marshal(n.Payload)
	if err != nil {
		return 0, fault.Wrap(err, fault.Internal, "the job %s has no payload that can be stored", n.Kind)
	}
	if n.RunAt.IsZero() {
		n.RunAt = tx.Now
	}
	var id int64
	err = tx.QueryRow(ctx, `INSERT INTO jobs (tenant_id, kind, payload, run_at, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		n.Tenant, n.Kind, db.Text(string(payload)), mail.Micros(n.RunAt), mail.Micros(tx.Now)).Scan(&id)
	tx.Touched.Topic(Topic)
	return id, err
}

const columns = `id, tenant_id, kind, payload, run_at, attempts, last_error`

func scan(s db.Scanner) (Job, error) {
	var j Job
	var at int64
	err := s.Scan(&j.ID, &j.Tenant, &j.Kind, &j.Payload, &at, &j.Attempts, &j.Error)
	j.RunAt = mail.FromMicros(at)
	return j, err
}

// Claim takes at most limit jobs that are due, for the time of the lease; one
// whose lease ended is due again.
func (tx *Tx) Claim(ctx context.Context, limit int, lease time.Duration) ([]Job, error) {
	due, err := db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM jobs WHERE done_at = 0 AND run_at <= $1 ORDER BY run_at, id LIMIT $2`+
		tx.Dialect().SkipLocked(), mail.Micros(tx.Now), limit))
	if err != nil {
		return nil, err
	}
	for i := range due {
		due[i].Attempts++
		// run_at moves to the end of the lease: one column says when a job is due.
		_, err := tx.Exec(ctx, `UPDATE jobs SET attempts = attempts + 1, claimed_until = $2, run_at = $2 WHERE id = $1`,
			due[i].ID, mail.Micros(tx.Now.Add(lease)))
		if err != nil {
			return nil, err
		}
	}
	return due, nil
}

// NextDue is when the first job becomes due; the zero time when there is none.
func (tx *Tx) NextDue(ctx context.Context) (time.Time, error) {
	var at int64
	err := tx.QueryRow(ctx, `SELECT COALESCE(MIN(run_at), 0) FROM jobs WHERE done_at = 0`).Scan(&at)
	return mail.FromMicros(at), err
}

// Done ends a job that succeeded.
func (tx *Tx) Done(ctx context.Context, id int64) error {
	_, err := tx.Exec(ctx, `UPDATE jobs SET done_at = $2, claimed_until = 0, last_error = '' WHERE id = $1`, id, mail.Micros(tx.Now))
	return err
}

// Retry notes why a job failed and runs it again at a moment.
func (tx *Tx) Retry(ctx context.Context, id int64, at time.Time, why string) error {
	_, err := tx.Exec(ctx, `UPDATE jobs SET run_at = $2, claimed_until = 0, last_error = $3 WHERE id = $1`, id, mail.Micros(at), db.Text(why))
	tx.Touched.Topic(Topic)
	return err
}

// Fail ends a job that is given up.
func (tx *Tx) Fail(ctx context.Context, id int64, why string) error {
	_, err := tx.Exec(ctx, `UPDATE jobs SET done_at = $2, claimed_until = 0, failed = 1, last_error = $3 WHERE id = $1`,
		id, mail.Micros(tx.Now), db.Text(why))
	return err
}

// Failed lists the jobs that were given up, the latest first, at most limit.
func (tx *Tx) Failed(ctx context.Context, limit int) ([]Job, error) {
	return db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM jobs WHERE failed = 1 ORDER BY id DESC LIMIT $1`, limit))
}

// Prune removes jobs that ended before a moment.
func (tx *Tx) Prune(ctx context.Context, before time.Time) error {
	_, err := tx.Exec(ctx, `DELETE FROM jobs WHERE done_at > 0 AND done_at < $1`, mail.Micros(before))
	return err
}
