// Package blobtest is the suite that every maker of blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"relais/internal/blob"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Maker opens the store of one test. Called again after Close it opens the same
// data. The store seals a pack as soon as it holds some 64 KiB.
type Maker func(keys blob.Keys, locate blob.Locate) (blob.Store, error)

// bench is the small bundle that the tests share.
type bench struct {
	*testing.T
	blob.Store
	maker Maker
	keys  Keys
	rows  Rows
	seed  *rand.Rand
}

func setup(t *testing.T, newMaker func(*testing.T) Maker) *bench {
	t.Parallel()
	b := &bench{T: t, maker: newMaker(t), seed: rand.New(rand.NewPCG(1, 2))}
	b.open()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func (b *bench) open() {
	b.Helper()
	s, err := b.maker(&b.keys, b.rows.Locate)
	if err != nil {
		b.Fatalf("open: %v", err)
	}
	b.Store = s
}

func (b *bench) reopen() {
	b.Helper()
	if err := b.Close(); err != nil {
		b.Fatalf("close: %v", err)
	}
	b.open()
}

// body makes n bytes: half of them repeat, half do not compress.
func (b *bench) body(n int) []byte {
	body := bytes.Repeat([]byte("Subject: bonjour\r\n"), n/36+1)[:n/2]
	for len(body) < n {
		body = append(body, byte(b.seed.Uint32()))
	}
	return body
}

// put stores one body and commits its row.
func (b *bench) put(tenant mail.TenantID, body []byte) mail.Hash {
	b.Helper()
	h := mail.Sum(body)
	refs, err := b.Append(b.Context(), []blob.Put{{Tenant: tenant, Hash: h, Body: body}})
	if err != nil || len(refs) != 1 {
		b.Fatalf("append: %v, %v", refs, err)
	}
	b.rows.Set(tenant, h, refs[0])
	return h
}

// get reads by the row.
func (b *bench) get(tenant mail.TenantID, h mail.Hash) ([]byte, error) {
	ref, err := b.rows.Locate(b.Context(), tenant, h)
	if err != nil {
		return nil, err
	}
	return b.Read(b.Context(), tenant, h, ref)
}

func (b *bench) check() (blob.Summary, map[blob.Ref]blob.Record) {
	b.Helper()
	seen := map[blob.Ref]blob.Record{}
	sum, err := b.Check(b.Context(), func(r blob.Record) error {
		seen[r.Ref] = r
		return nil
	}, func(d blob.Damage) error {
		b.Errorf("damage at %v: %v", d.Ref, d.Err)
		return nil
	})
	if err != nil {
		b.Fatalf("check: %v", err)
	}
	return sum, seen
}

// Run runs the suite. newMaker is called once for each test.
func Run(t *testing.T, newMaker func(*testing.T) Maker) {
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"sizes", testSizes},
		{"batch", testBatch},
		{"concurrent", testConcurrent},
		{"only what was asked for", testMismatch},
		{"reopen", testReopen},
		{"erased tenant", testErased},
		{"walk", testWalk},
		{"compact", testCompact},
		{"compact refuses", testCompactRefuses},
		{"compact fails half-way", testCompactFails},
		{"context", testContext},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(setup(t, newMaker)) })
	}
}

func testSizes(b *bench) {
	for _, n := range []int{0, 1, 15, 16, 17, 100, 4095, 4096, 70_000, 300_000, 3 << 20} {
		for _, body := range [][]byte{b.body(n), bytes.Repeat([]byte("a"), n)} {
			h := b.put(1, body)
			got, err := b.get(1, h)
			if err != nil || !bytes.Equal(got, body) {
				b.Errorf("%d bytes: got %d, %v", n, len(got), err)
			}
		}
	}
}

func testBatch(b *bench) {
	var puts []blob.Put
	for i := range 700 {
		body := b.body(i)
		puts = append(puts, blob.Put{Tenant: mail.TenantID(i%3 + 1), Hash: mail.Sum(body), Body: body})
	}
	refs, err := b.Append(b.Context(), puts)
	if err != nil || len(refs) != len(puts) {
		b.Fatalf("append: %d places, %v", len(refs), err)
	}
	for i, p := range puts {
		if got, err := b.Read(b.Context(), p.Tenant, p.Hash, refs[i]); err != nil || !bytes.Equal(got, p.Body) {
			b.Errorf("body %d: %v", i, err)
		}
	}
	if refs, err := b.Append(b.Context(), nil); len(refs) != 0 || err != nil {
		b.Errorf("an empty batch: %v, %v", refs, err)
	}
}

