package imapd

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mime"
)

// verdict is a key's answer for one message: unknown until more of it is read.
type verdict int

const (
	notMatched verdict = iota
	yes
	unknown
)

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return notMatched
}

// candidate is a message that is being looked at.
type candidate struct{ message }

// key is a SEARCH key made ready: texts folded, sets resolved, flags read.
type key struct {
	imap.SearchKey
	keys   []*key
	needle []byte     // Text folded
	uids   []span     // of SEQ and UID: indexes of the view
	flag   mail.Flags // of FLAG
	now    time.Time  // of OLDER and YOUNGER
	view   *view      // of SEQ and UID
}

func (c *conn) compile(s *imap.SearchKey) (*key, error) {
	k := &key{SearchKey: *s, needle: mime.Fold([]byte(s.Text)), now: c.cfg.Clock.Now(), view: c.box}
	switch s.Op {
	case imap.SearchSeq, imap.SearchUID:
		if s.Set.IsSaved() {
			return nil, bad("no search result is kept here")
		}
		set := s.Set
		if s.Op == imap.SearchSeq { // numbers beyond the last match nothing here
			set = set.Resolve(uint32(len(c.box.uids)))
		}
		var err error
		if k.uids, err = c.box.spans(set, s.Op == imap.SearchUID); err != nil {
			return nil, err
		}
	case imap.SearchFlag:
		k.flag = mail.ParseFlags(s.Text)
		if k.flag.System == 0 && len(k.flag.Keywords) == 0 {
			return nil, bad("unknown flag")
		}
	}
	for i := range s.Keys {
		sub, err := c.compile(&s.Keys[i])
		if err != nil {
			return nil, err
		}
		k.keys = append(k.keys, sub)
	}
	return k, nil
}

// match tells whether the message matches, as far as what was read of it allows.
func (k *key) match(m *candidate) verdict {
	p := m.p
	switch k.Op {
	case imap.SearchAll:
		return yes
	case imap.SearchAnd:
		return k.all(m, notMatched)
	case imap.SearchOr:
		return k.all(m, yes)
	case imap.SearchNot:
		switch v := k.keys[0].match(m); v {
		case unknown:
			return unknown
		default:
			return yes - v
		}
	case imap.SearchSeq, imap.SearchUID:
		i, ok := k.view.index(p.UID)
		return verdictOf(ok && slices.ContainsFunc(k.uids, func(s span) bool { return s.lo <= i && i < s.hi }))
	case imap.SearchFlag:
		return verdictOf(p.Flags.Has(k.flag.System) && (len(k.flag.Keywords) == 0 || p.Flags.HasKeyword(k.flag.Keywords[0])))
	case imap.SearchRecent:
		return notMatched
	case imap.SearchLarger:
		return verdictOf(uint64(p.Size) > k.Number)
	case imap.SearchSmaller:
		return verdictOf(uint64(p.Size) < k.Number)
	case imap.SearchOlder:
		return verdictOf(k.age(p.InternalDate) >= k.Number)
	case imap.SearchYounger:
		return verdictOf(k.age(p.InternalDate) <= k.Number)
	case imap.SearchModSeq:
		return verdictOf(p.Modseq >= k.Number)
	case imap.SearchEmailID:
		return verdictOf(emailID(p.Email) == k.Text)
	case imap.SearchThread:
		return verdictOf(threadID(p.Thread) == k.Text)
	case imap.SearchBefore, imap.SearchOn, imap.SearchSince:
		return k.date(m)
	}
	return k.text(m)
}

// all is AND with stop notMatched, OR with stop yes.
func (k *key) all(m *candidate, stop verdict) verdict {
	out := yes - stop
	for _, sub := range k.keys {
		switch v := sub.match(m); v {
		case stop:
			return stop
		case unknown:
			out = unknown
		}
	}
	return out
}

// age is how old the message is, in seconds (RFC 5032); what comes from the future is 0.
func (k *key) age(t time.Time) uint64 { return uint64(max(0, k.now.Sub(t)/time.Second)) }

