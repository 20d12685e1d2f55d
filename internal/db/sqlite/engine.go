// Package sqlite is the embedded engine: one file, one writer with group commit, readers on snapshots.
//
// WAL with synchronous=FULL: a commit is one write and one fsync of the log, and
// readers never wait for the writer. All updates run on one goroutine over one
// connection; those that wait while a commit is being synced make the next group.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"relais/internal/db"
	"relais/internal/db/migrate"
	"relais/internal/fault"
)

// Config says where the database lies and how it is used. Zero values get defaults.
type Config struct {
	Path      string        // the file; its directory must exist
	Queue     int           // updates that may wait; default 4096
	GroupSize int           // updates in one commit at most; default 256
	GroupTime time.Duration // a group takes no new member after this; default 20 ms
	Readers   int           // snapshots open at once at most; default 16
	Log       *slog.Logger
}

func (c *Config) ensureDefaults() {
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.GroupSize == 0 {
		c.GroupSize = 256
	}
	if c.GroupTime == 0 {
		c.GroupTime = 20 * time.Millisecond
	}
	if c.Readers == 0 {
		c.Readers = 16
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Engine is an open database file. Safe for concurrent use.
type Engine struct {
	cfg      Config
	pool     *sql.DB
	readers  chan *session // idle readers; nil is a place not yet opened
	requests chan *request
	closing  chan struct{} // no new update is taken
	written  chan struct{} // the writer has ended
	once     sync.Once
}

var _ db.Engine = (*Engine)(nil)

// Open opens or creates the file, migrates it and starts the writer.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg.ensureDefaults()
	if err := makePrivate(cfg.Path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn(cfg.Path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Path, err)
	}
	e := &Engine{
		cfg: cfg, pool: pool,
		readers:  make(chan *session, cfg.Readers),
		requests: make(chan *request, cfg.Queue),
		closing:  make(chan struct{}),
		written:  make(chan struct{}),
	}
	if err := migrate.Up(ctx, pool, db.SQLite); err != nil {
		pool.Close()
		return nil, err
	}
	for range cfg.Readers {
		e.readers <- nil
	}
	s, err := e.session(ctx)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the writer's connection: %w", err)
	}
	go e.write(&writer{session: s, cfg: cfg})
	return e, nil
}

// makePrivate makes the file for its owner alone, whatever the umask. SQLite
// takes an empty file for a new database, and gives the log beside it the same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return f.Close()
}

// dsn sets what every connection needs. The writer checkpoints in its idle time
// (see writer.go), so the automatic one, which would make a commit wait, stands
// far off as a bound on the log's size.
func dsn(path string) string {
	pragmas := []string{
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "foreign_keys(0)",
		"cache_size(-32768)", "mmap_size(268435456)", "temp_store(MEMORY)",
		fmt.Sprintf("wal_autocheckpoint(%d)", autoCheckpointPages),
	}
	q := url.Values{"_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Dialect is db.SQLite.
func (e *Engine) Dialect() db.Dialect { return db.SQLite }

// Close ends the writer after what is queued, then closes every connection.
// Views that still run keep theirs until they return.
func (e *Engine) Close() error {
	e.once.Do(func() { close(e.closing) })
	<-e.written
	return e.pool.Close()
}

// View runs fn on a snapshot. It waits for a reader while all are in use: a View
// within a View of the same engine can starve, so don't nest them.
func (e *Engine) View(ctx context.Context, fn func(ctx context.Context, tx db.Tx) error) error {
	s, err := e.reader(ctx)
	if err != nil {
		return err
	}
	healthy := false
	defer func() {
		if !healthy {
			s.close()
			s = nil
		}
		e.readers <- s
	}()
	if err := s.run("BEGIN"); err != nil {
		return fmt.Errorf("begin a snapshot: %w", err)
	}
	err = fn(ctx, &tx{session: s, ctx: ctx})
	if end := s.run("ROLLBACK"); end != nil {
		return fmt.Errorf("end a snapshot: %w", end)
	}
	healthy = true
	return err
}

func (e *Engine) reader(ctx context.Context) (*session, error) {
	select {
	case <-e.closing:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, ctx.Err()
	case s := <-e.readers:
		if s != nil {
			return s, nil
		}
		s, err := e.session(ctx)
		if err == nil {
			if err = s.run("PRAGMA query_only=1"); err == nil {
				return s, nil
			}
			s.close()
		}
		e.readers <- nil
		return nil, fmt.Errorf("open a reader: %w", err)
	}
}

func (e *Engine) session(ctx context.Context) (*session, error) {
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, statements: map[string]*sql.Stmt{}}, nil
}

func errClosed() error { return fault.New(fault.Unavailable, "the database is closing") }

// isFull tells whether the disk, and no statement, is at fault.
func isFull(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "SQLITE_FULL") || strings.Contains(err.Error(), "disk is full"))
}
