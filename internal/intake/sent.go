package intake

import (
	"bytes"
	"context"
	"time"

	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

// twinWithin is how far apart submission and the client's own APPEND to Sent may be.
const twinWithin = 10 * time.Minute

// SentTwin finds the copy of a message that the origin by has put into the
// account's Sent a moment ago: same Message-ID and same content, whatever header
// fields were added on the way. nil when there is none.
//
// It is how a sent message is in Sent exactly once although two file it. Submit
// asks for the client's copy (mail.ByPerson) before it places its own; the IMAP
// door asks for Submit's (mail.ByOutbound) when a client APPENDs to the mailbox
// with role Sent, and then gives the twin the flags and answers with its UID. The
// account is held first, so that of two who look at once the second sees what the
// first has placed.
func SentTwin(ctx context.Context, tx *record.Tx, acc mail.AccountID, fp mime.Fingerprint, by mail.Origin) (*mailbox.Placement, error) {
	if fp.MessageID == "" {
		return nil, nil
	}
	if err := tx.Mailbox.LockAccounts(ctx, acc); err != nil {
		return nil, err
	}
	same, err := tx.Mailbox.PlacementsByMessageID(ctx, acc, fp.MessageID)
	if err != nil || len(same) == 0 {
		return nil, err
	}
	for _, p := range same {
		if !p.Live() || tx.Now.Sub(p.CreatedAt) > twinWithin {
			continue
		}
		box, err := tx.Mailbox.Mailbox(ctx, p.Mailbox)
		if err != nil {
			return nil, err
		}
		if box.Role != mail.Sent {
			continue
		}
		email, err := tx.Mailbox.Email(ctx, p.Email)
		if err != nil {
			return nil, err
		}
		changes, err := tx.Mailbox.ChangesOf(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(email.Print, fp.Content[:]) && len(changes) > 0 && changes[0].Origin == by {
			return &p, nil
		}
	}
	return nil, nil
}
