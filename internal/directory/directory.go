// Package directory knows tenants with their domains, people, groups, addresses, credentials, primaries and administrators.
package directory

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
)

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

// found gives an empty result its public word.
func found(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "no such %s", what)
	}
	return err
}

// changed is fault.NotFound when a statement met no row.
func changed(res sql.Result, err error, what string) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return fault.New(fault.NotFound, "no such %s", what)
	}
	return err
}

// taken is fault.Conflict when find found something.
func taken(err error, what, name string) error {
	if err == nil {
		return fault.New(fault.Conflict, "%s %s exists already", what, name)
	}
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Setting reads a value of the whole store; "" when it was never set.
func (tx *Tx) Setting(ctx context.Context, key string) (string, error) {
	var value string
	err := tx.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// SetSetting writes a value of the whole store.
func (tx *Tx) SetSetting(ctx context.Context, key, value string) error {
	_, err := tx.Exec(ctx, `INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2`, key, value)
	return err
}
