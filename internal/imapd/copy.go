package imapd

import (
	"context"
	"strings"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// copy is COPY and MOVE, both with their UID forms (RFC 3501 §6.4.7, RFC 6851,
// RFC 4315 §3). All messages arrive, in one transaction, or none.
func (c *conn) copy(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	set := c.dec.NumSet()
	c.dec.SP()
	name := c.dec.Mailbox()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	move := strings.HasSuffix(r.name, "MOVE")
	spans, err := c.box.spans(set, r.uid)
	if err != nil {
		return imap.Status{}, err
	}
	var ids []mail.PlacementID
	err = c.each(ctx, spans, nil, func(some []mailbox.Placement) error {
		for _, p := range some {
			ids = append(ids, p.ID)
		}
		return nil
	})
	if err != nil {
		return imap.Status{}, err
	}
	var target mailbox.Mailbox
	var from, to imap.NumSet
	err = c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		tx.As(c.person.Email)
		from, to = nil, nil
		if target, err = tx.Mailbox.MailboxByName(ctx, c.person.Account, name); err != nil {
			return tryCreate(err)
		}
		for _, id := range ids {
			p, err := tx.Mailbox.Placement(ctx, id)
			if err != nil {
				return err
			}
			if p.Mailbox != c.box.box || !p.Live() {
				continue
			}
			uid := p.UID
			if move {
				p, err = tx.Mailbox.Move(ctx, id, target.ID, mail.ByPerson)
			} else {
				p, err = tx.Mailbox.Copy(ctx, id, target.ID, mail.ByPerson)
			}
			if err != nil {
				return err
			}
			from.Add(uid)
			to.Add(p.UID)
		}
		return nil
	})
	if err != nil || len(from) == 0 {
		return imap.Status{}, err
	}
	code := imap.CopyUID(target.UIDValidity, from, to)
	if !move {
		return imap.Status{Code: code, Text: "copied"}, nil
	}
	c.enc.Status("*", imap.Status{Word: imap.OK, Code: code, Text: "moved"})
	return imap.Status{}, nil
}
