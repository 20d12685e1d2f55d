package imapd

import (
	"context"

	"relais/internal/imap"
	"relais/internal/intake"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

// arrival is an appended message on its way into a mailbox.
type arrival struct {
	mailbox.Place
	print mime.Fingerprint
}

// of notes what was stored of a.
func (a *arrival) of(f *record.Filing, filed *record.Filed) {
	a.Email, a.Hash, a.Size, a.MessageIDs, a.print = filed.Email, f.Hash, int64(len(f.Body)), f.Facts.MessageIDs, f.Facts.Fingerprint
}

// place puts a in its mailbox. In Sent the copy that the submission filed a
// moment ago takes its place, once per command: taken are those that did.
func (a *arrival) place(ctx context.Context, tx *record.Tx, sent bool, taken map[mail.PlacementID]bool) (mailbox.Placement, error) {
	if sent {
		twin, err := a.joinTwin(ctx, tx, taken)
		if err != nil {
			return mailbox.Placement{}, err
		}
		if twin != nil {
			taken[twin.ID] = true
			return *twin, nil
		}
	}
	return tx.Mailbox.Place(ctx, a.Place)
}

// joinTwin finds the copy that the submission filed and gives it a's flags
// beside its own; nil when there is none.
func (a *arrival) joinTwin(ctx context.Context, tx *record.Tx, taken map[mail.PlacementID]bool) (*mailbox.Placement, error) {
	twin, err := intake.SentTwin(ctx, tx, a.Account, a.print, mail.ByOutbound)
	if err != nil || twin == nil || twin.Mailbox != a.Mailbox || taken[twin.ID] {
		return nil, err
	}
	flags := twin.Flags.Union(a.Flags)
	if flags.Equal(twin.Flags) {
		return twin, nil
	}
	joined, err := tx.Mailbox.SetFlags(ctx, twin.ID, flags, mail.ByPerson)
	return &joined, err
}

// appendSent is appendOne into Sent. A message that has a twin is not stored: it
// would be kept for no mailbox.
func (c *conn) appendSent(ctx context.Context, place record.Place, raw []byte) (imap.NumSet, error) {
	f := c.filing(raw)
	a := &arrival{print: f.Facts.Fingerprint, Place: mailbox.Place{
		Account: place.Account, Mailbox: place.Mailbox, Flags: place.Flags, InternalDate: place.InternalDate, Origin: mail.ByPerson, Actor: c.person.Email}}
	var placed *mailbox.Placement
	err := c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		tx.As(c.person.Email)
		placed, err = a.joinTwin(ctx, tx, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	if placed == nil {
		// The submission may end between the look and this: it is looked for again.
		f.Then = func(ctx context.Context, tx *record.Tx, filed *record.Filed) error {
			tx.As(c.person.Email)
			a.of(f, filed)
			p, err := a.place(ctx, tx, true, map[mail.PlacementID]bool{})
			placed = &p
			return err
		}
		if _, err := c.server.record.File(ctx, f); err != nil {
			return nil, err
		}
	}
	return imap.NumSetOf(placed.UID), nil
}
