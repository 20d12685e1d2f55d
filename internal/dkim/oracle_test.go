package dkim

import (
	"crypto/ed25519"
	"log/slog"
	"strings"
	"testing"
	"time"

	moxdkim "github.com/mjl-/mox/dkim"
	moxdns "github.com/mjl-/mox/dns"
	"github.com/mjl-/mox/smtp"
	"pgregory.net/rapid"
)

// drawMessage makes a message with odd spaces, folded fields and empty lines.
func drawMessage(t *rapid.T) []byte {
	piece := rapid.SampledFrom([]string{" ", "  ", "\t", "a", "Bc", "=", "é", ".", "x:y"})
	line := func() string { return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "line"), "") }
	var b strings.Builder
	b.WriteString("From: a@example.org\r\n")
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		b.WriteString(rapid.SampledFrom([]string{"Subject", "To", "to", "Reply-To", "X-Odd", "Date", "Received"}).Draw(t, "name"))
		b.WriteString(rapid.SampledFrom([]string{":", ": ", " : "}).Draw(t, "colon") + line() + "\r\n")
		for range rapid.IntRange(0, 2).Draw(t, "folds") {
			b.WriteString(" z" + line() + "\r\n")
		}
	}
	b.WriteString("\r\n")
	for range rapid.IntRange(0, 8).Draw(t, "lines") {
		b.WriteString(line() + "\r\n")
	}
	return []byte(b.String())
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testKeys(t *testing.T) (Keys, zone, moxdns.MockResolver) {
	t.Helper()
	keys, err := Generate(time.Now(), true)
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.Public()
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	for line := range strings.SplitSeq(public, "\n") {
		selector, text, _ := strings.Cut(line, " ")
		z[selector+"._domainkey.example.org."] = []string{text}
	}
	return keys, z, moxdns.MockResolver{TXT: z}
}

// What we sign, another implementation verifies; what was changed on the way, it refuses as we do.
func TestSignedIsVerifiedByMox(t *testing.T) {
	t.Parallel()
	keys, z, mock := testKeys(t)
	v := NewVerifier(z)
	rapid.Check(t, func(t *rapid.T) {
		msg := drawMessage(t)
		header, err := keys.Sign("example.org", msg, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(header), "\r\n") {
			if len(line) > 78 {
				t.Fatalf("line of %d characters: %q", len(line), line)
			}
		}
		msg = append(header, msg...)
		if rapid.Bool().Draw(t, "change") {
			i := rapid.IntRange(len(header), len(msg)-1).Draw(t, "at")
			if msg[i] == 'a' || msg[i] == ' ' {
				msg[i] = 'b'
			}
		}
		theirs, err := moxdkim.Verify(t.Context(), quiet(), mock, true, func(*moxdkim.Sig) error { return nil }, strings.NewReader(string(msg)), true)
		ours := v.Verify(t.Context(), msg, time.Now())
		if err != nil {
			return // the change broke a field, signed or not: mox gives the whole header up
		}
		if len(ours) != 2 || len(theirs) != 2 {
			t.Fatalf("%d and %d results, want 2", len(ours), len(theirs))
		}
		for i := range ours {
			if string(ours[i].Status) != string(theirs[i].Status) {
				t.Fatalf("ours %+v, mox's %v %v\n%s", ours[i], theirs[i].Status, theirs[i].Err, msg)
			}
		}
	})
}

// What another implementation signs, in each canonical form, we verify.
func TestSignedByMoxIsVerified(t *testing.T) {
	t.Parallel()
	keys, z, _ := testKeys(t)
	v := NewVerifier(z)
	rapid.Check(t, func(t *rapid.T) {
		msg := drawMessage(t)
		var selectors []moxdkim.Selector
		for _, key := range keys {
			selectors = append(selectors, moxdkim.Selector{
				Hash: "sha256", HeaderRelaxed: rapid.Bool().Draw(t, "header"), BodyRelaxed: rapid.Bool().Draw(t, "body"),
				Headers: []string{"From", "To", "Subject", "X-Odd"}, SealHeaders: rapid.Bool().Draw(t, "seal"),
				PrivateKey: key.private, Domain: moxdns.Domain{ASCII: key.Selector},
			})
		}
		header, err := moxdkim.Sign(t.Context(), quiet(), smtp.Localpart("a"), moxdns.Domain{ASCII: "example.org"}, selectors, false, strings.NewReader(string(msg)))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range v.Verify(t.Context(), append([]byte(header), msg...), time.Now()) {
			if r.Status != Pass {
				t.Fatalf("got %+v\n%s%s", r, header, msg)
			}
		}
	})
}

func TestKeysSurviveSealing(t *testing.T) {
	t.Parallel()
	keys, z, _ := testKeys(t)
	text, err := keys.Private()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivate(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again[1].private.(ed25519.PrivateKey); !ok || len(again) != 2 {
		t.Fatalf("got %d keys, the second a %T", len(again), again[1].private)
	}
	msg := []byte("From: a@example.org\r\n\r\nx\r\n")
	header, err := again.Sign("example.org", msg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range NewVerifier(z).Verify(t.Context(), append(header, msg...), time.Now()) {
		if r.Status != Pass {
			t.Errorf("got %+v", r)
		}
	}
}

func TestSignWantsOneFrom(t *testing.T) {
	t.Parallel()
	keys, _, _ := testKeys(t)
	for _, msg := range []string{"To: x@y\r\n\r\n", "From: a@b\r\nFrom: c@d\r\n\r\n", "no header\r\n"} {
		if _, err := keys.Sign("example.org", []byte(msg), time.Now()); err == nil {
			t.Errorf("%q was signed", msg)
		}
	}
}
