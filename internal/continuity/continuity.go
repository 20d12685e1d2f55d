// Package continuity judges the health of every primary, carries a domain over to the standby and back, and tells people.
//
// A domain is in one of the states below. Each passage from one to another is
// one transaction with its entry in the continuity log (who or what caused it,
// on what evidence), its audit entry and the alarms that it causes, so that a
// crash loses none of them. docs/modules/continuity.md has the timings.
package continuity

import (
	"context"
	"time"

	"relais/internal/audit"
	"relais/internal/db"
	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/job"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
)

// Topic is what watchers of states, primaries and questions listen to.
const Topic = "continuity"

// State says who is in charge of a domain's mail.
type State string

// The states.
const (
	Standby   State = "standby"   // the primary is in charge
	Failing   State = "failing"   // it does not answer; nothing is switched yet
	Active    State = "active"    // Relais is in charge
	Returning State = "returning" // Relais is in charge and gives everything back
	Blind     State = "blind"     // Relais itself is cut off: nobody may conclude anything
)

// primaryLeads tells whether the primary is in charge in this state.
func (s State) primaryLeads() bool { return s != Active && s != Returning }

// Current is where a domain stands.
type Current struct {
	Domain   mail.DomainID
	State    State
	Since    time.Time
	Cause    string
	Actor    string    // a person's name, or "relais"
	OutageAt time.Time // when the last outage began; zero: there was none
}

// Self is the actor of what Relais does by itself.
const Self = "relais"

// Tx works on the tables of this package within one transaction.
type Tx struct {
	db.Tx
	Now     time.Time
	Touched *db.Touched
}

// In makes a Tx.
func In(tx db.Tx, now time.Time, touched *db.Touched) *Tx {
	return &Tx{Tx: tx, Now: now, Touched: touched}
}

const currentColumns = `domain_id, state, since, cause, actor, outage_at`

func scanCurrent(s db.Scanner) (c Current, err error) {
	var since, outage int64
	err = s.Scan(&c.Domain, &c.State, &since, &c.Cause, &c.Actor, &outage)
	c.Since, c.OutageAt = mail.FromMicros(since), mail.FromMicros(outage)
	return c, err
}

// Current tells where a domain stands: in Standby since the zero time when it never left it.
func (tx *Tx) Current(ctx context.Context, domain mail.DomainID) (Current, error) {
	c, err := scanCurrent(tx.QueryRow(ctx, `SELECT `+currentColumns+` FROM continuity WHERE domain_id = $1`, domain))
	if db.NoRows(err) {
		return Current{Domain: domain, State: Standby}, nil
	}
	return c, err
}

// State is the state of a domain and since when.
func (tx *Tx) State(ctx context.Context, domain mail.DomainID) (State, time.Time, error) {
	c, err := tx.Current(ctx, domain)
	return c.State, c.Since, err
}

// All lists where every domain stands that ever left Standby.
func (tx *Tx) All(ctx context.Context) ([]Current, error) {
	return db.Collect(scanCurrent)(tx.Query(ctx, `SELECT `+currentColumns+` FROM continuity ORDER BY domain_id`))
}

// Passage is a way from one state to another.
type Passage struct {
	Domain   mail.DomainID
	At       time.Time
	From, To State
	Cause    string
	Actor    string
	Evidence string // JSON
}

// Pass notes a passage. fault.Conflict when the domain is not in p.From any more.
// outage, unless zero, is when the outage began that the passage answers.
func (tx *Tx) Pass(ctx context.Context, p Passage, outage time.Time) error {
	if p.Evidence == "" {
		p.Evidence = "{}"
	}
	now := mail.Micros(tx.Now)
	if p.From == Standby { // the first passage of a domain finds no row
		_, err := tx.Exec(ctx, `INSERT INTO continuity (domain_id, state, since, cause) VALUES ($1, $2, $3, '') ON CONFLICT (domain_id) DO NOTHING`,
			p.Domain, string(Standby), now)
		if err != nil {
			return err
		}
	}
	res, err := tx.Exec(ctx, `UPDATE continuity SET state = $3, since = $4, cause = $5, actor = $6,
 outage_at = CASE WHEN CAST($7 AS BIGINT) = 0 THEN outage_at ELSE $7 END WHERE domain_id = $1 AND state = $2`,
		p.Domain, string(p.From), string(p.To), now, db.Text(p.Cause), db.Text(p.Actor), mail.Micros(outage))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return fault.New(fault.Conflict, "the domain is not in state %s any more", p.From)
	}
	_, err = tx.Exec(ctx, `INSERT INTO continuity_log (domain_id, at, from_state, to_state, cause, actor, evidence) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		p.Domain, now, string(p.From), string(p.To), db.Text(p.Cause), db.Text(p.Actor), db.Text(p.Evidence))
	tx.Touched.Topic(Topic)
	return err
}

// Log lists the latest passages of a domain, the last first, at most limit.
func (tx *Tx) Log(ctx context.Context, domain mail.DomainID, limit int) ([]Passage, error) {
	return db.Collect(func(s db.Scanner) (p Passage, err error) {
		var at int64
		err = s.Scan(&p.Domain, &at, &p.From, &p.To, &p.Cause, &p.Actor, &p.Evidence)
		p.At = mail.FromMicros(at)
		return p, err
	})(tx.Query(ctx, `SELECT domain_id, at, from_state, to_state, cause, actor, evidence FROM continuity_log
 WHERE domain_id = $1 ORDER BY id DESC LIMIT $2`, domain, limit))
}

// Work is one transaction over what continuity reads and writes.
type Work struct {
	*Tx
	Directory *directory.Tx
	Mailbox   *mailbox.Tx
	Duty      *duty.Tx
	Link      *link.Tx
	Jobs      *job.Tx
	Audit     *audit.Tx
}

// Store opens transactions and tells of changes; the record is one.
type Store interface {
	// UpdateContinuity runs fn in a read-write transaction and returns once it is durable. fn may run more than once.
	UpdateContinuity(ctx context.Context, fn func(ctx context.Context, w *Work) error) error
	// ViewContinuity runs fn on a snapshot.
	ViewContinuity(ctx context.Context, fn func(ctx context.Context, w *Work) error) error
	WatchTopic(topic string) (signal <-chan struct{}, stop func())
}
