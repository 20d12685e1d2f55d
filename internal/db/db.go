// Package db is the seam between the record and its database engine: one SQL text, two makers (sqlite, postgres).
package db

import (
	"context"
	"database/sql"
)

// Dialect names what little differs between the engines.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Tx is an open transaction. Queries use $1 placeholders, RETURNING and ON CONFLICT, which both engines know.
// Engines keep prepared statements, so a query text should be constant.
type Tx interface {
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
	Dialect() Dialect
}

// Engine runs transactions. Safe for concurrent use.
type Engine interface {
	// Update runs fn in a read-write transaction and returns once it is durable.
	// Concurrent calls are committed as a group: each fn has its own savepoint, an
	// error of one undoes that one alone. If the group's commit fails, each is tried
	// again alone; fn may therefore run more than once and must not act outside tx.
	// Commit with unknown outcome (connection lost) is a fault.Unavailable that
	// wraps ErrUnknownOutcome.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// View runs fn on a read-only snapshot.
	View(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	Dialect() Dialect
	Close() error
}
