package mime

import (
	"encoding/binary"
	"errors"
	"time"
)

// Summary is what lists, ENVELOPE, BODYSTRUCTURE and threading need of a message
// without its bytes. It is stored in the form that Encode writes
// (docs/formats/summary.md).
type Summary struct {
	Root          *Part
	Sent          time.Time // of the Date field, in the zone written there; zero if there is none
	BaseSubject   string
	HasAttachment bool
}

// Envelope is the message's envelope.
func (s *Summary) Envelope() *Envelope { return s.Root.Envelope }

// SummaryOf reads the summary of a message.
func SummaryOf(raw []byte) Summary { return summarize(Parse(raw)) }

func summarize(root *Part) Summary {
	s := Summary{Root: root, BaseSubject: BaseSubject(root.Envelope.Subject.Text)}
	if t, ok := ParseDate(root.Envelope.Date.Text); ok {
		s.Sent = t
	}
	root.Walk(func(p *Part) { s.HasAttachment = s.HasAttachment || p.isAttachment() })
	return s
}

// isAttachment tells whether people would call the part one: said so, or a file
// that is not shown inside the text, and no signature.
func (p *Part) isAttachment() bool {
	c := &p.Content
	if p.Kind == Multipart || equalFold(c.Type, "application") &&
		(equalFold(c.Subtype, "pgp-signature") || equalFold(c.Subtype, "pkcs7-signature") || equalFold(c.Subtype, "x-pkcs7-signature")) {
		return false
	}
	if equalFold(c.Disposition.Text, "attachment") {
		return true
	}
	if p.Kind == Message {
		return true
	}
	return !p.IsText() && !equalFold(c.Type, "message") && !c.ID.Set
}

// summaryVersion is the first byte of an encoded summary.
const summaryVersion = 1

var errSummary = errors.New("mime: not a summary of a known version")

// Bits of the flags byte of a summary and of a part.
const (
	flagAttachment = 1 << 0
	flagSent       = 1 << 1

	flagDigest      = 1 << 2
	flagType        = 1 << 3
	flagEnvelope    = 1 << 4
	flagDisposition = 1 << 5
	flagExtras      = 1 << 6 // any of ID, description, MD5, language, location
)

// Encode is the stored form.
func (s *Summary) Encode() []byte {
	w := make(writer, 0, 512)
	var flags byte
	if s.HasAttachment {
		flags |= flagAttachment
	}
	if !s.Sent.IsZero() {
		flags |= flagSent
	}
	w = append(w, summaryVersion, flags)
	if !s.Sent.IsZero() {
		_, offset := s.Sent.Zone()
		w.int(s.Sent.Unix())
		w.int(int64(offset / 60))
	}
	w.string(s.BaseSubject)
	w.part(s.Root, 0)
	return w
}

type writer []byte

func (w *writer) uint(n int)      { *w = binary.AppendUvarint(*w, uint64(n)) }
func (w *writer) int(n int64)     { *w = binary.AppendVarint(*w, n) }
func (w *writer) string(s string) { w.uint(len(s)); *w = append(*w, s...) }

// nullable writes 0 for NIL, else the length and one more.
func (w *writer) nullable(n Nullable) {
	if !n.Set {
		w.uint(0)
		return
	}
	w.uint(len(n.Text) + 1)
	*w = append(*w, n.Text...)
}

func (w *writer) params(params []Param) {
	w.uint(len(params))
	for _, q := range params {
		w.string(q.Name)
		w.string(q.Value)
	}
}

// part writes a part; its start counts from base, the end of what came before it.
func (w *writer) part(p *Part, base int) {
	c := &p.Content
	flags := byte(p.Kind)
	for _, f := range []struct {
		set bool
		bit byte
	}{
		{p.Digest, flagDigest}, {c.HasType, flagType}, {p.Envelope != nil, flagEnvelope}, {c.Disposition.Set, flagDisposition},
		{c.ID.Set || c.Description.Set || c.MD5.Set || c.Language != nil || c.Location.Set, flagExtras},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	*w = append(*w, flags)
	w.uint(p.Start - base)
	w.uint(p.Body - p.Start)
	w.uint(p.End - p.Body)
	w.uint(p.Lines)
	if c.HasType {
		w.string(c.Type)
		w.string(c.Subtype)
		w.params(c.Params)
	}
	w.nullable(c.Encoding)
	if c.Disposition.Set {
		w.string(c.Disposition.Text)
		w.params(c.DispositionParams)
	}
	if flags&flagExtras != 0 {
		for _, n := range []Nullable{c.ID, c.Description, c.MD5, c.Location} {
			w.nullable(n)
		}
		w.uint(len(c.Language))
		for _, l := range c.Language {
			w.string(l)
		}
	}
	if p.Envelope != nil {
		w.envelope(p.Envelope)
	}
	w.uint(len(p.Parts))
	base = p.Body
	for _, q := range p.Parts {
		w.part(q, base)
		base = q.End
	}
}

func (w *writer) envelope(e *Envelope) {
	for _, n := range []Nullable{e.Date, e.Subject, e.InReplyTo, e.MessageID} {
		w.nullable(n)
	}
	for _, list := range [][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		w.uint(len(list))
		for _, a := range list {
			for _, n := range []Nullable{a.Name, a.Route, a.Mailbox, a.Host} {
				w.nullable(n)
			}
		}
	}
}
