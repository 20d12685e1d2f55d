package imapd

import (
	"context"
	"errors"
	"strings"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// copy is COPY and MOVE, both with their UID forms (RFC 3501 §6.4.7, RFC 6851,
// RFC 4315 §3). It goes by batches, so that others' mail is filed in between. If
// a copy fails, what was copied goes again; what was moved stays moved.
func (c *conn) copy(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	set := c.dec.NumSet()
	c.dec.SP()
	name := c.dec.Mailbox()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	spans, err := c.box.spans(set, r.uid)
	if err != nil {
		return imap.Status{}, err
	}
	var target mailbox.Mailbox
	err = c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		target, err = tx.Mailbox.MailboxByName(ctx, c.person.Account, name)
		return err
	})
	if err != nil {
		return imap.Status{}, tryCreate(err)
	}
	t := transfer{to: target.ID, move: strings.HasSuffix(r.name, "MOVE")}
	err = c.each(ctx, spans, nil, func(some []mailbox.Placement) error { return c.transfer(ctx, &t, some) })
	if err != nil && !t.move {
		return imap.Status{}, tryCreate(errors.Join(err, c.undo(ctx, t.made)))
	}
	if len(t.from) == 0 {
		return imap.Status{}, tryCreate(err)
	}
	code := imap.CopyUID(target.UIDValidity, t.from, t.as)
	if !t.move {
		return imap.Status{Code: code, Text: "copied"}, nil
	}
	c.enc.Status("*", imap.Status{Word: imap.OK, Code: code, Text: "moved"})
	return imap.Status{}, err
}

// transfer is a COPY or MOVE on its way.
type transfer struct {
	to       mail.MailboxID
	move     bool
	from, as imap.NumSet        // UIDs before and after, in pairs
	made     []mail.PlacementID // copies
}

// transfer copies or moves a batch in one transaction.
func (c *conn) transfer(ctx context.Context, t *transfer, some []mailbox.Placement) error {
	var from, as []uint32
	var made []mail.PlacementID
	err := c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		tx.As(c.person.Email)
		from, as, made = nil, nil, nil
		for _, p := range some {
			p, err := tx.Mailbox.Placement(ctx, p.ID)
			if err != nil {
				return err
			}
			if p.Mailbox != c.box.box || !p.Live() {
				continue // it left meanwhile
			}
			uid := p.UID
			if t.move {
				p, err = tx.Mailbox.Move(ctx, p.ID, t.to, mail.ByPerson)
			} else {
				p, err = tx.Mailbox.Copy(ctx, p.ID, t.to, mail.ByPerson)
				made = append(made, p.ID)
			}
			if err != nil {
				return err
			}
			from, as = append(from, uid), append(as, p.UID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range from {
		t.from.Add(from[i])
		t.as.Add(as[i])
	}
	t.made = append(t.made, made...)
	return nil
}

// undo takes copies away again, by batches.
func (c *conn) undo(ctx context.Context, made []mail.PlacementID) error {
	for len(made) > 0 {
		some := made[:min(batch, len(made))]
		made = made[len(some):]
		err := c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			tx.As(c.person.Email)
			for _, id := range some {
				if _, err := tx.Mailbox.Expunge(ctx, id, mail.ByPerson); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
