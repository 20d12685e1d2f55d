package mailbox

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"relais/internal/fault"
)

// The bounds of a mailbox's name: a stranger's client makes them.
const (
	MaxLevels     = 20  // levels of hierarchy
	MaxLevelBytes = 255 // UTF-8 bytes of one level
)

// Separator stands between the levels of a name.
const Separator = "/"

// CleanName brings a mailbox's full path to the form that is stored: NFC, a
// first level "inbox" in capitals (RFC 9051 §5.1). Refused (fault.Invalid): empty
// levels, control characters, invalid UTF-8, more than MaxLevels levels, a level
// over MaxLevelBytes.
func CleanName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fault.New(fault.Invalid, "the mailbox name is not UTF-8")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return "", fault.New(fault.Invalid, "the mailbox name has a control character")
	}
	levels := strings.Split(norm.NFC.String(name), Separator)
	if len(levels) > MaxLevels {
		return "", fault.New(fault.Invalid, "the mailbox name has %d levels; allowed are %d", len(levels), MaxLevels)
	}
	for _, l := range levels {
		if l == "" {
			return "", fault.New(fault.Invalid, "the mailbox name has an empty level")
		}
		if len(l) > MaxLevelBytes {
			return "", fault.New(fault.Invalid, "a level of the mailbox name has %d bytes; allowed are %d", len(l), MaxLevelBytes)
		}
	}
	if strings.EqualFold(levels[0], "inbox") {
		levels[0] = "INBOX"
	}
	return strings.Join(levels, Separator), nil
}

// parent is the name one level up; "" at the top.
func parent(name string) string {
	i := strings.LastIndex(name, Separator)
	if i < 0 {
		return ""
	}
	return name[:i]
}