// date compares days, without regard to time and zone (RFC 3501 §6.4.4): the
// internal date's in UTC, the Date field's as written.
func (k *key) date(m *candidate) verdict {
	t := m.p.InternalDate.UTC()
	if k.Sent {
		if m.sum == nil {
			return unknown
		}
		if t = m.sum.Sent; t.IsZero() {
			t = time.Unix(0, 0).UTC() // no date that can be read is the oldest
		}
	}
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch k.Op {
	case imap.SearchBefore:
		return verdictOf(day.Before(k.Date))
	case imap.SearchOn:
		return verdictOf(day.Equal(k.Date))
	}
	return verdictOf(!day.Before(k.Date))
}

// text looks into the message, at its summary where that is enough.
func (k *key) text(m *candidate) verdict {
	field := k.Field
	switch k.Op {
	case imap.SearchAddress, imap.SearchSubject:
		if k.Op == imap.SearchSubject {
			field = "Subject"
		}
		if len(k.needle) == 0 {
			break // asks only whether the field is there
		}
		if m.sum == nil {
			return unknown
		}
		return k.envelope(m.sum.Envelope())
	case imap.SearchBody, imap.SearchText:
		if len(k.needle) == 0 {
			return yes
		}
		if m.raw == nil {
			return unknown
		}
		found := false
		m.sum.Root.Words(m.raw, k.Op == imap.SearchText, func(text []byte) bool {
			found = bytes.Contains(mime.Fold(text), k.needle)
			return !found
		})
		return verdictOf(found)
	}
	if m.raw == nil {
		return unknown
	}
	for f := range mime.Fields(m.raw[:m.sum.Root.Body]) {
		if !f.Is(field) {
			continue
		}
		var text string
		if isAddressField(field) {
			text = addressText(mime.ParseAddresses(f.Value()))
		} else {
			text = f.Text()
		}
		if k.in(text) {
			return yes
		}
	}
	return notMatched
}

// envelope looks at the subject or a list of addresses.
func (k *key) envelope(e *mime.Envelope) verdict {
	var list []mime.Address
	switch k.Field {
	case "FROM":
		list = e.From
	case "TO":
		list = e.To
	case "CC":
		list = e.Cc
	case "BCC":
		list = e.Bcc
	default:
		return verdictOf(e.Subject.Set && k.in(mime.DecodeWords(e.Subject.Text)))
	}
	return verdictOf(list != nil && k.in(addressText(list)))
}

func (k *key) in(text string) bool { return bytes.Contains(mime.Fold([]byte(text)), k.needle) }

func isAddressField(name string) bool {
	return slices.ContainsFunc([]string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Bcc"},
		func(s string) bool { return strings.EqualFold(s, name) })
}

// addressText writes addresses in one way, however they were written: name <local@host>.
func addressText(list []mime.Address) string {
	var b strings.Builder
	inGroup, first := false, true
	for _, a := range list {
		if !a.IsMailbox() {
			if inGroup {
				b.WriteByte(';')
			} else {
				if !first {
					b.WriteString(", ")
				}
				b.WriteString(phrase(a.Mailbox.Text) + ": ")
				first = true
			}
			inGroup = !inGroup
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		if a.Name.Set {
			b.WriteString(phrase(a.Name.Text) + " ")
		}
		b.WriteByte('<')
		if a.Route.Set {
			b.WriteString(a.Route.Text + ":")
		}
		b.WriteString(a.Mailbox.Text)
		if a.Host.Text != "" {
			b.WriteString("@" + a.Host.Text)
		}
		b.WriteByte('>')
	}
	return b.String()
}

// phrase quotes a name where it must be; encoded words are decoded and stand as they are.
func phrase(s string) string {
	if strings.Contains(s, "=?") {
		return mime.DecodeWords(s)
	}
	if s != "" && !strings.ContainsAny(s, " ()<>[]:;@\\,.\"") {
		return mime.DecodeWords(s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(mime.DecodeWords(s)) + `"`
}