func testConcurrent(b *bench) {
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := range 20 {
				body := fmt.Appendf(nil, "writer %d body %d %s", w, i, bytes.Repeat([]byte{byte(w)}, 500*i))
				p := blob.Put{Tenant: mail.TenantID(w + 1), Hash: mail.Sum(body), Body: body}
				refs, err := b.Append(b.Context(), []blob.Put{p})
				if err != nil {
					b.Error(err)
					return
				}
				b.rows.Set(p.Tenant, p.Hash, refs[0])
				if got, err := b.Read(b.Context(), p.Tenant, p.Hash, refs[0]); err != nil || !bytes.Equal(got, body) {
					b.Errorf("writer %d, body %d: %v", w, i, err)
				}
			}
		})
	}
	all.Wait()
	if sum, seen := b.check(); sum.Records != 320 || len(seen) != 320 {
		b.Errorf("check: %+v, %d places", sum, len(seen))
	}
}

func testMismatch(b *bench) {
	one, two := b.put(1, b.body(1000)), b.put(1, b.body(2000))
	ref, _ := b.rows.Locate(b.Context(), 1, one)
	other, _ := b.rows.Locate(b.Context(), 1, two)
	shifted, short, far := ref, ref, ref
	shifted.Offset++
	short.Length--
	far.Offset += 1 << 40
	for _, c := range []struct {
		name   string
		tenant mail.TenantID
		hash   mail.Hash
		ref    blob.Ref
	}{
		{"another tenant", 2, one, ref},
		{"another hash", 1, two, ref},
		{"another place", 1, one, other},
		{"shifted", 1, one, shifted},
		{"short", 1, one, short},
		{"beyond the end", 1, one, far},
		{"no such pack", 1, mail.Hash{1}, blob.Ref{Pack: 1 << 30, Offset: ref.Offset, Length: ref.Length}},
		{"nothing", 1, one, blob.Ref{}},
	} {
		if body, err := b.Read(b.Context(), c.tenant, c.hash, c.ref); !fault.Is(err, fault.Corrupt) || body != nil {
			b.Errorf("%s: %d bytes, %v; want corrupt", c.name, len(body), err)
		}
	}
}

func testReopen(b *bench) {
	bodies := map[mail.Hash][]byte{}
	for range 4 {
		for range 10 {
			body := b.body(b.seed.IntN(20_000))
			bodies[b.put(1, body)] = body
		}
		b.reopen()
	}
	for h, body := range bodies {
		if got, err := b.get(1, h); err != nil || !bytes.Equal(got, body) {
			b.Errorf("%v: %v", h, err)
		}
	}
	if sum, _ := b.check(); sum.Records != 40 || sum.Erased != 0 {
		b.Errorf("check: %+v", sum)
	}
}

func testErased(b *bench) {
	gone, kept := b.put(1, b.body(5000)), b.put(2, b.body(5000))
	b.keys.Destroy(1)
	if body, err := b.get(1, gone); !fault.Is(err, fault.NotFound) || body != nil {
		b.Errorf("a body of the erased tenant: %d bytes, %v", len(body), err)
	}
	if _, err := b.get(2, kept); err != nil {
		b.Errorf("the other tenant: %v", err)
	}
	if _, err := b.Append(b.Context(), []blob.Put{{Tenant: 1, Body: []byte("x")}}); !fault.Is(err, fault.NotFound) {
		b.Errorf("append for the erased tenant: %v", err)
	}
	if sum, _ := b.check(); sum.Records != 2 || sum.Erased != 1 {
		b.Errorf("check: %+v", sum)
	}
}

func testWalk(b *bench) {
	for i := range 30 {
		b.put(mail.TenantID(i%2+1), b.body(1000*i))
	}
	want := b.rows.All()
	infos, err := b.Packs(b.Context())
	if err != nil || len(infos) < 2 {
		b.Fatalf("packs: %v, %v; want several", infos, err)
	}
	for _, info := range infos {
		end := int64(0)
		err := b.Walk(b.Context(), info.Number, func(r blob.Record) error {
			if want[Name{r.Tenant, r.Hash}] != r.Ref || r.Ref.Offset < end {
				b.Errorf("unexpected or out of order: %+v", r)
			}
			end = r.Ref.Offset + r.Ref.Length
			delete(want, Name{r.Tenant, r.Hash})
			return nil
		}, func(d blob.Damage) error { return d.Err })
		if err != nil || end != info.Size {
			b.Errorf("walk of %+v: ended at %d, %v", info, end, err)
		}
	}
	if len(want) != 0 {
		b.Errorf("not walked past: %v", want)
	}
	stop := errors.New("enough")
	if err := b.Walk(b.Context(), infos[0].Number, func(blob.Record) error { return stop }, nil); !errors.Is(err, stop) {
		b.Errorf("the caller's error: %v", err)
	}
	if err := b.Walk(b.Context(), 1<<40, nil, nil); !fault.Is(err, fault.NotFound) {
		b.Errorf("no such pack: %v", err)
	}
}

