package imapd

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

const (
	blockTimeout = 3 * time.Minute // how long the next bytes of a message may take
	maxAppend    = 1000            // messages of one APPEND
	filedAtOnce  = 8               // of one APPEND: they share syncs of the disk
)

// append is APPEND (RFC 3501 §6.3.11, RFC 4315 §3), of several messages too (RFC
// 3502): all are filed, or none. The mailbox is looked up before a message is
// asked for.
func (c *conn) append(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	place := c.placeOptions()
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
	raw, release, err := c.take(ctx)
	if err != nil {
		release()
		return imap.Status{}, err
	}
	var uids imap.NumSet
	if c.dec.Peek() == ' ' {
		uids, err = c.appendMany(ctx, box, place, raw, release)
	} else {
		uids, err = c.appendOne(ctx, box, place, raw, release)
	}
	if err != nil {
		return imap.Status{}, tryCreate(err)
	}
	return imap.Status{Code: imap.AppendUID(box.UIDValidity, uids), Text: "filed"}, nil
}

// placeOptions reads what may stand before a message: flags, then a date.
func (c *conn) placeOptions() (p record.Place) {
	p.Account = c.person.Account
	c.dec.SP()
	if c.dec.Peek() == '(' {
		p.Flags = mail.ParseFlags(c.dec.Flags()...)
		c.dec.SP()
	}
	if c.dec.Peek() == '"' {
		p.InternalDate = c.dec.DateTime()
		c.dec.SP()
	}
	return p
}

func (c *conn) appendOne(ctx context.Context, box mailbox.Mailbox, place record.Place, raw []byte, release func()) (imap.NumSet, error) {
	defer release()
	if err := c.end(); err != nil {
		return nil, err
	}
	place.Mailbox = box.ID
	if box.Role == mail.Sent {
		return c.appendSent(ctx, place, raw)
	}
	filed, err := c.server.record.File(ctx, c.filing(raw, place))
	if err != nil {
		return nil, err
	}
	return imap.NumSetOf(filed.Placements[0].UID), nil
}

// filing is that of a message of the client's; without a place it is stored, and in no mailbox yet.
func (c *conn) filing(raw []byte, places ...record.Place) *record.Filing {
	raw = mime.CRLF(raw)
	return &record.Filing{Tenant: c.person.Tenant, Body: raw, Hash: mail.Sum(raw), Facts: mime.Examine(raw), Places: places,
		Origin: mail.ByPerson, Actor: c.person.Email}
}

// appendMany stores the first message and those that follow while they arrive,
// and puts them in the mailbox together when all are there.
func (c *conn) appendMany(ctx context.Context, box mailbox.Mailbox, place record.Place, raw []byte, release func()) (imap.NumSet, error) {
	var arrivals []*arrival
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(filedAtOnce)
	for {
		a := &arrival{Place: mailbox.Place{Account: place.Account, Mailbox: box.ID, Flags: place.Flags, InternalDate: place.InternalDate, Origin: mail.ByPerson}}
		arrivals = append(arrivals, a)
		body, free := raw, release
		release = func() {} // it is the group's now
		group.Go(func() error {
			defer free()
			f := c.filing(body)
			filed, err := c.server.record.File(groupCtx, f)
			if err != nil {
				return err
			}
			a.of(f, filed)
			return nil
		})
		if c.dec.Peek() != ' ' || c.dec.Err() != nil {
			break
		}
		place = c.placeOptions()
		var err error
		if len(arrivals) == maxAppend {
			c.dec.Want("fewer messages")
			err = fault.New(fault.OverLimit, "more than %d messages in one command", maxAppend)
		}
		if err == nil {
			raw, release, err = c.take(ctx)
		}
		if err != nil {
			release()
			_ = group.Wait() // what is stored counts for nothing: it is in no mailbox
			return nil, err
		}
	}
	if err := group.Wait(); err != nil {
		c.dec.Want("messages that can be filed")
		return nil, err
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	var uids imap.NumSet
	err := c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		tx.As(c.person.Email)
		uids = nil
		taken := map[mail.PlacementID]bool{}
		for _, a := range arrivals {
			placed, err := a.place(ctx, tx, box.Role == mail.Sent, taken)
			if err != nil {
				return err
			}
			uids = addInOrder(uids, placed.UID)
		}
		return nil
	})
	return uids, err
}

// addInOrder adds uid at the end: APPENDUID names the UIDs as the messages came
// (RFC 4315 §3), and that of a twin may be below the others.
func addInOrder(uids imap.NumSet, uid uint32) imap.NumSet {
	if n := len(uids); n > 0 && uid <= uids[n-1].Last {
		return append(uids, imap.Range{First: uid, Last: uid})
	}
	uids.Add(uid)
	return uids
}

// take reads a message into memory that is counted, as it arrives, until release.
func (c *conn) take(ctx context.Context) (b []byte, release func(), err error) {
	release = func() { c.cfg.Memory.Release(int64(cap(b))) }
	l := c.dec.Stream()
	if err := c.dec.Err(); err != nil {
		return nil, release, err
	}
	if l.Size == 0 {
		c.dec.Want("a message")
		return nil, release, no(imap.CodeCannot, "an empty message is none")
	}
	c.stream.wait(min(blockTimeout, c.cfg.IdleTimeout))
	defer c.stream.wait(c.cfg.IdleTimeout)
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
