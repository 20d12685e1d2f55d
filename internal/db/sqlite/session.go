package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"relais/internal/db"
)

// maxStatements bounds the prepared statements of a connection; texts are
// constant, so this is only reached by a mistake.
const maxStatements = 1024

// session is one connection with its prepared statements: preparing costs more
// than running. Used by one goroutine at a time.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func (s *session) prepare(query string) (*sql.Stmt, error) {
	if st, ok := s.statements[query]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	if len(s.statements) >= maxStatements {
		for _, old := range s.statements {
			old.Close()
		}
		clear(s.statements)
	}
	s.statements[query] = st
	return st, nil
}

// run executes a statement of the engine itself, such as COMMIT.
func (s *session) run(query string) error {
	st, err := s.prepare(query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(context.Background())
	return err
}

func (s *session) close() {
	for _, st := range s.statements {
		st.Close()
	}
	s.conn.Close()
}

// tx is a session within one run of one function. The context is looked at
// between statements and not handed to the driver: an interrupted statement
// would roll back the whole group, and watching a context costs the driver a
// goroutine for each statement.
type tx struct {
	*session
	ctx context.Context
}

var _ db.Tx = (*tx)(nil)

func (t *tx) Dialect() db.Dialect { return db.SQLite }

func (t *tx) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.prepare(query)
}

func (t *tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := t.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), args...)
}

func (t *tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := t.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.Background(), args...)
}

// QueryRow can only carry an error inside a *sql.Row, which the database/sql
// package alone can make: a query under an ended context makes one.
func (t *tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	st, err := t.statement(ctx, query)
	if err != nil {
		if ctx.Err() == nil && t.ctx.Err() == nil {
			return t.conn.QueryRowContext(context.Background(), query, args...) // fails as preparing did
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		return t.conn.QueryRowContext(ended, query, args...)
	}
	return st.QueryRowContext(context.Background(), args...)
}
