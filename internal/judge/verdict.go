package judge

import (
	"slices"
	"strings"
	"time"

	"github.com/mjl-/mox/dmarc"
	"github.com/mjl-/mox/spf"

	"relais/internal/dkim"
)

// Mark is something that a person or a later check should know of a message.
type Mark string

// The marks.
const (
	ClaimsOwnDomain Mark = "claims-own-domain-unauthenticated"
	DMARCReject     Mark = "dmarc-reject"     // the author's domain asks to reject it
	DMARCQuarantine Mark = "dmarc-quarantine" // the author's domain asks to set it apart
	SeveralAuthors  Mark = "several-authors"  // more than one From address: programs may show another than was checked
	NoAuthor        Mark = "no-author"        // no From address
)

// Verdict is what the checks found. It is stored as JSON with the intake.
type Verdict struct {
	Hostname string        `json:"-"`
	Exempt   bool          `json:"exempt,omitempty"` // not judged
	From     string        `json:"from,omitempty"`   // domain of the From field, A-labels
	Helo     SPF           `json:"helo,omitzero"`
	Sender   SPF           `json:"spf,omitzero"` // for MAIL FROM
	DKIM     []dkim.Result `json:"dkim,omitempty"`
	DMARC    DMARC         `json:"dmarc,omitzero"`
	Marks    []Mark        `json:"marks,omitempty"`
	Refuse   bool          `json:"refuse,omitempty"` // the policy of an own domain says: do not take it
	Took     time.Duration `json:"took_ns,omitempty"`
}

func (v *Verdict) mark(m Mark, applies bool) {
	if applies && !slices.Contains(v.Marks, m) {
		v.Marks = append(v.Marks, m)
	}
}

// Has tells whether the message bears the mark.
func (v *Verdict) Has(m Mark) bool { return slices.Contains(v.Marks, m) }

// envelope is the SPF result that DMARC counts.
func (v *Verdict) envelope() SPF {
	if v.Sender.Status != "" {
		return v.Sender
	}
	return v.Helo
}

// unsure tells whether some check failed for the moment and could say otherwise later.
func (v *Verdict) unsure() bool {
	if v.Sender.Status == string(spf.StatusTemperror) || v.Helo.Status == string(spf.StatusTemperror) || v.DMARC.Status == string(dmarc.StatusTemperror) {
		return true
	}
	return slices.ContainsFunc(v.DKIM, func(r dkim.Result) bool { return r.Status == dkim.TempError })
}

// Header is the Authentication-Results field of the verdict with its CR LF (RFC
// 8601 §2.2); nothing for a message that was not judged.
func (v *Verdict) Header() []byte {
	if v.Exempt {
		return nil
	}
	b := append(make([]byte, 0, 512), "Authentication-Results: "...)
	b = append(b, v.Hostname...)
	for _, s := range []struct {
		property string
		result   SPF
	}{{"smtp.mailfrom", v.Sender}, {"smtp.helo", v.Helo}} {
		if s.result.Status == "" {
			continue
		}
		b = appendResult(b, "spf", s.result.Status, onlyTrouble(s.result.Status, s.result.Reason))
		b = appendProperty(b, s.property, s.result.Domain)
	}
	for _, r := range v.DKIM {
		b = appendResult(b, "dkim", string(r.Status), r.Reason)
		b = appendProperty(b, "header.d", r.Domain)
		b = appendProperty(b, "header.s", r.Selector)
		b = appendProperty(b, "header.a", r.Algorithm)
		b = appendProperty(b, "header.b", r.Short)
	}
	if len(v.DKIM) == 0 {
		b = appendResult(b, "dkim", "none", "")
	}
	b = appendResult(b, "dmarc", v.DMARC.Status, v.DMARC.Reason)
	if v.DMARC.Policy != "" {
		b = append(b, " (p="+v.DMARC.Policy+")"...)
	}
	b = appendProperty(b, "header.from", v.From)
	return append(b, "\r\n"...)
}

func onlyTrouble(status, reason string) string {
	if status == string(spf.StatusTemperror) || status == string(spf.StatusPermerror) {
		return reason
	}
	return ""
}

func appendResult(b []byte, method, status, reason string) []byte {
	b = append(b, ";\r\n\t"+method+"="+status...)
	if reason != "" {
		b = appendValue(append(b, " reason="...), reason)
	}
	return b
}

func appendProperty(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendValue(append(b, " "+name+"="...), value)
}

const maxValue = 200

// appendValue writes a value that a stranger may have chosen: as a token, or as
// a quoted string without what would break out of it (RFC 8601 §2.2, RFC 2045 §5.1).
func appendValue(b []byte, s string) []byte {
	s = strings.ToValidUTF8(s[:min(len(s), maxValue)], "?")
	token := true
	for _, c := range []byte(s) {
		token = token && c > ' ' && c != 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, rune(c))
	}
	if token {
		return append(b, s...)
	}
	b = append(b, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
