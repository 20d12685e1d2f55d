package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"

	"relais/internal/db"
	"relais/internal/fault"
	pgserver "relais/test/postgres"
)

func setup(t *testing.T) (*pgserver.Server, *Engine) {
	t.Helper()
	server := pgserver.Start(t)
	e, err := Open(t.Context(), Config{URL: server.Database(), Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return server, e
}

func put(key string) func(context.Context, db.Tx) error {
	return func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (key, value) VALUES ($1, '')`, key)
		return err
	}
}

func TestDeadlockAndLostRaceRunAgain(t *testing.T) {
	t.Parallel()
	_, e := setup(t)
	if err := e.Update(t.Context(), func(ctx context.Context, tx db.Tx) error {
		return errors.Join(put("a")(ctx, tx), put("b")(ctx, tx))
	}); err != nil {
		t.Fatal(err)
	}
	// Each takes its first row, then waits for the other to have its own.
	var first sync.WaitGroup
	first.Add(2)
	runs := make(chan string, 8)
	lock := func(name, one, two string) error {
		met := false
		return e.Update(t.Context(), func(ctx context.Context, tx db.Tx) error {
			runs <- name
			for _, key := range []string{one, two} {
				if _, err := tx.Exec(ctx, `UPDATE settings SET value = value || $2 WHERE key = $1`, key, name); err != nil {
					return err
				}
				if !met {
					met = true
					first.Done()
					first.Wait()
				}
			}
			return nil
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := lock("x", "a", "b"); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := lock("y", "b", "a"); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if len(runs) < 3 {
		t.Errorf("%d runs: there was no deadlock", len(runs))
	}
	err := e.View(t.Context(), func(ctx context.Context, tx db.Tx) error {
		for _, key := range []string{"a", "b"} {
			var v string
			if err := tx.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, key).Scan(&v); err != nil {
				return err
			}
			if len(v) != 2 {
				t.Errorf("%s was changed by %q, want each once", key, v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLostConnectionAtCommitIsUnknown ends the server between the last
// statement and the commit.
func TestLostConnectionAtCommitIsUnknown(t *testing.T) {
	t.Parallel()
	server, e := setup(t)
	err := e.Update(t.Context(), func(ctx context.Context, tx db.Tx) error {
		if err := put("a")(ctx, tx); err != nil {
			return err
		}
		server.Kill()
		return nil
	})
	if !errors.Is(err, db.ErrUnknownOutcome) || !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v", err)
	}
	if err := e.Update(t.Context(), put("b")); !fault.Is(err, fault.Unavailable) || errors.Is(err, db.ErrUnknownOutcome) {
		t.Fatalf("with the server dead: %v", err)
	}
	server.Run()
	if err := e.Update(t.Context(), put("a")); err != nil {
		t.Fatalf("with the server back: %v", err)
	}
}

func TestCallerWhoLeavesUndoesAll(t *testing.T) {
	t.Parallel()
	_, e := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Update(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := put("a")(ctx, tx); err != nil {
			return err
		}
		cancel()
		var n int
		return tx.QueryRow(ctx, `SELECT 1`).Scan(&n)
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := e.Update(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
}

func TestWrongURLIsSaid(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), Config{URL: "postgres://:::"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), Config{URL: "postgres://127.0.0.1:1/none"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}
