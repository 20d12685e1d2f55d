package imapd

import (
	"bytes"
	"context"
	"strconv"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
)

// message is a placement with as much of its content as was needed so far.
type message struct {
	conn         *conn
	p            *mailbox.Placement
	summaryBytes []byte
	sum          *mime.Summary
	raw          []byte
	held         int64 // of the bound on memory
}

// summary is decoded once; from the message itself where the stored one is of another version.
func (m *message) summary(ctx context.Context) (*mime.Summary, error) {
	if m.sum != nil {
		return m.sum, nil
	}
	s, err := mime.DecodeSummary(m.summaryBytes)
	if err != nil {
		if err := m.body(ctx); err != nil {
			return nil, err
		}
		s = mime.SummaryOf(m.raw)
	}
	m.sum = &s
	return m.sum, nil
}

// body reads the message. What it takes of the bound on memory is given back by release.
func (m *message) body(ctx context.Context) (err error) {
	if m.raw != nil {
		return nil
	}
	size := min(m.p.Size, maxReading/2)
	if err := m.conn.server.reading.Acquire(ctx, size); err != nil {
		return fault.Wrap(err, fault.Temporary, "too many messages are being read, try again")
	}
	m.held = size
	m.raw, err = m.conn.server.record.Body(ctx, m.conn.person.Tenant, m.p.Hash)
	return err
}

func (m *message) release() {
	if m.held > 0 {
		m.conn.server.reading.Release(m.held)
	}
	m.held, m.raw = 0, nil
}

// load reads what the plan needs before the answer begins: in the middle of it
// there is no way to say that something failed.
func (m *message) load(ctx context.Context, plan *plan) error {
	if plan.summary {
		if _, err := m.summary(ctx); err != nil {
			return err
		}
	}
	for _, item := range plan.items {
		switch {
		case item.Section != nil, item.Name == imap.ItemRFC822, item.Name == imap.ItemRFC822Header, item.Name == imap.ItemRFC822Text:
			return m.body(ctx)
		}
	}
	return nil
}

// send writes an item's name and value.
func (m *message) send(item imap.FetchItem) {
	e := m.conn.enc
	e.FetchLabel(item).SP()
	switch item.Name {
	case imap.ItemUID:
		e.Number(m.p.UID)
	case imap.ItemFlags:
		e.Flags(m.p.Flags.Names())
	case imap.ItemModSeq:
		e.Raw("(").Number64(m.p.Modseq).Raw(")")
	case imap.ItemInternalDate:
		e.DateTime(m.p.InternalDate)
	case imap.ItemSize:
		e.Number64(uint64(m.p.Size))
	case imap.ItemEmailID:
		e.Raw("(").Raw(emailID(m.p.Email)).Raw(")")
	case imap.ItemThreadID:
		e.Raw("(").Raw(threadID(m.p.Thread)).Raw(")")
	case imap.ItemEnvelope:
		e.Envelope(envelope(m.sum.Envelope()))
	case imap.ItemBodyStructure:
		e.BodyStructure(structure(m.sum.Root), true)
	case imap.ItemRFC822:
		e.LiteralBytes(noNUL(m.raw))
	case imap.ItemRFC822Header:
		e.LiteralBytes(noNUL(mime.Header(m.raw)))
	case imap.ItemRFC822Text:
		e.LiteralBytes(noNUL(m.raw[len(mime.Header(m.raw)):]))
	case imap.ItemBody:
		if item.Section == nil {
			e.BodyStructure(structure(m.sum.Root), false)
			return
		}
		e.LiteralBytes(noNUL(partial(m.section(item.Section), item.Partial)))
	}
}

// section finds the bytes that a section names (RFC 3501 §6.4.5); none if there is no such part.
func (m *message) section(s *imap.Section) []byte {
	header := mime.Header(m.raw)
	body := m.raw[len(header):]
	if len(s.Path) > 0 {
		path := make([]int, len(s.Path))
		for i, n := range s.Path {
			path[i] = int(min(n, 1<<30))
		}
		p := m.sum.Root.Find(path)
		if p == nil {
			return nil
		}
		switch s.Text {
		case "", "MIME":
		default: // of the message inside
			if p.Kind != mime.Message {
				return nil
			}
			p = p.Parts[0]
		}
		header, body = m.raw[p.Start:p.Body], m.raw[p.Body:p.End]
	}
	switch s.Text {
	case "":
		if len(s.Path) == 0 {
			return m.raw
		}
		return body
	case "TEXT":
		return body
	case "HEADER.FIELDS.NOT":
		return mime.FilterFields(header, s.Fields, true)
	case "HEADER.FIELDS":
		b := mime.FilterFields(header, s.Fields, false)
		if len(header) == 0 || len(s.Path) == 0 && !mime.HasEnd(header) {
			b = append(b, "\r\n"...) // for those who look for it
		}
		return b
	}
	return header
}

func partial(b []byte, p *imap.Partial) []byte {
	if p == nil {
		return b
	}
	b = b[min(int64(p.Offset), int64(len(b))):]
	return b[:min(int64(p.Count), int64(len(b)))]
}

// noNUL replaces NUL, which a literal can't hold (RFC 3501 §4.3), by 0x80.
func noNUL(b []byte) []byte {
	if bytes.IndexByte(b, 0) < 0 {
		return b
	}
	return bytes.ReplaceAll(b, []byte{0}, []byte{0x80})
}

// Identities (RFC 8474): a letter and the row's number, which is never used again.
func emailID(id mail.EmailID) string     { return "M" + strconv.FormatInt(int64(id), 10) }
func threadID(id mail.ThreadID) string   { return "T" + strconv.FormatInt(int64(id), 10) }
func mailboxID(id mail.MailboxID) string { return "F" + strconv.FormatInt(int64(id), 10) }
