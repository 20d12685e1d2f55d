package mail

import (
	"slices"
	"strings"
)

// System is a set of the five IMAP system flags that are kept (RFC 9051 §2.3.2).
// \Recent belongs to a session and is never stored.
type System uint8

// The system flags, as bits. The values are stored: do not renumber.
const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

var systemNames = []struct {
	flag System
	name string
}{{Seen, `\Seen`}, {Answered, `\Answered`}, {Flagged, `\Flagged`}, {Deleted, `\Deleted`}, {Draft, `\Draft`}}

// MaxKeywords bounds the keywords of one placement; a stranger's client could grow them without end.
const MaxKeywords = 64

// Flags are the flags of a placement: system flags and keywords. Keywords are
// kept as first spelled, sorted and unique without regard to case. The zero
// value has none. A Flags is a value: methods return a new one.
type Flags struct {
	System   System
	Keywords []string
}

// ParseFlags reads IMAP flags ("\Seen", "$Forwarded", …). \Recent, \* and
// unknown system flags are left out: names with a backslash are reserved, so
// none may be given back that the standard does not define (RFC 9051 §2.3.2).
func ParseFlags(names ...string) Flags {
	var f Flags
	var words []string
names:
	for _, n := range names {
		if strings.HasPrefix(n, `\`) {
			for _, s := range systemNames {
				if strings.EqualFold(n, s.name) {
					f.System |= s.flag
					continue names
				}
			}
			continue
		}
		if n != "" {
			words = append(words, n)
		}
	}
	f.Keywords = canonical(words)
	return f
}

// DecodeKeywords reads what EncodeKeywords wrote.
func DecodeKeywords(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, " ")
}

// EncodeKeywords is the stored form: sorted keywords with one space between (a keyword is an atom and holds none).
func (f Flags) EncodeKeywords() string { return strings.Join(f.Keywords, " ") }

// Names lists the flags as IMAP spells them, system flags first.
func (f Flags) Names() []string {
	out := make([]string, 0, 5+len(f.Keywords))
	for _, s := range systemNames {
		if f.System&s.flag != 0 {
			out = append(out, s.name)
		}
	}
	return append(out, f.Keywords...)
}

// String is the IMAP parenthesised list.
func (f Flags) String() string { return "(" + strings.Join(f.Names(), " ") + ")" }

// Has tells whether all system flags of s are set.
func (f Flags) Has(s System) bool { return f.System&s == s }

// HasKeyword tells whether the keyword is set, without regard to case.
func (f Flags) HasKeyword(word string) bool {
	return slices.ContainsFunc(f.Keywords, func(k string) bool { return strings.EqualFold(k, word) })
}

// Union has the flags of both.
func (f Flags) Union(g Flags) Flags {
	return Flags{f.System | g.System, canonical(append(slices.Clone(f.Keywords), g.Keywords...))}
}

// Without has the flags of f that g lacks.
func (f Flags) Without(g Flags) Flags {
	out := Flags{System: f.System &^ g.System}
	for _, k := range f.Keywords {
		if !g.HasKeyword(k) {
			out.Keywords = append(out.Keywords, k)
		}
	}
	return out
}

// Equal tells whether both have the same flags, keywords without regard to case.
func (f Flags) Equal(g Flags) bool {
	return f.System == g.System && slices.EqualFunc(f.Keywords, g.Keywords, strings.EqualFold)
}

// canonical sorts the words without regard to case and drops repeats; a stable
// sort keeps the first spelling.
func canonical(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	slices.SortStableFunc(words, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(words, strings.EqualFold)
}
