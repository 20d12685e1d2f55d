package imap

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unicode/utf8"
)

func TestNumSetAgainstAMap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var s NumSet
		want := map[uint32]bool{}
		var written NumSet
		for range r.IntN(12) {
			first := uint32(r.IntN(30) + 1)
			last := first + uint32(r.IntN(5))
			s.AddRange(last, first)
			written = append(written, Range{first, last})
			for n := first; n <= last; n++ {
				want[n] = true
			}
		}
		if got := written.Normal().String(); got != s.String() {
			t.Fatalf("%v: Normal %s, AddRange %s", written, got, s)
		}
		for n := range uint32(40) {
			if s.Contains(n) != want[n] {
				t.Fatalf("%s: Contains(%d) is %v", s, n, !want[n])
			}
		}
		if s.Count() != uint64(len(want)) || len(slices.Collect(s.All())) != len(want) {
			t.Fatalf("%s: %d numbers, want %d", s, s.Count(), len(want))
		}
		if back, ok := ParseNumSet(s.String()); len(s) > 0 && (!ok || back.Normal().String() != s.String()) {
			t.Fatalf("%s came back as %s", s, back)
		}
		var joined NumSet
		for part := range s.Split(12) {
			if len(part.String()) > 12 {
				t.Fatalf("a part of %s is %s", s, part)
			}
			joined = append(joined, part...)
		}
		if joined.String() != s.String() {
			t.Fatalf("Split of %s joins to %s", s, joined)
		}
	}
}

func TestNumSetResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set     string
		highest uint32
		want    string
	}{{"1:*", 5, "1:5"}, {"*", 5, "5"}, {"9:*", 5, "5"}, {"*:9", 5, "5"}, {"2,4:9,20", 5, "2,4:5"}, {"1:*", 0, ""}, {"7", 5, ""}} {
		s, ok := ParseNumSet(c.set)
		if got := s.Normal().Resolve(c.highest).String(); got != c.want || !ok {
			t.Errorf("%s with %d: %q, want %q", c.set, c.highest, got, c.want)
		}
	}
	for _, bad := range []string{"", "0", "1:", ":1", "1,,2", "1,", "a", "4294967296", "$,1", "1 "} {
		if s, ok := ParseNumSet(bad); ok {
			t.Errorf("%q was taken as %s", bad, s)
		}
	}
	if s := NumSetOf(5, 3, 4, 0, 9); s.String() != "3:5,9" {
		t.Error(s)
	}
}

func TestMailboxNames(t *testing.T) {
	t.Parallel()
	for wire, name := range map[string]string{
		"INBOX/a b":                "INBOX/a b",
		"~peter/mail/&U,BTFw-":     "~peter/mail/台北",
		"&2D3cpw-":                 "\U0001F4A7",
		"R&-D":                     "R&D",
		"Entw&APw-rfe/&AMk-l&AOk-": "Entwürfe/Élé",
		"&AAk-":                    "\t",
	} {
		if got := DecodeMailbox(wire); got != name {
			t.Errorf("%s decodes to %q, want %q", wire, got, name)
		}
		if got := EncodeMailbox(name); got != wire {
			t.Errorf("%q encodes to %s, want %s", name, got, wire)
		}
	}
	// What is no modified UTF-7, or not the form we write, comes back as it was.
	for _, wire := range []string{"a&b", "&", "&&", "&-&", "&AGE-", "&AOk-&AOk-", "&AOl-", "&2D0-", "\xe9t\xe9", "été", "&AAA-", "&/dA-", "&/dD94A-", "&AOk"} {
		name := DecodeMailbox(wire)
		if got := EncodeMailbox(name); got != wire {
			t.Errorf("%q came back as %q (by %q)", wire, got, name)
		}
		if !utf8.ValidString(name) {
			t.Errorf("%q decodes to invalid UTF-8 %q", wire, name)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" 7-Jul-1996 02:44:25 -0730": `" 7-Jul-1996 02:44:25 -0730"`,
		"7-jul-1996 02:44:25 +0000":  `" 7-Jul-1996 02:44:25 +0000"`,
		"31-Dec-2026 23:59:59 +1400": `"31-Dec-2026 23:59:59 +1400"`,
	} {
		got, ok := ParseDateTime(in)
		if s := string(AppendDateTime(nil, got)); s != want || !ok {
			t.Errorf("%q came out as %s", in, s)
		}
	}
	for _, bad := range []string{"", "31-Feb-1996 02:44:25 -0700", "1-Foo-1996 02:44:25 -0700", "1-Jan-1996 24:44:25 -0700", "1-Jan-1996 02:44:25 0700", "1-Jan-1996 02:44:25 -070", "1-Jan-96 02:44:25 -0700", "1-Jan-1996 2:44:25 -0700x"} {
		if got, ok := ParseDateTime(bad); ok {
			t.Errorf("%q was taken as %s", bad, got)
		}
	}
	if got := FormatDate(time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)); got != "2-Nov-2026" {
		t.Error(got)
	}
}

func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"INBOX", "&AOk-", "a&b", "&AOk-&AOk-", "\xff", "&2D3cpw-", "&2D0-", "&/dD94A-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := EncodeMailbox(DecodeMailbox(s)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}
