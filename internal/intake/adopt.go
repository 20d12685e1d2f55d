package intake

import (
	"context"

	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// Adopt brings mail that was taken for addresses which only the primary knew to
// the people who have them by now: call it when the directory of a domain grew.
// The duty stays as it is, so that the mirror knows the primary's copy again.
func Adopt(ctx context.Context, tx *record.Tx, domain mail.DomainID) error {
	orphans, err := tx.Duty.Orphans(ctx, domain)
	if err != nil {
		return err
	}
	for _, d := range orphans {
		if d.State == duty.Refused || d.State == duty.Accepted {
			continue // its sender was told that it did not arrive
		}
		to, err := mail.ParseAddress(d.Recipient)
		if err != nil {
			return err
		}
		r, err := tx.Directory.Resolve(ctx, to)
		if err != nil {
			return err
		}
		if r.Kind != directory.ToPerson {
			continue
		}
		email, err := tx.Mailbox.Email(ctx, d.Email)
		if err != nil {
			return err
		}
		p, err := tx.Mailbox.Place(ctx, mailbox.Place{
			Account: r.Person.Account, Email: email.ID, Hash: email.Hash, Size: email.Size, InternalDate: d.OwedAt,
			MessageIDs: []string{email.MessageID}, Origin: mail.ByIntake, Actor: d.MailFrom,
		})
		if err != nil {
			return err
		}
		if err := tx.Duty.Attach(ctx, d.ID, r.Person.Account, p.ID); err != nil {
			return err
		}
	}
	return nil
}
