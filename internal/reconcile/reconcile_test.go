package reconcile

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/record/recordtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ledgerOf(names ...string) (out []*here) {
	for i, n := range names {
		out = append(out, &here{placement: mail.PlacementID(i + 1), folder: "INBOX", uid: uint32(i + 1), date: noon, dated: true,
			hash: mail.Sum([]byte(n)), read: true, print: mail.Sum([]byte("print of " + n))})
	}
	return out
}

func primaryOf(names ...string) (out []*there) {
	for i, n := range names {
		out = append(out, &there{folder: "INBOX", uid: uint32(i + 1), date: noon, hash: mail.Sum([]byte(n)), print: mail.Sum([]byte("print of " + n))})
	}
	return out
}

func TestTamperingIsReportedExactly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		tamper func(p []*there) []*there
		want   Counts
	}{
		{"nothing", func(p []*there) []*there { return p }, Counts{Here: 4, There: 4, Matched: 4}},
		{"one of two identical lost", func(p []*there) []*there { return p[1:] }, Counts{Here: 4, There: 3, Matched: 3, Lost: 1}},
		{"doubled under another UID", func(p []*there) []*there {
			return append(p, &there{folder: "Archive", uid: 9, date: noon, hash: p[2].hash, print: p[2].print})
		}, Counts{Here: 4, There: 5, Matched: 4, Doubled: 1}},
		{"a stranger", func(p []*there) []*there { return append(p, primaryOf("x")...) }, Counts{Here: 4, There: 5, Matched: 4, Extra: 1}},
		{"flags", func(p []*there) []*there { p[3].flags = mail.ParseFlags(`\Seen`); return p }, Counts{Here: 4, There: 4, Matched: 4, Flags: 1}},
		{"moved", func(p []*there) []*there { p[3].folder, p[3].uid = "Trash", 1; return p }, Counts{Here: 4, There: 4, Matched: 4, Folder: 1}},
		{"another date", func(p []*there) []*there { p[2].date = noon.Add(time.Hour); return p }, Counts{Here: 4, There: 4, Matched: 4, Date: 1}},
		{"other bytes", func(p []*there) []*there { p[2].hash = mail.Sum([]byte("y")); return p }, Counts{Here: 4, There: 4, Matched: 4, Content: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ledger, primary := ledgerOf("twin", "twin", "a", "b"), c.tamper(primaryOf("twin", "twin", "a", "b"))
			match(ledger, primary)
			got, differences := compare("ann@example.org", ledger, primary)
			for _, d := range differences {
				got.count(d.Kind)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestReportIsSignedAndVerified(t *testing.T) {
	t.Parallel()
	b := recordtest.SQLite(t)
	ring, err := keys.Create(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := OpenSigner(t.Context(), b.Store, ring)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenSigner(t.Context(), b.Store, ring)
	if err != nil || again.Public() != signer.Public() {
		t.Fatalf("the key is another one the second time: %v", err)
	}
	file, err := signer.Sign(&Report{Format: Format, Domain: "example.org", At: noon, Counts: Counts{Matched: 5000, Lost: 3}})
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := Verify(file, signer.Public())
	if err != nil || r.Counts.Matched != 5000 {
		t.Fatalf("verify: %+v, %v", r, err)
	}
	if _, _, err := Verify(bytes.Replace(file, []byte(`5000`), []byte(`5003`), 1), ""); !fault.Is(err, fault.Corrupt) {
		t.Errorf("an altered report: %v", err)
	}
	if _, _, err := Verify(file, "AAAA"); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another key: %v", err)
	}
	if _, _, err := Verify([]byte("{}"), ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("no report: %v", err)
	}
}
