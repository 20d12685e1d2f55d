// Package mailbox holds accounts with their mailboxes, emails, placements, threads and changes: the rows of the ledger.
//
// An email is immutable content, stored once per tenant. A placement is an email
// in a mailbox: UID, flags, modification sequence (modseq). Every event is one
// row of changes with its own modseq, the next of its account, taken by UPDATE …
// RETURNING in the transaction of the event. docs/formats/ledger.md describes
// each table, each kind of change and how CONDSTORE, QRESYNC (RFC 7162) and time
// travel are read from them.
package mailbox

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Tx works on the tables of this package within one transaction.
type Tx struct {
	db.Tx
	Now     time.Time
	Touched *db.Touched
	// Actor says who makes the changes of this transaction, for people to read:
	// an address, an administrator's name; "" leaves it to the origin.
	Actor string
}

// In makes a Tx. Accounts that are changed through it are noted in touched.
func In(tx db.Tx, now time.Time, touched *db.Touched) *Tx {
	return &Tx{Tx: tx, Now: now, Touched: touched}
}

// Kind of an account.
type Kind string

// The kinds of accounts.
const (
	Person Kind = "person"
	Shared Kind = "shared"
)

// Account holds mailboxes. Modseq is the highest given: the state of everything in it.
type Account struct {
	ID        mail.AccountID
	Tenant    mail.TenantID
	Kind      Kind
	Modseq    uint64
	CreatedAt time.Time
}

// defaults are the mailboxes that an account is born with.
var defaults = []struct {
	name string
	role mail.Role
}{{"INBOX", mail.Inbox}, {"Drafts", mail.Drafts}, {"Sent", mail.Sent}, {"Junk", mail.Junk}, {"Trash", mail.Trash}, {"Archive", mail.Archive}}

// CreateAccount makes an account with INBOX, Drafts, Sent, Junk, Trash and
// Archive, marked as made by Relais.
func (tx *Tx) CreateAccount(ctx context.Context, tenant mail.TenantID, kind Kind) (Account, error) {
	a := Account{Tenant: tenant, Kind: kind, CreatedAt: tx.Now}
	err := tx.QueryRow(ctx, `INSERT INTO accounts (tenant_id, kind, created_at) VALUES ($1, $2, $3) RETURNING id`,
		tenant, string(kind), mail.Micros(tx.Now)).Scan(&a.ID)
	if err != nil {
		return a, err
	}
	for _, d := range defaults {
		m, err := tx.insertMailbox(ctx, NewMailbox{Account: a.ID, Name: d.name, Role: d.role, Origin: mail.ByAdmin, ByRelais: true})
		if err != nil {
			return a, err
		}
		a.Modseq = m.Modseq
	}
	return a, nil
}

// Account finds an account; fault.NotFound.
func (tx *Tx) Account(ctx context.Context, id mail.AccountID) (Account, error) {
	a := Account{ID: id}
	var created int64
	err := tx.QueryRow(ctx, `SELECT tenant_id, kind, modseq, created_at FROM accounts WHERE id = $1`, id).
		Scan(&a.Tenant, &a.Kind, &a.Modseq, &created)
	a.CreatedAt = mail.FromMicros(created)
	return a, found(err, "account")
}

// LockAccounts holds the accounts until the end of the transaction, in order of
// id, so that transactions over several accounts do not block each other
// crosswise. Needless on SQLite, where it reads nothing.
func (tx *Tx) LockAccounts(ctx context.Context, ids ...mail.AccountID) error {
	if tx.Dialect() != db.Postgres || len(ids) == 0 {
		return nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	_, err := db.Collect(func(s db.Scanner) (id int64, err error) { return id, s.Scan(&id) })(
		tx.Query(ctx, `SELECT id FROM accounts WHERE id IN (`+db.Marks(1, len(ids))+`) ORDER BY id FOR NO KEY UPDATE`, args...))
	return err
}

// nextModseq takes the account's next modseq and with it the account's lock.
func (tx *Tx) nextModseq(ctx context.Context, id mail.AccountID) (modseq uint64, err error) {
	return tx.nextModseqs(ctx, id, 1)
}

// nextModseqs takes n modseqs and returns the last of them.
func (tx *Tx) nextModseqs(ctx context.Context, id mail.AccountID, n int64) (last uint64, err error) {
	err = tx.QueryRow(ctx, `UPDATE accounts SET modseq = modseq + $2 WHERE id = $1 RETURNING modseq`, id, n).Scan(&last)
	if err == nil {
		tx.Touched.Account(id)
	}
	return last, found(err, "account")
}

// returnModseq gives back the modseq just taken, where the change did not come
// about: an error that the caller may pass over leaves no gap. The account is
// locked, so nobody took a later one.
func (tx *Tx) returnModseq(ctx context.Context, id mail.AccountID) error {
	_, err := tx.Exec(ctx, `UPDATE accounts SET modseq = modseq - 1 WHERE id = $1`, id)
	return err
}

// found gives an empty result its public word.
func found(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "no such %s", what)
	}
	return err
}
