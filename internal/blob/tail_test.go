package blob

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"relais/internal/fault"
	"relais/internal/mail"
)

// history is a pack of acknowledged groups, and one more group that a crash tears.
type history struct {
	acknowledged ledger
	bytes        []byte // of the whole pack
	durable      int64  // where the acknowledged part ends
	last         []Ref  // records of the torn group
}

func makeHistory(t *testing.T) history {
	t.Helper()
	dir := t.TempDir()
	s := openTest(t, dir, nil, 0)
	h := history{acknowledged: ledger{}}
	for n := range 5 {
		if err := h.acknowledged.put(t.Context(), s, text(n, 40*n), text(100+n, 10)); err != nil {
			t.Fatal(err)
		}
	}
	h.durable = s.newest.end.Load()
	torn := ledger{}
	for n := range 3 {
		body := text(200+n, 60*n)
		if err := torn.put(t.Context(), s, body); err != nil {
			t.Fatal(err)
		}
		h.last = append(h.last, torn[mail.Sum(body)])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.bytes, err = os.ReadFile(filepath.Join(dir, packName(1))); err != nil {
		t.Fatal(err)
	}
	return h
}

// reopen opens a store whose only pack holds content.
func reopen(t *testing.T, content []byte) *Packs {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, packName(1)), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return openTest(t, dir, nil, 0)
}

// wantGoesOn holds that nothing acknowledged is lost and that the store takes
// more, now and after another start.
func (h *history) wantGoesOn(t *testing.T, s *Packs) {
	t.Helper()
	h.acknowledged.wantAll(t, s)
	more := ledger{}
	if err := more.put(t.Context(), s, text(999, 50)); err != nil {
		t.Fatal(err)
	}
	more.wantAll(t, s)
	h.acknowledged.wantAll(t, s)
}

