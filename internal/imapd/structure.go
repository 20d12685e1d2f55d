package imapd

import (
	"strings"

	"relais/internal/imap"
	"relais/internal/mime"
)

func nstring(n mime.Nullable) imap.NString { return imap.NString{Value: n.Text, Set: n.Set} }

// envelope puts what mime read into the words of IMAP.
func envelope(e *mime.Envelope) *imap.Envelope {
	return &imap.Envelope{
		Date: nstring(e.Date), Subject: nstring(e.Subject),
		From: addresses(e.From), Sender: addresses(e.Sender), ReplyTo: addresses(e.ReplyTo),
		To: addresses(e.To), Cc: addresses(e.Cc), Bcc: addresses(e.Bcc),
		InReplyTo: nstring(e.InReplyTo), MessageID: nstring(e.MessageID),
	}
}

func addresses(list []mime.Address) []imap.Address {
	out := make([]imap.Address, len(list))
	for i, a := range list {
		out[i] = imap.Address{Name: nstring(a.Name), Route: nstring(a.Route), Mailbox: nstring(a.Mailbox), Host: nstring(a.Host)}
	}
	return out
}

// emptyPart stands in for the parts of a multipart without any: the grammar wants one.
var emptyPart = imap.BodyStructure{
	Type: "text", Subtype: "plain", Params: []imap.Param{{Name: "charset", Value: "us-ascii"}}, Encoding: imap.Some("7bit"),
}

// structure puts a part into the words of IMAP, with the defaults of RFC 2045 §5.2 and §6.1.
func structure(p *mime.Part) *imap.BodyStructure {
	c := &p.Content
	b := &imap.BodyStructure{
		Type: c.Type, Subtype: c.Subtype, Params: params(c.Params), Location: nstring(c.Location), Language: c.Language,
	}
	if c.Disposition.Set {
		b.Disposition = &imap.Disposition{Type: c.Disposition.Text, Params: params(c.DispositionParams)}
	}
	if p.Kind == mime.Multipart {
		for _, q := range p.Parts {
			b.Parts = append(b.Parts, structure(q))
		}
		if b.Parts == nil {
			b.Parts = []*imap.BodyStructure{&emptyPart}
		}
		return b
	}
	b.ID, b.Description, b.MD5, b.Encoding = nstring(c.ID), nstring(c.Description), nstring(c.MD5), nstring(c.Encoding)
	b.Size, b.Lines = uint32(p.Size()), uint32(p.Lines)
	if !b.Encoding.Set {
		b.Encoding = imap.Some("7bit")
	}
	switch {
	case p.Kind == mime.Leaf && (strings.EqualFold(b.Type, "multipart") || strings.EqualFold(b.Type+"/"+b.Subtype, "message/rfc822")):
		// It could not be taken apart, and clients must not try.
		b.Type, b.Subtype = "application", "octet-stream"
	case p.Kind == mime.Message:
		b.Type, b.Subtype = "message", "rfc822"
		b.Envelope, b.Body = envelope(p.Parts[0].Envelope), structure(p.Parts[0])
	case p.IsText():
		if !c.HasType {
			b.Type, b.Subtype = "text", "plain"
		}
		if !hasParam(b.Params, "charset") {
			b.Params = append(b.Params, imap.Param{Name: "charset", Value: "us-ascii"})
		}
	}
	return b
}

func params(list []mime.Param) []imap.Param {
	out := make([]imap.Param, len(list), len(list)+1)
	for i, p := range list {
		out[i] = imap.Param(p)
	}
	return out
}

func hasParam(list []imap.Param, name string) bool {
	for _, p := range list {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}
