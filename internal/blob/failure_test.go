package blob

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"relais/internal/clock"
	"relais/internal/fault"
	"relais/internal/mail"
)

// oneKey gives every tenant the same key: these tests are about bytes on disk.
type oneKey struct{}

func (oneKey) Key(context.Context, mail.TenantID) (cipher.AEAD, error) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ledger is what the callers were told: where each acknowledged body lies.
type ledger map[mail.Hash]Ref

// text is body number i; size bytes that differ from any other's.
func text(i, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "body %d ", i), size/7+1)[:size]
}

func (l ledger) put(ctx context.Context, s *Packs, bodies ...[]byte) error {
	var puts []Put
	for _, b := range bodies {
		puts = append(puts, Put{1, mail.Sum(b), b})
	}
	refs, err := s.Append(ctx, puts)
	for i, ref := range refs {
		l[puts[i].Hash] = ref
	}
	return err
}

// wantAll reads every acknowledged body.
func (l ledger) wantAll(t *testing.T, s *Packs) {
	t.Helper()
	for h, ref := range l {
		if _, err := s.Read(t.Context(), 1, h, ref); err != nil {
			t.Errorf("acknowledged body at %v: %v", ref, err)
		}
	}
}

// wantNoDamage checks the whole store and that what was acknowledged is in it.
func (l ledger) wantNoDamage(t *testing.T, s *Packs) {
	t.Helper()
	seen := map[Ref]bool{}
	_, err := s.Check(t.Context(), func(r Record) error {
		seen[r.Ref] = true
		return nil
	}, func(d Damage) error {
		t.Errorf("damage at %v: %v", d.Ref, d.Err)
		return nil
	})
	if err != nil {
		t.Errorf("check: %v", err)
	}
	for _, ref := range l {
		if !seen[ref] {
			t.Errorf("check did not see %v", ref)
		}
	}
}

