package record_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relais/internal/blob"
	"relais/internal/crashpoint"
	"relais/internal/db/sqlite"
	"relais/internal/directory"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

// killDir tells the test program that it is the child, and where.
const killDir = "RELAIS_TEST_RECORD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := fileUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilledWhileFiling kills a process that files messages at each instant of
// filing, again and again on the same store: what it acknowledged is there, once,
// with its body, and the check finds nothing.
func TestKilledWhileFiling(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round, point := range []string{
		"file.before-body:3", "blob.before-write:2", "blob.after-write:2", "blob.after-sync:3", "file.after-body:4",
		"db.before-commit:3", "db.after-commit:3", "file.after-rows:5", "db.before-commit:9", "file.after-body:20",
	} {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), killDir+"="+dir, crashpoint.Env+"="+point, fmt.Sprintf("RELAIS_TEST_ROUND=%d", round))
		var errors strings.Builder
		child.Stderr = &errors
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			acknowledged[lines.Text()] = true
		}
		if err := child.Wait(); err == nil || !strings.Contains(errors.String(), "crashpoint: ") {
			t.Fatalf("%s: ended with %v: %s", point, err, errors.String())
		}
		examine(t, dir, acknowledged)
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged before any kill")
	}
}

// openIn opens the record in a directory, and makes it there at first.
func openIn(ctx context.Context, dir string) (*record.Store, func(), error) {
	engine, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "relais.db")})
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "keys")
	ring, err := keys.Load(file)
	if err != nil {
		if ring, err = keys.Create(file); err != nil {
			return nil, nil, err
		}
	}
	packs, err := blob.Open(ctx, blob.Config{Dir: filepath.Join(dir, "packs"), Keys: keys.NewRing(ring, record.TenantKeysIn(engine)), Locate: record.LocateIn(engine)})
	if err != nil {
		return nil, nil, err
	}
	s := record.Open(record.Config{Engine: engine, Bodies: packs})
	closeAll := func() { _, _ = packs.Close(), engine.Close() }
	err = s.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if tenants, err := tx.Directory.Tenants(ctx); err != nil || len(tenants) > 0 {
			return err
		}
		t, err := tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: "example", Wrap: func(id mail.TenantID) ([]byte, string, error) {
			wrapped, err := ring.NewTenantKey(id)
			return wrapped, ring.ID(), err
		}})
		if err != nil {
			return err
		}
		_, err = tx.Mailbox.CreateAccount(ctx, t.ID, mailbox.Shared)
		return err
	})
	return s, closeAll, err
}

// fileUntilKilled is the child: three callers file, and name each message once it is acknowledged.
func fileUntilKilled(dir string) error {
	s, closeAll, err := openIn(context.Background(), dir)
	if err != nil {
		return err
	}
	defer closeAll()
	failed := make(chan error, 3)
	for caller := range 3 {
		go func() {
			for i := range 200 {
				id := fmt.Sprintf("<%s.%d.%d@example.net>", os.Getenv("RELAIS_TEST_ROUND"), caller, i)
				body := []byte("Message-ID: " + id + "\r\nSubject: killed\r\n\r\nHello.\r\n")
				_, err := s.File(context.Background(), &record.Filing{Tenant: 1, Body: body, Facts: mime.Examine(body),
					Places: []record.Place{{Account: 1}}, Origin: mail.ByIntake})
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(id)
			}
			failed <- nil
		}()
	}
	for range 3 {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// examine checks the store and looks for every message that was acknowledged.
func examine(t *testing.T, dir string, acknowledged map[string]bool) {
	t.Helper()
	s, closeAll, err := openIn(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	report, err := s.Check(t.Context(), record.CheckOptions{Bodies: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report.Violations {
		t.Errorf("%s: %s", v.Invariant, v.Where)
	}
	err = s.View(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		for id := range acknowledged {
			found, err := tx.Mailbox.PlacementsByMessageID(ctx, 1, id)
			if err != nil {
				return err
			}
			if len(found) != 1 {
				t.Errorf("%s is there %d times", id, len(found))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
