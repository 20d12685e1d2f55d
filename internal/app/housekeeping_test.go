package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"relais/internal/blob"
	"relais/internal/clock"
	"relais/internal/db/sqlite"
	"relais/internal/directory"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/outbound"
	"relais/internal/record"
)

// house is a record over small packs, with somebody who receives mail.
type house struct {
	*housekeeper
	t       *testing.T
	dir     string // of the packs
	clock   *clock.Manual
	tenant  mail.TenantID
	account mail.AccountID
	noise   *rand.ChaCha8
	made    int
}

const packSize = 64 << 10

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t, dir: t.TempDir(), clock: clock.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), noise: rand.NewChaCha8([32]byte{})}
	engine, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "relais.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	keyring, err := keys.Create(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	packs, err := blob.Open(ctx, blob.Config{
		Dir: h.dir, Keys: keys.NewRing(keyring, record.TenantKeysIn(engine)), Locate: record.LocateIn(engine), Clock: h.clock, Rotate: packSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packs.Close() })
	store := record.Open(record.Config{Engine: engine, Bodies: packs, Clock: h.clock})
	h.housekeeper = &housekeeper{store: store, packs: packs, log: slog.New(slog.DiscardHandler)}
	h.do(func(ctx context.Context, tx *record.Tx) error {
		tenant, err := tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: "exemple", Wrap: func(id mail.TenantID) ([]byte, string, error) {
			w, err := keyring.NewTenantKey(id)
			return w, keyring.ID(), err
		}})
		if err != nil {
			return err
		}
		h.tenant = tenant.ID
		account, err := tx.Mailbox.CreateAccount(ctx, tenant.ID, mailbox.Person)
		h.account = account.ID
		return err
	})
	return h
}

func (h *house) do(fn func(ctx context.Context, tx *record.Tx) error) {
	h.t.Helper()
	if err := h.store.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// letter makes 4 KiB that do not compress.
func (h *house) letter() []byte {
	h.made++
	noise := make([]byte, 2<<10)
	_, _ = h.noise.Read(noise)
	return fmt.Appendf(nil, "Message-ID: <%d@exemple.test>\r\nSubject: noise\r\n\r\n%x\r\n", h.made, noise)
}

// file files a letter: in a mailbox, or for the queue alone.
func (h *house) file(queued bool) mail.Hash {
	h.t.Helper()
	body := h.letter()
	hash := mail.Sum(body)
	f := &record.Filing{Tenant: h.tenant, Body: body, Hash: hash, Facts: mime.Examine(body), Origin: mail.ByIntake}
	if queued {
		f.Then = func(ctx context.Context, tx *record.Tx, _ *record.Filed) error {
			_, err := tx.Outbound.Enqueue(ctx, outbound.New{Tenant: h.tenant, Hash: hash, Size: int64(len(body)),
				From: mail.Address{Local: "ann", Domain: "exemple.test"}, To: mail.Address{Local: "bob", Domain: "elsewhere.test"}, Expire: time.Hour})
			return err
		}
	} else {
		f.Places = []record.Place{{Account: h.account}}
	}
	if _, err := h.store.File(h.t.Context(), f); err != nil {
		h.t.Fatal(err)
	}
	return hash
}

// orphan stores a body that gets no row, as a crash leaves it.
func (h *house) orphan() blob.Ref {
	h.t.Helper()
	body := h.letter()
	refs, err := h.packs.Append(h.t.Context(), []blob.Put{{Tenant: h.tenant, Hash: mail.Sum(body), Body: body}})
	if err != nil {
		h.t.Fatal(err)
	}
	return refs[0]
}

// fill calls put until a pack that it wrote to is sealed, and gives that pack's number.
func (h *house) fill(put func()) uint64 {
	h.t.Helper()
	newest := func() uint64 {
		packs, err := h.packs.Packs(h.t.Context())
		if err != nil || len(packs) == 0 {
			h.t.Fatal("packs:", len(packs), err)
		}
		return packs[len(packs)-1].Number
	}
	put()
	for first := newest(); ; put() {
		if newest() != first {
			return first
		}
	}
}

func (h *house) has(pack uint64) bool {
	h.t.Helper()
	packs, err := h.packs.Packs(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, p := range packs {
		if p.Number == pack {
			return true
		}
	}
	return false
}

func TestCompactionTakesOrphansAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var live []mail.Hash
	orphaned := h.fill(func() {
		if h.made%4 == 0 {
			live = append(live, h.file(h.made%8 == 0))
		} else {
			h.orphan()
		}
	})
	healthy := h.fill(func() {
		if h.made%4 == 0 {
			h.orphan()
		} else {
			live = append(live, h.file(false))
		}
	})
	readable := func() {
		t.Helper()
		for _, hash := range live {
			if _, err := h.store.Body(t.Context(), h.tenant, hash); err != nil {
				t.Errorf("body %v: %v", hash, err)
			}
		}
		report, err := h.store.Check(t.Context(), record.CheckOptions{Bodies: true})
		if err != nil || len(report.Violations) > 0 || len(report.Damaged) > 0 {
			t.Errorf("check: %+v, %v", report, err)
		}
	}

	if err := h.compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !h.has(orphaned) {
		t.Error("a pack that was written a moment ago is gone: its callers may still file rows")
	}
	h.clock.Advance(2 * time.Hour)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.compact(ended); err == nil || !h.has(orphaned) {
		t.Errorf("compaction goes on after the node's end: %v", err)
	}
	if err := h.compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.has(orphaned) {
		t.Error("a pack of orphans stays")
	}
	if !h.has(healthy) {
		t.Error("a pack that is mostly live was rewritten")
	}
	readable()
}

// A pack in which nothing is live goes without a copy; a damaged one stays, and keeps no other from its turn.
func TestCompactionOfDeadAndOfDamagedPacks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	damaged := h.fill(func() { h.orphan() })
	dead := h.fill(func() { h.orphan() })
	f, err := os.OpenFile(filepath.Join(h.dir, fmt.Sprintf("%016x.pack", damaged)), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rot"), packSize/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(2 * time.Hour)
	if err := h.compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.has(dead) {
		t.Error("a dead pack stays")
	}
	if !h.has(damaged) {
		t.Error("a damaged pack went before a person saw it")
	}
}

func TestClosedRowsOfTheQueueAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.file(true)
	h.file(true)
	left := func() (n int) {
		h.do(func(ctx context.Context, tx *record.Tx) error {
			open, err := tx.Outbound.List(ctx, outbound.Filter{})
			if err != nil {
				return err
			}
			dropped, err := tx.Outbound.List(ctx, outbound.Filter{State: outbound.Dropped})
			n = len(open) + len(dropped)
			return err
		})
		return n
	}
	h.do(func(ctx context.Context, tx *record.Tx) error {
		items, err := tx.Outbound.List(ctx, outbound.Filter{})
		if err != nil {
			return err
		}
		return tx.Outbound.Drop(ctx, items[0].ID)
	})
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {keepQueue - time.Minute, 2}, {2 * time.Minute, 1}} {
		h.clock.Advance(step.after)
		if err := h.forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := left(); n != step.want {
			t.Errorf("%v later %d rows are left, want %d", step.after, n, step.want)
		}
	}
}
