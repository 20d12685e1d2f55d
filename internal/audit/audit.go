// Package audit keeps every administrative act in an append-only chain of hashes.
//
// Each entry holds the hash of the one before it: an entry altered, removed or
// put in between breaks the chain from there on, which Verify finds.
package audit

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Entry is one act.
type Entry struct {
	ID     int64 // 1, 2, 3 … without a gap
	Tenant mail.TenantID
	At     time.Time
	Actor  string // who: a name, "node", "cli"
	Action string // what: "domain.add", "mirror.freeze" …
	Object string // on what: a name
	Detail string // JSON, no secret
	Prev   []byte // hash of the entry before, 32 zero bytes for the first
	Hash   []byte
}

// Tx works on the chain within one transaction.
type Tx struct {
	db.Tx
	Now time.Time
}

// In makes a Tx.
func In(tx db.Tx, now time.Time) *Tx { return &Tx{Tx: tx, Now: now} }

// New is an act to append. Detail "" is {}.
type New struct {
	Tenant mail.TenantID
	Actor  string
	Action string
	Object string
	Detail string
}

const columns = `id, tenant_id, at, actor, action, object, detail, prev, hash`

func scan(s db.Scanner) (Entry, error) {
	var e Entry
	var at int64
	err := s.Scan(&e.ID, &e.Tenant, &at, &e.Actor, &e.Action, &e.Object, &e.Detail, &e.Prev, &e.Hash)
	e.At = mail.FromMicros(at)
	return e, err
}

// Append writes an act at the end of the chain.
func (tx *Tx) Append(ctx context.Context, n New) (Entry, error) {
	if tx.Dialect() == db.Postgres { // two transactions must not continue from the same entry
		if _, err := tx.Exec(ctx, `LOCK TABLE audit IN EXCLUSIVE MODE`); err != nil {
			return Entry{}, err
		}
	}
	if n.Detail == "" {
		n.Detail = "{}"
	}
	last, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM audit ORDER BY id DESC LIMIT 1`))
	if errors.Is(err, sql.ErrNoRows) {
		last, err = Entry{Hash: make([]byte, sha256.Size)}, nil
	}
	if err != nil {
		return Entry{}, err
	}
	e := Entry{ID: last.ID + 1, Tenant: n.Tenant, At: mail.FromMicros(mail.Micros(tx.Now)), Actor: db.Text(n.Actor), Action: db.Text(n.Action),
		Object: db.Text(n.Object), Detail: db.Text(n.Detail), Prev: last.Hash}
	e.Hash = e.sum()
	_, err = tx.Exec(ctx, `INSERT INTO audit (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.ID, e.Tenant, mail.Micros(e.At), e.Actor, e.Action, e.Object, e.Detail, e.Prev, e.Hash)
	return e, err
}

// sum is SHA-256 over the previous hash, the numbers (big-endian, 8 bytes) and
// the texts, each with its length before it.
func (e *Entry) sum() []byte {
	h := sha256.New()
	h.Write(e.Prev)
	number := func(n int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	number(e.ID)
	number(int64(e.Tenant))
	number(mail.Micros(e.At))
	for _, s := range []string{e.Actor, e.Action, e.Object, e.Detail} {
		number(int64(len(s)))
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

// Entries lists at most limit entries after one, of a tenant (0: of all), in order.
func (tx *Tx) Entries(ctx context.Context, tenant mail.TenantID, after int64, limit int) ([]Entry, error) {
	return db.Collect(scan)(tx.Query(ctx,
		`SELECT `+columns+` FROM audit WHERE id > $2 AND (tenant_id = $1 OR $1 = 0) ORDER BY id LIMIT $3`, tenant, after, limit))
}

// Verify walks the chain: fault.Corrupt names the first entry that does not fit.
// It returns the number and the hash of the last entry, to compare with what was
// written down elsewhere: an end cut off breaks no chain.
func (tx *Tx) Verify(ctx context.Context) (entries int64, head []byte, err error) {
	prev := make([]byte, sha256.Size)
	for last := int64(0); ; {
		page, err := tx.Entries(ctx, 0, last, 1000)
		if err != nil {
			return last, prev, err
		}
		for _, e := range page {
			if e.ID != last+1 || subtle.ConstantTimeCompare(e.Prev, prev) != 1 || subtle.ConstantTimeCompare(e.Hash, e.sum()) != 1 {
				return last, prev, fault.New(fault.Corrupt, "audit entry %d was altered, or one before it removed", e.ID)
			}
			last, prev = e.ID, e.Hash
		}
		if len(page) == 0 {
			return last, prev, nil
		}
	}
}
