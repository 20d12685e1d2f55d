package imapd

import (
	"context"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// expunge is EXPUNGE and UID EXPUNGE (RFC 3501 §6.4.3, RFC 4315 §2.1). What went
// is told by the sync at its end.
func (c *conn) expunge(ctx context.Context, r *request) (imap.Status, error) {
	set := imap.NumSet{{First: 1, Last: imap.Star}}
	if r.uid {
		c.dec.SP()
		set = c.dec.NumSet()
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	spans, err := c.box.spans(set, true)
	if err != nil {
		return imap.Status{}, err
	}
	if err := c.expungeDeleted(ctx, spans); err != nil {
		return imap.Status{}, err
	}
	if !c.qresync {
		return imap.Status{}, nil
	}
	// The client may skip its next look at what vanished (RFC 7162 §3.2.7).
	if err := c.sync(ctx, true); err != nil {
		return imap.Status{}, err
	}
	return imap.Status{Code: imap.NumberCode(imap.CodeHighestModSeq, c.box.modseq), Text: "expunged"}, nil
}

// expungeDeleted makes tombstones of the messages of the spans that have \Deleted.
func (c *conn) expungeDeleted(ctx context.Context, spans []span) error {
	return c.each(ctx, spans, nil, func(some []mailbox.Placement) error {
		var ids []mail.PlacementID
		for _, p := range some {
			if p.Flags.Has(mail.Deleted) {
				ids = append(ids, p.ID)
			}
		}
		if ids == nil {
			return nil
		}
		return c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			tx.As(c.person.Email)
			for _, id := range ids {
				p, err := tx.Mailbox.Placement(ctx, id)
				if err != nil {
					return err
				}
				if p.Mailbox != c.box.box || !p.Live() || !p.Flags.Has(mail.Deleted) {
					continue
				}
				if _, err := tx.Mailbox.Expunge(ctx, id, mail.ByPerson); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