func TestTornTailAtEveryByte(t *testing.T) {
	t.Parallel()
	h := makeHistory(t)
	for cut := h.durable; cut <= int64(len(h.bytes)); cut++ {
		for name, fill := range map[string][]byte{
			"cut":   nil,
			"zeros": make([]byte, int64(len(h.bytes))-cut),
			"junk":  bytes.Repeat([]byte{0xb5}, 300),
		} {
			s := reopen(t, append(h.bytes[:cut:cut], fill...))
			end := h.durable
			for _, ref := range h.last {
				if ref.Offset+ref.Length <= cut {
					end = ref.Offset + ref.Length
				}
			}
			if s.newest == nil || s.newest.end.Load() != end {
				t.Fatalf("%s at %d: the pack ends at %v, want %d", name, cut, s.newest, end)
			}
			h.wantGoesOn(t, s)
			h.acknowledged.wantNoDamage(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHoleInTheLastGroup is a power cut that wrote a later page of the group and
// not an earlier one: what is whole stays, the hole is reported.
func TestHoleInTheLastGroup(t *testing.T) {
	t.Parallel()
	h := makeHistory(t)
	content := bytes.Clone(h.bytes)
	hole := h.last[0]
	clear(content[hole.Offset : hole.Offset+hole.Length])
	s := reopen(t, content)
	if s.newest.end.Load() != int64(len(content)) {
		t.Errorf("the pack ends at %d, want all %d bytes", s.newest.end.Load(), len(content))
	}
	wantDamage(t, s, hole)
	h.wantGoesOn(t, s)
}

// TestDamageIsReportedNeverCut spoils a record that was acknowledged long ago.
func TestDamageIsReportedNeverCut(t *testing.T) {
	t.Parallel()
	h := makeHistory(t)
	var victim Ref
	for _, ref := range h.acknowledged {
		if victim.Length == 0 || ref.Offset < victim.Offset {
			victim = ref
		}
	}
	for at := victim.Offset; at < victim.Offset+victim.Length; at += 7 {
		content := bytes.Clone(h.bytes)
		content[at] ^= 0x20
		s := reopen(t, content)
		if s.newest.end.Load() != int64(len(content)) {
			t.Fatalf("byte %d: cut to %d", at, s.newest.end.Load())
		}
		wantDamage(t, s, victim)
		for hash, ref := range h.acknowledged {
			body, err := s.Read(t.Context(), 1, hash, ref)
			if ref == victim && err == nil {
				t.Errorf("byte %d altered: read gave %d bytes", at, len(body))
			}
			if ref != victim && err != nil {
				t.Errorf("byte %d altered: the body at %v: %v", at, ref, err)
			}
			if err != nil && !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Invalid) {
				t.Errorf("byte %d altered: %v, want corrupt", at, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantDamage checks that exactly the stretch ref is damaged.
func wantDamage(t *testing.T, s *Packs, ref Ref) {
	t.Helper()
	var found []Ref
	sum, err := s.Check(t.Context(), func(Record) error { return nil }, func(d Damage) error {
		found = append(found, d.Ref)
		return nil
	})
	if err != nil || len(found) != 1 || found[0] != ref || sum.Damages != 1 || sum.Unusable != ref.Length {
		t.Errorf("damage %v (%+v), %v; want %v", found, sum, err, ref)
	}
	infos, err := s.Packs(t.Context())
	if err != nil || len(infos) != 1 {
		t.Errorf("packs: %v, %v", infos, err)
	}
}

func TestDamagedPackIsNotCompacted(t *testing.T) {
	t.Parallel()
	h := makeHistory(t)
	content := bytes.Clone(h.bytes)
	content[h.last[1].Offset+10] ^= 1
	s := reopen(t, content)
	s.newest = nil // as after a rotation
	_, err := s.Compact(t.Context(), 1, func(Record) (bool, error) { return false, nil }, func([]Moved) error { return nil })
	if !fault.Is(err, fault.Corrupt) {
		t.Errorf("%v, want corrupt", err)
	}
	h.wantGoesOn(t, s)
}

func TestDamagedPackHeader(t *testing.T) {
	t.Parallel()
	h := makeHistory(t)
	for name, content := range map[string][]byte{
		"altered": append([]byte("X"), h.bytes[1:]...),
		"empty":   {},
		"short":   h.bytes[:20],
	} {
		s := reopen(t, content)
		if s.newest != nil {
			t.Errorf("%s: the pack may grow", name)
		}
		if name == "altered" {
			h.acknowledged.wantAll(t, s)
		}
		more := ledger{}
		if err := more.put(t.Context(), s, text(1, 10)); err != nil || more[mail.Sum(text(1, 10))].Pack != 2 {
			t.Errorf("%s: %v, %v; want the next pack", name, more, err)
		}
		var damages int
		if _, err := s.Check(t.Context(), func(Record) error { return nil }, func(Damage) error { damages++; return nil }); err != nil || damages != 1 {
			t.Errorf("%s: %d damages, %v", name, damages, err)
		}
	}
}

func TestNewerVersionsAreRefused(t *testing.T) {
	t.Parallel()
	h := makeHistory(t)
	seal := func(b []byte, from, crc int) {
		binary.LittleEndian.PutUint32(b[crc:], crc32.Checksum(b[from:crc], castagnoli))
	}
	newerPack := bytes.Clone(h.bytes)
	newerPack[8] = 2
	seal(newerPack, 0, 28)
	newerRecord := bytes.Clone(h.bytes)
	at := int(h.last[2].Offset)
	newerRecord[at+4] = 2
	seal(newerRecord, at, at+92)
	for name, content := range map[string][]byte{"pack": newerPack, "record": newerRecord} {
		dir := t.TempDir()
		path := filepath.Join(dir, packName(1))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Config{Dir: dir, Keys: oneKey{}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, content) {
			t.Errorf("%s: the refusal altered the pack", name)
		}
	}
}

func TestSecondNodeIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTest(t, dir, nil, 0)
	if _, err := Open(t.Context(), Config{Dir: dir, Keys: oneKey{}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v, want a conflict", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, dir, nil, 0)
}

func TestUnfinishedPackIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, packName(7)+newSuffix)
	if err := os.WriteFile(name, []byte("RELA"), 0o600); err != nil {
		t.Fatal(err)
	}
	openTest(t, dir, nil, 0)
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
