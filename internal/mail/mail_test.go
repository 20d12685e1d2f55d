package mail

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseFlags(t *testing.T) {
	t.Parallel()
	f := ParseFlags(`\seen`, "$Work", `\Recent`, "$work", `\Unknown`, "", "Blau")
	if diff := cmp.Diff([]string{`\Seen`, "$Work", "Blau"}, f.Names()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if !f.HasKeyword("$WORK") || f.HasKeyword("Work") || !f.Has(Seen) || f.Has(Seen|Draft) {
		t.Errorf("%v answers wrongly what it has", f)
	}
}

func TestFlagsAreSets(t *testing.T) {
	t.Parallel()
	flags := rapid.Custom(func(t *rapid.T) Flags {
		return ParseFlags(rapid.SliceOf(rapid.SampledFrom([]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "a", "A", "b", "$c"})).Draw(t, "names")...)
	})
	rapid.Check(t, func(t *rapid.T) {
		f, g := flags.Draw(t, "f"), flags.Draw(t, "g")
		if !f.Union(g).Equal(g.Union(f)) {
			t.Errorf("%v and %v unite differently", f, g)
		}
		if !f.Without(g).Union(g).Equal(f.Union(g)) {
			t.Errorf("%v without %v, and with it again, is %v", f, g, f.Without(g).Union(g))
		}
		if kept := (Flags{System: f.System, Keywords: DecodeKeywords(f.EncodeKeywords())}); !kept.Equal(f) {
			t.Errorf("%v was stored as %v", f, kept)
		}
	})
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, out, key, ascii string
		bad                 bool
	}{
		{in: "Ann@Example.ORG.", out: "Ann@example.org", key: "ann@example.org", ascii: "Ann@example.org"},
		{in: `"a b"@example.org`, out: `"a b"@example.org`, key: `"a b"@example.org`, ascii: `"a b"@example.org`},
		{in: "zoé@exemple.fr", out: "zoé@exemple.fr", key: "zoé@exemple.fr"},
		{in: "ann@xn--bcher-kva.example", out: "ann@bücher.example", key: "ann@bücher.example", ascii: "ann@xn--bcher-kva.example"},
		{in: "ann@[192.0.2.1]", out: "ann@[192.0.2.1]", key: "ann@[192.0.2.1]", ascii: "ann@[192.0.2.1]"},
		{in: "", out: "", key: "", ascii: ""},
		{in: "ann", bad: true},
		{in: "@example.org", bad: true},
		{in: "ann@", bad: true},
		{in: "a\nb@example.org", bad: true},
		{in: "ann@exa mple.org", bad: true},
	} {
		a, err := ParseAddress(c.in)
		if (err != nil) != c.bad {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		ascii, _ := a.ASCII()
		if a.String() != c.out || a.Key() != c.key || ascii != c.ascii {
			t.Errorf("%q is %q, key %q, ASCII %q", c.in, a, a.Key(), ascii)
		}
	}
	if a, _ := ParseAddress("ann+news@example.org"); a.Base().String() != "ann@example.org" {
		t.Errorf("without its detail it is %q", a.Base())
	}
}

func TestHashAndRole(t *testing.T) {
	t.Parallel()
	h := Sum([]byte("x"))
	if back, err := ParseHash(h.String()); err != nil || back != h || h.IsZero() {
		t.Errorf("%s came back as %s: %v", h, back, err)
	}
	if _, err := ParseHash("12"); err == nil {
		t.Error("two digits are no hash")
	}
	for _, r := range []Role{Drafts, Sent, Trash, Junk, Archive, All} {
		if RoleOf(r.Attribute()) != r {
			t.Errorf("%s is %q", r, r.Attribute())
		}
	}
	if RoleOf(`\Noselect`) != "" || Inbox.Attribute() != "" {
		t.Error("the inbox has no attribute, and \\Noselect no role")
	}
}
