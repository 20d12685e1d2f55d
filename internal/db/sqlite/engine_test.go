package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"relais/internal/db"
	"relais/internal/fault"
)

func setup(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "odd name %?#.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func set(key, value string) func(context.Context, db.Tx) error {
	return func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (key, value) VALUES ($1, $2)`, key, value)
		return err
	}
}

func count(t *testing.T, e *Engine) (n int) {
	t.Helper()
	err := e.View(t.Context(), func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM settings`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "relais.db")
	e, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", filepath.Base(file), mode)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// hold occupies the writer until release is called, so that what is queued meanwhile makes one group.
func hold(t *testing.T, e *Engine) (release func()) {
	t.Helper()
	running, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- e.Update(context.Background(), func(context.Context, db.Tx) error {
			close(running)
			<-free
			return nil
		})
	}()
	<-running
	return func() {
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestGroupUndoesOnlyTheMemberThatFailed(t *testing.T) {
	t.Parallel()
	e := setup(t)
	release := hold(t, e)
	wrong := errors.New("wrong")
	members := []func(context.Context, db.Tx) error{
		set("a", "1"),
		func(ctx context.Context, tx db.Tx) error {
			if err := set("b", "1")(ctx, tx); err != nil {
				return err
			}
			return wrong
		},
		func(ctx context.Context, tx db.Tx) error {
			if err := set("c", "1")(ctx, tx); err != nil {
				return err
			}
			panic("boom")
		},
		set("a", "2"), // breaks the primary key
		set("d", "1"),
	}
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, fn := range members {
		before := len(e.requests)
		wg.Go(func() { errs[i] = e.Update(t.Context(), fn) })
		for len(e.requests) == before { // queued in order
			runtime.Gosched()
		}
	}
	release()
	wg.Wait()
	if errs[0] != nil || errs[4] != nil {
		t.Errorf("good members failed: %v, %v", errs[0], errs[4])
	}
	if !errors.Is(errs[1], wrong) || !fault.Is(errs[2], fault.Internal) || errs[3] == nil {
		t.Errorf("bad members: %v, %v, %v", errs[1], errs[2], errs[3])
	}
	if n := count(t, e); n != 2 {
		t.Errorf("%d rows, want those of the 2 good members", n)
	}
	if err := e.Update(t.Context(), set("after", "1")); err != nil {
		t.Errorf("the writer did not survive: %v", err)
	}
}

func TestFunctionOfLeftCallerNeverRuns(t *testing.T) {
	t.Parallel()
	e := setup(t)
	release := hold(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Update(ctx, set("left", "1")) }()
	for len(e.requests) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	release()
	if err := e.Update(t.Context(), set("stayed", "1")); err != nil {
		t.Fatal(err)
	}
	if n := count(t, e); n != 1 {
		t.Fatalf("%d rows, want 1", n)
	}
}

func TestEndedContextStopsAFunctionBetweenStatements(t *testing.T) {
	t.Parallel()
	e := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Update(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := set("a", "1")(ctx, tx); err != nil {
			return err
		}
		cancel()
		var n int
		return tx.QueryRow(ctx, `SELECT 1`).Scan(&n)
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if n := count(t, e); n != 0 {
		t.Fatalf("%d rows, want 0", n)
	}
}

func TestViewReadsOneSnapshotAndCannotWrite(t *testing.T) {
	t.Parallel()
	e := setup(t)
	err := e.View(t.Context(), func(ctx context.Context, tx db.Tx) error {
		var before, after int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM settings`).Scan(&before); err != nil {
			return err
		}
		if err := e.Update(t.Context(), set("a", "1")); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM settings`).Scan(&after); err != nil {
			return err
		}
		if before != after {
			t.Errorf("the snapshot moved: %d then %d rows", before, after)
		}
		if err := set("b", "1")(ctx, tx); err == nil {
			t.Error("a view wrote")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, e); n != 1 {
		t.Fatalf("%d rows, want 1", n)
	}
}

func TestCloseAnswersWhatIsQueued(t *testing.T) {
	t.Parallel()
	e, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	release := hold(t, e)
	done := make(chan error, 1)
	go func() { done <- e.Update(context.Background(), set("a", "1")) }()
	for len(e.requests) == 0 {
		runtime.Gosched()
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	release()
	if err := <-done; err != nil && !fault.Is(err, fault.Unavailable) {
		t.Errorf("queued update: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := e.Update(context.Background(), set("b", "1")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("update after close: %v", err)
	}
}