// fill stores bodies until a pack is sealed and nobody can have appends under
// way to it. Every third row is deleted.
func (b *bench) fill() (bodies map[mail.Hash][]byte, sealed blob.PackInfo) {
	b.Helper()
	bodies = map[mail.Hash][]byte{}
	for i := 0; ; i++ {
		infos, err := b.Packs(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if len(infos) > 0 && infos[0].Sealed {
			b.reopen()
			return bodies, infos[0]
		}
		body := b.body(3000 + i)
		h := b.put(1, body)
		if i%3 == 0 {
			b.rows.Delete(1, h)
		} else {
			bodies[h] = body
		}
	}
}

func (b *bench) wantAll(bodies map[mail.Hash][]byte) {
	b.Helper()
	for h, body := range bodies {
		if got, err := b.get(1, h); err != nil || !bytes.Equal(got, body) {
			b.Errorf("%v: %v", h, err)
		}
	}
}

func testCompact(b *bench) {
	bodies, sealed := b.fill()
	before := b.rows.All()
	c, err := b.Compact(b.Context(), sealed.Number, b.rows.Live, b.rows.Move)
	if err != nil || c.Kept == 0 || c.Dropped == 0 || c.Freed <= 0 {
		b.Fatalf("compact: %+v, %v", c, err)
	}
	b.wantAll(bodies)
	for n, ref := range before { // a reader that looked the row up before
		if got, err := b.Read(b.Context(), n.Tenant, n.Hash, ref); err != nil || !bytes.Equal(got, bodies[n.Hash]) {
			b.Errorf("by the old place %v: %v", ref, err)
		}
	}
	if _, err := b.Compact(b.Context(), sealed.Number, b.rows.Live, b.rows.Move); !fault.Is(err, fault.NotFound) {
		b.Errorf("a second time: %v", err)
	}
	b.reopen()
	b.wantAll(bodies)
	_, seen := b.check()
	for n, ref := range b.rows.All() {
		if seen[ref].Hash != n.Hash {
			b.Errorf("row of %v points at %v, where check found %v", n.Hash, ref, seen[ref])
		}
	}
}

func testCompactRefuses(b *bench) {
	b.put(1, b.body(100))
	infos, err := b.Packs(b.Context())
	if err != nil || len(infos) == 0 {
		b.Fatal(infos, err)
	}
	n := infos[len(infos)-1].Number
	if _, err := b.Compact(b.Context(), n, b.rows.Live, b.rows.Move); !fault.Is(err, fault.Conflict) {
		b.Errorf("a pack written just now: %v, want a conflict", err)
	}
}

func testCompactFails(b *bench) {
	bodies, sealed := b.fill()
	broken := errors.New("no database")
	compact := func(live func(blob.Record) (bool, error), moved func([]blob.Moved) error) error {
		_, err := b.Compact(b.Context(), sealed.Number, live, moved)
		return err
	}
	for _, try := range []struct {
		name  string
		live  func(blob.Record) (bool, error)
		moved func([]blob.Moved) error
	}{
		{"live", func(blob.Record) (bool, error) { return false, broken }, b.rows.Move},
		{"moved", b.rows.Live, func([]blob.Moved) error { return broken }},
		{"moved, but the answer was lost", b.rows.Live, func(m []blob.Moved) error { return errors.Join(b.rows.Move(m), broken) }},
	} {
		if err := compact(try.live, try.moved); !errors.Is(err, broken) {
			b.Errorf("%s: %v", try.name, err)
		}
		b.wantAll(bodies)
	}
	if err := compact(b.rows.Live, b.rows.Move); err != nil {
		b.Errorf("after the failures: %v", err)
	}
	b.wantAll(bodies)
}

func testContext(b *bench) {
	h := b.put(1, b.body(100))
	ref, _ := b.rows.Locate(b.Context(), 1, h)
	over, cancel := context.WithCancel(b.Context())
	cancel()
	if _, err := b.Append(over, []blob.Put{{Tenant: 1}}); !errors.Is(err, context.Canceled) {
		b.Errorf("append: %v", err)
	}
	if _, err := b.Read(over, 1, h, ref); !errors.Is(err, context.Canceled) {
		b.Errorf("read: %v", err)
	}
	if _, err := b.Check(over, nil, nil); !errors.Is(err, context.Canceled) {
		b.Errorf("check: %v", err)
	}
}

func testClosed(b *bench) {
	h := b.put(1, b.body(100))
	if err := b.Close(); err != nil {
		b.Fatal(err)
	}
	if _, err := b.Append(b.Context(), []blob.Put{{Tenant: 1}}); !fault.Is(err, fault.Unavailable) {
		b.Errorf("append: %v", err)
	}
	if _, err := b.get(1, h); !fault.Is(err, fault.Unavailable) {
		b.Errorf("read: %v", err)
	}
	if _, err := b.Packs(b.Context()); !fault.Is(err, fault.Unavailable) {
		b.Errorf("packs: %v", err)
	}
	if err := b.Close(); err != nil {
		b.Errorf("a second close: %v", err)
	}
}
