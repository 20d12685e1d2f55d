package blob_test

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"relais/internal/blob"
	"relais/internal/blob/blobtest"
	"relais/internal/mail"
)

// TestRandomOperations compares a store with a map in memory over random lists of
// appends, erased rows, restarts (clean, and with a torn tail), and compactions.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "packs-*")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		var rows blobtest.Rows
		var store *blob.Packs
		open := func() {
			s, err := blob.Open(t.Context(), blob.Config{Dir: dir, Keys: &blobtest.Keys{}, Locate: rows.Locate, Rotate: 4000})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			store = s
		}
		open()
		defer func() { _ = store.Close() }()
		model := map[blobtest.Name][]byte{}

		appendSome := func(t *rapid.T) {
			var puts []blob.Put
			for range rapid.IntRange(1, 4).Draw(t, "count") {
				body := append(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "body"),
					bytes.Repeat([]byte("mail "), rapid.IntRange(0, 400).Draw(t, "times"))...)
				puts = append(puts, blob.Put{Tenant: mail.TenantID(rapid.IntRange(1, 3).Draw(t, "tenant")), Hash: mail.Sum(body), Body: body})
			}
			refs, err := store.Append(t.Context(), puts)
			if err != nil {
				t.Fatalf("append: %v", err)
			}
			for i, p := range puts {
				rows.Set(p.Tenant, p.Hash, refs[i])
				model[blobtest.Name{Tenant: p.Tenant, Hash: p.Hash}] = p.Body
			}
		}
		reopen := func(torn []byte) {
			infos, err := store.Packs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			// Only the pack that grows can have a torn tail.
			if len(torn) > 0 && len(infos) > 0 && !infos[len(infos)-1].Sealed {
				names, err := filepath.Glob(filepath.Join(dir, "*.pack"))
				if err != nil || len(names) == 0 {
					t.Fatal(names, err)
				}
				f, err := os.OpenFile(slices.Max(names), os.O_WRONLY|os.O_APPEND, 0)
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.Write(torn)
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			open()
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": appendSome,
			"delete row": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("no row")
				}
				n := rapid.SampledFrom(slices.SortedFunc(maps.Keys(model), func(a, b blobtest.Name) int {
					return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), bytes.Compare(a.Hash[:], b.Hash[:]))
				})).Draw(t, "row")
				delete(model, n)
				rows.Delete(n.Tenant, n.Hash)
			},
			"reopen":    func(*rapid.T) { reopen(nil) },
			"torn tail": func(t *rapid.T) { reopen(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "tail")) },
			"compact": func(t *rapid.T) {
				reopen(nil) // ends the grace
				infos, err := store.Packs(t.Context())
				if err != nil || len(infos) == 0 || !infos[0].Sealed {
					t.Skip("nothing sealed")
				}
				if _, err := store.Compact(t.Context(), infos[0].Number, rows.Live, rows.Move); err != nil {
					t.Fatalf("compact %+v: %v", infos[0], err)
				}
			},
			"": func(t *rapid.T) {
				table := rows.All()
				if len(table) != len(model) {
					t.Fatalf("%d rows, the model has %d", len(table), len(model))
				}
				for n, want := range model {
					if got, err := store.Read(t.Context(), n.Tenant, n.Hash, table[n]); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%v at %v: %v", n.Hash, table[n], err)
					}
				}
				_, err := store.Check(t.Context(), func(r blob.Record) error {
					n := blobtest.Name{Tenant: r.Tenant, Hash: r.Hash}
					if table[n] == r.Ref {
						delete(table, n)
					}
					return nil
				}, func(d blob.Damage) error { return d.Err })
				if err != nil || len(table) != 0 {
					t.Fatalf("check: %v; not seen: %v", err, table)
				}
			},
		})
	})
}