func openTest(t *testing.T, dir string, f folder, rotate int64) *Packs {
	t.Helper()
	if f == nil {
		f = &failing{folder: osFolder(dir), skip: true}
	}
	s, err := Open(t.Context(), Config{Dir: dir, Keys: oneKey{}, folder: f, Rotate: rotate, Clock: clock.System{}})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestFailureAtEveryStep runs a few appends (with rotations) in which the i-th
// step on the file system fails, for every i, alone or with all that follow.
func TestFailureAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		err     error
		onwards bool
		short   int
	}{
		{"disk full for a moment", errFull, false, 0},
		{"disk full, some bytes written", errFull, false, 150},
		{"input/output error", errIO, false, 60},
		{"medium gone", errIO, true, 150},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := 1; ; i++ {
				dir := t.TempDir()
				f := &failing{folder: osFolder(dir)}
				s := openTest(t, dir, f, 1000)
				acknowledged := ledger{}
				f.arm(i, c.onwards, c.short, c.err)
				failed := 0
				for n := range 6 {
					if err := acknowledged.put(t.Context(), s, text(n, 700), text(100+n, 20)); err != nil {
						failed++
						if !fault.Is(err, fault.Temporary) || !errors.Is(err, c.err) {
							t.Fatalf("step %d: %v, want a temporary fault", i, err)
						}
					}
				}
				if !f.reached() {
					if failed != 0 {
						t.Fatalf("step %d was not reached but %d appends failed", i, failed)
					}
					if i < 12 {
						t.Fatalf("only %d steps", i)
					}
					return
				}
				if !c.onwards && failed > 1 {
					t.Errorf("step %d (%s): %d appends failed, want the store to go on", i, f.last, failed)
				}
				acknowledged.wantAll(t, s)
				f.arm(0, false, 0, nil)
				if err := acknowledged.put(t.Context(), s, text(1000, 300)); err != nil {
					t.Errorf("step %d (%s): after the failure: %v", i, f.last, err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("step %d (%s): close: %v", i, f.last, err)
				}
				again := openTest(t, dir, nil, 1000)
				acknowledged.wantAll(t, again)
				// Where the truncation failed as well, a tail stays that no row names.
				if !c.onwards {
					acknowledged.wantNoDamage(t, again)
				}
				if err := again.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestDiskFullSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := &failing{folder: osFolder(dir)}
	s := openTest(t, dir, f, 0)
	l := ledger{}
	if err := l.put(t.Context(), s, text(1, 100)); err != nil {
		t.Fatal(err)
	}
	f.arm(1, false, 10, errFull)
	if err := l.put(t.Context(), s, text(2, 100)); !strings.Contains(fault.Public(err), "no room") {
		t.Errorf("%v", err)
	}
	if size, _ := s.newest.file.Size(); size != s.newest.end.Load() {
		t.Errorf("the file has %d bytes, its records end at %d: the tail was not cut", size, s.newest.end.Load())
	}
}

// TestFailedSyncAbandonsThePack holds that no byte is ever appended to a pack whose sync failed once.
func TestFailedSyncAbandonsThePack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := &failing{folder: osFolder(dir)}
	s := openTest(t, dir, f, 0)
	l := ledger{}
	if err := l.put(t.Context(), s, text(1, 100)); err != nil {
		t.Fatal(err)
	}
	first := s.newest
	f.arm(2, false, 0, errIO) // write, then sync
	if err := l.put(t.Context(), s, text(2, 100)); !fault.Is(err, fault.Temporary) {
		t.Fatalf("%v, want temporary", err)
	}
	if f.last != "sync" {
		t.Fatalf("failed at %q", f.last)
	}
	f.arm(0, false, 0, nil)
	if err := l.put(t.Context(), s, text(2, 100)); err != nil {
		t.Fatal(err)
	}
	if ref := l[mail.Sum(text(2, 100))]; ref.Pack != first.number+1 {
		t.Errorf("the next body lies at %v, want it in a new pack", ref)
	}
	l.wantAll(t, s)
	l.wantNoDamage(t, s)
}

// TestGroupsShareOneSync holds what makes concurrent deliveries cheap: those that
// wait while a sync runs go together with the next.
func TestGroupsShareOneSync(t *testing.T) {
	t.Parallel()
	var groups []int
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	var q queue
	var count atomic.Int32
	q.start(func(group []*batch) {
		groups = append(groups, len(group))
		count.Add(1)
		entered <- struct{}{}
		<-leave
	})
	add := func(bytes int64) { q.add(&batch{records: make([][]byte, 1), bytes: bytes}) }
	add(1)
	<-entered
	for range 5 {
		add(1)
	}
	add(groupBytes) // too large to go with the five
	add(groupBytes + 1)
	close(leave)
	q.stop()
	if want := []int{1, 5, 1, 1}; !slices.Equal(groups, want) {
		t.Errorf("groups of %v, want %v", groups, want)
	}
	if q.add(&batch{}) {
		t.Error("a batch was taken after stop")
	}
}

// TestCompactionFailureAtEveryStep fails the i-th step of a compaction, for every
// i, then reopens: no row may point at anything but its body, and the compaction
// ends when tried again.
func TestCompactionFailureAtEveryStep(t *testing.T) {
	t.Parallel()
	for i := 1; ; i++ {
		dir := t.TempDir()
		rows := ledger{}
		s := openTest(t, dir, nil, 1000)
		for n := range 12 {
			if err := rows.put(t.Context(), s, text(n, 50*n)); err != nil {
				t.Fatal(err)
			}
			if n%4 == 0 {
				delete(rows, mail.Sum(text(n, 50*n)))
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		live := func(r Record) (bool, error) { return rows[r.Hash] == r.Ref, nil }
		move := func(moved []Moved) error {
			for _, m := range moved {
				if rows[m.Hash] == m.From {
					rows[m.Hash] = m.To
				}
			}
			return nil
		}
		f := &failing{folder: osFolder(dir)}
		s = openTest(t, dir, f, 1000)
		before := maps.Clone(rows)
		f.arm(i, false, 100, errIO)
		_, err := s.Compact(t.Context(), 1, live, move)
		if !f.reached() {
			if err != nil || i < 4 {
				t.Fatalf("%d steps, %v", i, err)
			}
			return
		}
		rows.wantAll(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, dir, nil, 1000)
		rows.wantAll(t, s)
		if _, gone := s.Compact(t.Context(), 1, live, move); gone != nil && !(err == nil && fault.Is(gone, fault.NotFound)) {
			t.Errorf("step %d (%s): again: %v", i, f.last, gone)
		}
		rows.wantAll(t, s)
		if len(rows) != len(before) {
			t.Errorf("step %d: %d rows, had %d", i, len(rows), len(before))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
