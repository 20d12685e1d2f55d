package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
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
	t.Cleanup(func() { _ = e.Close() })
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

func TestDeadServerIsSaid(t *testing.T) {
	t.Parallel()
	server, e := setup(t)
	err := e.Update(t.Context(), func(ctx context.Context, tx db.Tx) error {
		server.Kill()
		return put("a")(ctx, tx)
	})
	if !fault.Is(err, fault.Unavailable) || errors.Is(err, db.ErrUnknownOutcome) {
		t.Fatalf("killed before a statement: %v", err)
	}
	if err := e.Update(t.Context(), put("b")); !fault.Is(err, fault.Unavailable) || errors.Is(err, db.ErrUnknownOutcome) {
		t.Fatalf("with the server dead: %v", err)
	}
	server.Run()
	if err := e.Update(t.Context(), put("a")); err != nil {
		t.Fatalf("with the server back: %v", err)
	}
}

// TestCommitWithoutAnswerIsUnknown cuts the line at the word COMMIT: before the
// server hears it, and after. To the caller both look the same.
func TestCommitWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t)
	for _, heard := range []bool{false, true} {
		cut, target := cutter(t, server.Database(), heard)
		e, err := Open(t.Context(), Config{URL: target, Connections: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		cut.Store(true)
		err = e.Update(t.Context(), put("a"))
		if !errors.Is(err, db.ErrUnknownOutcome) || !fault.Is(err, fault.Unavailable) {
			t.Errorf("heard %v: got %v", heard, err)
		}
		cut.Store(false)
		var n int
		found := func() bool {
			err := e.View(t.Context(), func(ctx context.Context, tx db.Tx) error {
				return tx.QueryRow(ctx, `SELECT count(*) FROM settings WHERE key = 'a'`).Scan(&n)
			})
			return err == nil && n == 1
		}
		if heard { // the server may still be at it
			for !found() {
				if t.Context().Err() != nil {
					t.Fatal(t.Context().Err())
				}
			}
		} else if found() {
			t.Error("a commit that was not heard is durable")
		}
	}
}

// cutter is a line to the database that can be cut at the next COMMIT, which is
// passed on or not.
func cutter(t *testing.T, target string, heard bool) (armed *atomic.Bool, viaURL string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	armed = new(atomic.Bool)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", u.Host)
			if err != nil {
				client.Close()
				return
			}
			go func() {
				io.Copy(client, server) //nolint:errcheck // ends with the line
				client.Close()
			}()
			go func() {
				defer server.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := client.Read(buf)
					if err != nil {
						return
					}
					if armed.Load() && bytes.Contains(buf[:n], []byte("commit")) {
						client.Close()
						if heard {
							server.Write(buf[:n])       //nolint:errcheck // the line is cut on this side only
							io.Copy(io.Discard, server) //nolint:errcheck // until the server ends
						}
						return
					}
					if _, err := server.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	viaURL = strings.Replace(target, u.Host, l.Addr().String(), 1)
	return armed, viaURL
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
