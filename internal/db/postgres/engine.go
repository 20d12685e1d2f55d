// Package postgres is the scale-out engine: PostgreSQL 15 or later, any number of nodes.
//
// Each update is a transaction of its own, READ COMMITTED: who changes an account
// takes its row's lock first (UPDATE … RETURNING of the modseq), so what it reads
// after that is the latest. PostgreSQL itself syncs the commits that wait at the
// same moment together; groups with savepoints on our side were measured and only
// made the members wait for each other (docs/formats/ledger.md).
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"relais/internal/crashpoint"
	"relais/internal/db"
	"relais/internal/db/migrate"
	"relais/internal/fault"
)

// Config says where the database is. Zero values get defaults.
type Config struct {
	URL         string // postgres://user@host:port/name?…
	Connections int    // at most; default 32
	Attempts    int    // runs of a function that meets a deadlock or the like; default 12
	Log         *slog.Logger
}

func (c *Config) ensureDefaults() {
	if c.Connections == 0 {
		c.Connections = 32
	}
	if c.Attempts == 0 {
		c.Attempts = 12
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Engine is a pool of connections to a database. Safe for concurrent use.
type Engine struct {
	cfg  Config
	pool *sql.DB
}

var _ db.Engine = (*Engine)(nil)

// oldest is the first server version that is known to do.
const oldest = 150000

// Open connects, looks at the server's version and migrates the database.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg.ensureDefaults()
	pc, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the URL of the database is wrong")
	}
	pool := stdlib.OpenDB(*pc)
	pool.SetMaxOpenConns(cfg.Connections)
	pool.SetMaxIdleConns(cfg.Connections)
	e := &Engine{cfg: cfg, pool: pool}
	if err := e.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) prepare(ctx context.Context) error {
	var version int
	if err := e.pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return unavailable(err)
	}
	if version < oldest {
		return fault.New(fault.Invalid, "PostgreSQL %d is too old: relais needs 15 or later", version/10000)
	}
	return migrate.Up(ctx, e.pool, db.Postgres)
}

// Dialect is db.Postgres.
func (e *Engine) Dialect() db.Dialect { return db.Postgres }

// Close closes the connections that are idle, and the others when they become so.
func (e *Engine) Close() error { return e.pool.Close() }

// Update runs fn in a transaction, again where the server ended it for a reason
// that passes: a deadlock, a serialization failure, a row that another
// transaction made at the same moment.
func (e *Engine) Update(ctx context.Context, fn func(ctx context.Context, tx db.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := e.once(ctx, attempt > 1, fn)
		if err == nil || !again(err) || attempt == e.cfg.Attempts {
			return translate(err)
		}
		e.cfg.Log.Debug("transaction again", "attempt", attempt, "err", err)
		pause := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 7))) //nolint:gosec // no secret: it parts those who met
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// onlyOneAgain is the advisory lock that transactions take which run again, so
// that they don't meet each other in the same deadlock for ever.
const onlyOneAgain = `SELECT pg_advisory_xact_lock(7238245)`

func (e *Engine) once(ctx context.Context, again bool, fn func(ctx context.Context, tx db.Tx) error) error {
	t, done, err := e.begin(ctx, nil)
	if err != nil {
		return err
	}
	defer done()
	if again {
		if _, err := t.ExecContext(ctx, onlyOneAgain); err != nil {
			_ = t.Rollback()
			return err
		}
	}
	if err := call(ctx, t, fn); err != nil {
		_ = t.Rollback() // fails only where the connection did
		return err
	}
	crashpoint.Hit(crashpoint.DBBeforeCommit)
	if err := t.Commit(); err != nil {
		return commitFault(err)
	}
	crashpoint.Hit(crashpoint.DBAfterCommit)
	return nil
}

// View runs fn on a read-only snapshot.
func (e *Engine) View(ctx context.Context, fn func(ctx context.Context, tx db.Tx) error) error {
	t, done, err := e.begin(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer done()
	err = call(ctx, t, fn)
	if end := t.Rollback(); err == nil {
		err = end
	}
	return translate(err)
}

// begin waits for a connection as long as ctx allows. The transaction on it does
// not hear of ctx, only its statements do: a commit that was sent must not be
// given up half-way. done gives the connection back after commit or rollback.
func (e *Engine) begin(ctx context.Context, options *sql.TxOptions) (t *sql.Tx, done func(), err error) {
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	t, err = conn.BeginTx(context.WithoutCancel(ctx), options)
	if err != nil {
		_ = conn.Close()
		return nil, nil, unavailable(err)
	}
	return t, func() { _ = conn.Close() }, nil
}

// call runs the function; a panic in it becomes its error.
func call(ctx context.Context, t *sql.Tx, fn func(ctx context.Context, tx db.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), fault.Internal, "internal error")
		}
	}()
	return fn(ctx, tx{t})
}

// tx is an open transaction; the driver keeps prepared statements per connection.
type tx struct{ t *sql.Tx }

var _ db.Tx = tx{}

func (t tx) Dialect() db.Dialect { return db.Postgres }

func (t tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.t.ExecContext(ctx, query, args...)
}

func (t tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.t.QueryContext(ctx, query, args...)
}

func (t tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.t.QueryRowContext(ctx, query, args...)
}

// The SQLSTATEs that are looked at (PostgreSQL, appendix A).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
)

// again tells whether running the function anew can end otherwise. A unique
// violation comes of two transactions that both looked before either wrote: the
// second look finds the row.
func again(err error) bool {
	p, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (p.Code == serializationFailure || p.Code == deadlockDetected || p.Code == uniqueViolation)
}

// commitFault tells a commit that was refused from one that got no answer. A
// FATAL is none: it ends the connection, at whatever point the commit was. The
// driver's SafeToRetry is not asked: of a line cut after COMMIT was sent pgx
// 5.12 says "conn closed", as of one that was closed before.
func commitFault(err error) error {
	p, answered := errors.AsType[*pgconn.PgError](err)
	if answered && p.SeverityUnlocalized == "ERROR" {
		return err
	}
	return fault.Wrap(fmt.Errorf("%w: %w", db.ErrUnknownOutcome, err), fault.Unavailable, "the database did not answer")
}

func unavailable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "the database does not answer")
}

// translate gives errors of the server and of the connection their codes.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if p, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case again(p):
			return fault.Wrap(err, fault.Temporary, "the database is too busy")
		case p.Code[:2] == "53": // insufficient resources: disk full, out of memory, too many connections
			return fault.Wrap(err, fault.Temporary, "the database could not store this")
		case p.Code[:2] == "57": // the server goes down
			return unavailable(err)
		}
		return err
	}
	if lost(err) {
		return unavailable(err)
	}
	return err
}

// lost tells whether the connection, and no statement, is at fault.
func lost(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}
