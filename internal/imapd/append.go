package imapd

import (
	"context"
	"time"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

// append is APPEND (RFC 3501 §6.3.11, RFC 4315 §3). The mailbox is looked up
// before the message is asked for.
func (c *conn) append(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	c.dec.SP()
	place := record.Place{Account: c.person.Account}
	if c.dec.Peek() == '(' {
		place.Flags = mail.ParseFlags(c.dec.Flags()...)
		c.dec.SP()
	}
	if c.dec.Peek() == '"' {
		place.InternalDate = c.dec.DateTime()
		c.dec.SP()
	}
	if err := c.dec.Err(); err != nil {
		return imap.Status{}, err
	}
	var box mailbox.Mailbox
	err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		box, err = tx.Mailbox.MailboxByName(ctx, c.person.Account, name)
		return err
	})
	if err != nil {
		c.dec.Want("a mailbox that exists") // the message is passed over
		return imap.Status{}, tryCreate(err)
	}
	place.Mailbox = box.ID
	literal := c.dec.Stream()
	if err := c.dec.Err(); err != nil {
		return imap.Status{}, err
	}
	raw, release, err := c.take(ctx, literal)
	defer release()
	if err != nil {
		return imap.Status{}, err
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if len(raw) == 0 {
		return imap.Status{}, no(imap.CodeCannot, "an empty message is none")
	}
	raw = mime.CRLF(raw)
	filed, err := c.server.record.File(ctx, &record.Filing{
		Tenant: c.person.Tenant, Body: raw, Facts: mime.Examine(raw), Places: []record.Place{place}, Origin: mail.ByPerson, Actor: c.person.Email,
	})
	if err != nil {
		return imap.Status{}, tryCreate(err)
	}
	return imap.Status{Code: imap.AppendUID(box.UIDValidity, imap.NumSetOf(filed.Placements[0].UID)), Text: "filed"}, nil
}

// blockTimeout is how long the next bytes of a message may take.
const blockTimeout = 3 * time.Minute

// take reads a message into memory that is counted, as it arrives, until release.
func (c *conn) take(ctx context.Context, l *imap.Literal) (b []byte, release func(), err error) {
	c.stream.wait(min(blockTimeout, c.cfg.IdleTimeout))
	defer c.stream.wait(c.cfg.IdleTimeout)
	release = func() { c.cfg.Memory.Release(int64(cap(b))) }
	for int64(len(b)) < l.Size {
		if len(b) == cap(b) {
			size := min(l.Size, max(64<<10, 4*int64(cap(b))))
			if err := c.cfg.Memory.Acquire(ctx, size); err != nil {
				c.dec.Want("memory") // the rest is passed over
				return b, release, fault.Wrap(err, fault.Temporary, "too many messages at once, try again")
			}
			grown := make([]byte, len(b), size)
			copy(grown, b)
			c.cfg.Memory.Release(int64(cap(b)))
			b = grown
		}
		n, err := l.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, release, err
		}
	}
	return b, release, nil
}
