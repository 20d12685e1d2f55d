package imapd

import (
	"context"
	"slices"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// standardKeywords are always listed, so that clients offer them.
var standardKeywords = []string{"$Forwarded", "$MDNSent", "$Junk", "$NotJunk"}

// selectBox opens a mailbox, by EXAMINE for reading only (RFC 3501 §6.3.1, RFC 7162 §3.2.5).
func (c *conn) selectBox(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	var params imap.SelectParams
	if c.dec.Accept(' ') {
		params = c.dec.SelectParams()
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if params.QResync != nil && !c.qresync {
		return imap.Status{}, bad("QRESYNC is not enabled")
	}
	if c.box != nil {
		// Even if the new one can't be opened the old one is closed.
		c.unselect()
		if c.qresync {
			c.enc.Raw("* OK [CLOSED] the previous mailbox\r\n")
		}
	}
	var box mailbox.Mailbox
	var content mailbox.Content
	err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		if box, err = tx.Mailbox.MailboxByName(ctx, c.person.Account, name); err != nil {
			return err
		}
		content, err = tx.Mailbox.Content(ctx, box)
		return err
	})
	if err != nil {
		return imap.Status{}, err
	}
	c.condstore = c.condstore || params.CondStore
	v := &view{box: box.ID, validity: box.UIDValidity, uids: content.UIDs, modseq: box.Modseq, readOnly: r.name == "EXAMINE"}
	c.box = v
	c.describe(&box, &content)
	if q := params.QResync; q != nil && q.UIDValidity == box.UIDValidity {
		if err := c.resync(ctx, q); err != nil {
			return imap.Status{}, err
		}
	}
	if v.readOnly {
		return imap.Status{Code: imap.MakeCode(imap.CodeReadOnly), Text: "opened for reading"}, nil
	}
	return imap.Status{Code: imap.MakeCode(imap.CodeReadWrite), Text: "opened"}, nil
}

func (c *conn) describe(box *mailbox.Mailbox, content *mailbox.Content) {
	flags := mail.Flags{System: mail.Answered | mail.Flagged | mail.Deleted | mail.Seen | mail.Draft,
		Keywords: content.Keywords}.Union(mail.ParseFlags(standardKeywords...)).Names()
	c.enc.Raw("* FLAGS ").Flags(flags).CRLF()
	var permanent []string
	if !c.box.readOnly {
		permanent = append(slices.Clone(flags), `\*`)
	}
	c.enc.Raw("* OK [PERMANENTFLAGS ").Flags(permanent).Raw("] kept\r\n")
	c.enc.Raw("* ").Number(uint32(len(content.UIDs))).Raw(" EXISTS\r\n* 0 RECENT\r\n")
	ok := func(code imap.Code, text string) {
		c.enc.Status("*", imap.Status{Word: imap.OK, Code: code, Text: text})
	}
	if i, found := c.box.index(content.FirstUnseen); found {
		ok(imap.NumberCode(imap.CodeUnseen, uint64(i+1)), "first unseen")
	}
	ok(imap.NumberCode(imap.CodeUIDValidity, uint64(box.UIDValidity)), "valid")
	ok(imap.NumberCode(imap.CodeUIDNext, uint64(box.UIDNext)), "predicted")
	ok(imap.NumberCode(imap.CodeHighestModSeq, box.Modseq), "highest")
	ok(imap.MakeCode(imap.CodeMailboxID, "("+mailboxID(box.ID)+")"), "identity")
}

// resync tells what changed since the client last looked (RFC 7162 §3.2.5).
// Message numbers that the client may tell are of no use: every expunge is on record.
func (c *conn) resync(ctx context.Context, q *imap.QResync) error {
	known := q.Known
	if known == nil {
		known = imap.NumSet{{First: 1, Last: imap.Star - 1}}
	}
	if err := c.tellVanished(ctx, known, q.ModSeq); err != nil {
		return err
	}
	spans, err := c.box.spans(known, true)
	if err != nil {
		return err
	}
	if spans, err = c.changed(ctx, spans, q.ModSeq); err != nil {
		return err
	}
	return c.each(ctx, spans, nil, func(some []mailbox.Placement) error {
		for _, p := range some {
			if i, ok := c.box.index(p.UID); ok {
				c.tellFlags(i, &p)
			}
		}
		return c.enc.Err()
	})
}

// tellVanished tells which of the UIDs left the mailbox after modseq.
func (c *conn) tellVanished(ctx context.Context, among imap.NumSet, modseq uint64) error {
	var gone []uint32
	err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		gone, err = tx.Mailbox.Vanished(ctx, c.box.box, modseq)
		return err
	})
	if err != nil {
		return err
	}
	var set imap.NumSet
	for _, uid := range gone {
		if among.Contains(uid) {
			set.Add(uid)
		}
	}
	if len(set) > 0 {
		c.enc.Raw("* VANISHED (EARLIER) ").NumSet(set).CRLF()
	}
	return nil
}

// changed narrows the spans to the messages that changed after modseq.
func (c *conn) changed(ctx context.Context, spans []span, modseq uint64) ([]span, error) {
	var uids []uint32
	err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		uids = nil
		return tx.Mailbox.ChangedSince(ctx, c.box.box, modseq, func(p mailbox.Placement) error {
			uids = append(uids, p.UID)
			return nil
		})
	})
	slices.Sort(uids)
	var out []span
	for _, uid := range uids {
		i, ok := c.box.index(uid)
		if !ok {
			continue
		}
		for len(spans) > 0 && spans[0].hi <= i {
			spans = spans[1:]
		}
		switch n := len(out); {
		case len(spans) == 0 || i < spans[0].lo:
		case n > 0 && out[n-1].hi == i:
			out[n-1].hi++
		default:
			out = append(out, span{i, i + 1})
		}
	}
	return out, err
}

// closeBox is CLOSE, which expunges silently, or UNSELECT, which does not.
func (c *conn) closeBox(ctx context.Context, r *request) (imap.Status, error) {
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	var err error
	if r.name == "CLOSE" && !c.box.readOnly {
		err = c.expungeDeleted(ctx, c.box.all())
	}
	c.unselect()
	return imap.Status{}, err
}

func (c *conn) unselect() { c.box = nil }
