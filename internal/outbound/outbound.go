// Package outbound takes mail to the outside: a durable queue with one row per recipient, and the runner that empties it.
//
//	waiting ⇄ sending → sent
//	   ⇅         └────→ failed (a notice goes to the sender)
//	  held ──→ dropped
//
// A row is claimed, sent and recorded. A crash between sending and recording, or
// a server that takes the final dot and never answers, gives one repeat with the
// same Message-ID (RFC 1047); the row's last words tell of the latter.
package outbound

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// State of a row; the values are stored.
type State string

// The states.
const (
	Waiting State = "waiting"
	Sending State = "sending" // claimed by a runner until its lease ends
	Held    State = "held"    // an administrator keeps it back
	Sent    State = "sent"    // the next host took it: closed
	Failed  State = "failed"  // refused for good, or too old: closed
	Dropped State = "dropped" // an administrator gave it up: closed, without a notice
)

// Topic is what the runner listens to for rows that became due.
const Topic = "queue"

// Item is a message for one recipient.
type Item struct {
	ID           mail.QueueID
	Tenant       mail.TenantID
	Intake       string    // id of the arrival; the message is the same for all its rows
	Hash         mail.Hash // of the body
	Size         int64
	From         string // envelope sender, "" is <>
	To           string
	Domain       string // of To, U-labels: the destination
	UTF8         bool   // the sender asked for SMTPUTF8
	Bit8         bool   // the body is not all ASCII
	Via          string // HOST:PORT to send through whatever the configuration says; "" by configuration and MX
	State        State
	Attempts     int
	NextAt       time.Time // no attempt before; while sending: the end of the lease
	ClaimedUntil time.Time
	LastReply    string    // the last words of a server, or what else was in the way
	ExpiresAt    time.Time // given up after this
	CreatedAt    time.Time
	DoneAt       time.Time // zero while open
	DelayToldAt  time.Time // the sender was told of the delay
	Notify       string    // RFC 3461 NOTIFY: "", "NEVER" or a list of SUCCESS, FAILURE, DELAY
	Ret          string    // RFC 3461 RET: "", "FULL" or "HDRS"
	EnvID        string    // RFC 3461 ENVID, as written
	ORcpt        string    // RFC 3461 ORCPT, as written
	Account      mail.AccountID
	Person       mail.PersonID // who submitted it; 0 for our own notices
}

// New describes a row to file.
type New struct {
	Tenant  mail.TenantID
	Intake  string
	Hash    mail.Hash
	Size    int64
	From    mail.Address
	To      mail.Address
	UTF8    bool
	Bit8    bool
	Via     string
	NotSoon time.Time     // no attempt before; zero: now
	Expire  time.Duration // given up after; zero: DefaultExpire
	Notify  string
	Ret     string
	EnvID   string
	ORcpt   string
	Account mail.AccountID
	Person  mail.PersonID
}

// DefaultExpire is how long delivery is tried (RFC 5321 §4.5.4.1: at least 4 to 5 days).
const DefaultExpire = 5 * 24 * time.Hour

// Tx works on the tables of this package within one transaction.
type Tx struct {
	db.Tx
	Now     time.Time
	Touched *db.Touched
}

// In makes a Tx. What becomes due through it is noted in touched under Topic.
func In(tx db.Tx, now time.Time, touched *db.Touched) *Tx {
	return &Tx{Tx: tx, Now: now, Touched: touched}
}

const columns = `id, tenant_id, intake_id, email_hash, size, mail_from, rcpt, dest_domain, smtputf8, eight_bit, via, state, attempts,
 next_at, claimed_until, last_reply, expires_at, created_at, done_at, delay_told_at, dsn_notify, dsn_ret, dsn_envid, dsn_orcpt, account_id, person_id`

func scan(s db.Scanner) (Item, error) {
	var it Item
	var hash []byte
	var next, until, expires, created, done, told int64
	err := s.Scan(&it.ID, &it.Tenant, &it.Intake, &hash, &it.Size, &it.From, &it.To, &it.Domain, &it.UTF8, &it.Bit8, &it.Via, &it.State, &it.Attempts,
		&next, &until, &it.LastReply, &expires, &created, &done, &told, &it.Notify, &it.Ret, &it.EnvID, &it.ORcpt, &it.Account, &it.Person)
	copy(it.Hash[:], hash)
	it.Attempts = max(it.Attempts, 0)
	it.NextAt, it.ClaimedUntil, it.ExpiresAt = mail.FromMicros(next), mail.FromMicros(until), mail.FromMicros(expires)
	it.CreatedAt, it.DoneAt, it.DelayToldAt = mail.FromMicros(created), mail.FromMicros(done), mail.FromMicros(told)
	return it, err
}

// Enqueue files a message for one recipient.
func (tx *Tx) Enqueue(ctx context.Context, n New) (mail.QueueID, error) {
	if n.Expire <= 0 {
		n.Expire = DefaultExpire
	}
	next := tx.Now
	if n.NotSoon.After(next) {
		next = n.NotSoon
	}
	var id mail.QueueID
	err := tx.QueryRow(ctx, `INSERT INTO queue (tenant_id, intake_id, email_hash, size, mail_from, rcpt, dest_domain, state, next_at,
 expires_at, smtputf8, eight_bit, via, created_at, dsn_notify, dsn_ret, dsn_envid, dsn_orcpt, account_id, person_id)
 VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) RETURNING id`,
		n.Tenant, n.Intake, n.Hash[:], n.Size, db.Text(n.From.String()), db.Text(n.To.String()), db.Text(n.To.Domain), mail.Micros(next),
		mail.Micros(next.Add(n.Expire)), db.Bool(n.UTF8), db.Bool(n.Bit8), db.Text(n.Via), mail.Micros(tx.Now),
		db.Text(n.Notify), db.Text(n.Ret), db.Text(n.EnvID), db.Text(n.ORcpt), n.Account, n.Person).Scan(&id)
	tx.Touched.Topic(Topic)
	return id, err
}

// Item finds a row; fault.NotFound.
func (tx *Tx) Item(ctx context.Context, id mail.QueueID) (Item, error) {
	return tx.item(scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM queue WHERE id = $1`, id)))
}

func (tx *Tx) locked(ctx context.Context, id mail.QueueID) (Item, error) {
	return tx.item(scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM queue WHERE id = $1`+tx.Dialect().ForUpdate(), id)))
}

func (tx *Tx) item(it Item, err error) (Item, error) {
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "no such message in the queue")
	}
	return it, err
}
