package intake

import (
	"context"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
	"relais/internal/smtp"
)

// unknownGrace is how long after a switch an unknown address is told to come
// back: the directory may lag behind the primary's.
const unknownGrace = 72 * time.Hour

var (
	errRelay   = smtp.NewReply(550, "5.7.1", "relaying denied: not a domain of ours, and nobody signed in")
	errNoUser  = smtp.NewReply(550, "5.1.1", "no such recipient here")
	errUnsure  = smtp.NewReply(450, "4.1.1", "this address is not known here yet, try again later")
	errNotSaid = smtp.NewReply(450, "4.4.1", "the server that knows this address does not answer, try again later")
)

// Recipient decides about one RCPT TO: a Target, or the *smtp.Reply to give.
func (in *Intake) Recipient(ctx context.Context, e *Envelope, rcpt mail.Address) (Target, error) {
	t := Target{Address: rcpt}
	hasPrimary := false
	err := in.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		if t.Resolution, err = tx.Directory.Resolve(ctx, rcpt); err != nil || t.Kind != directory.Unknown {
			return err
		}
		_, err = tx.Directory.Primary(ctx, t.Domain.ID)
		hasPrimary = err == nil
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case t.Kind == directory.Foreign && e.Sender == nil:
		return t, errRelay
	case t.Kind == directory.Unknown && !hasPrimary:
		return t, errNoUser
	case t.Kind == directory.Unknown:
		return t, in.askPrimary(ctx, e, t)
	}
	return t, nil
}

// askPrimary decides about an address of a domain of ours that nobody here has.
func (in *Intake) askPrimary(ctx context.Context, e *Envelope, t Target) error {
	away, err := in.States.Away(ctx, t.Domain.ID)
	switch {
	case err != nil:
		return err
	case !away.IsZero() && in.Clock.Now().Sub(away) < unknownGrace:
		return errUnsure
	case !away.IsZero():
		return errNoUser
	}
	err = in.answers.ask(ctx, t.Domain.ID, t.Address, func(ctx context.Context) error {
		return in.Primaries.AskRecipient(ctx, t.Domain.ID, e.From, t.Address)
	})
	if fault.Is(err, fault.Unavailable) {
		return errNotSaid
	}
	return err
}
