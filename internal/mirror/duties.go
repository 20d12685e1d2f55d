package mirror

import (
	"context"
	"slices"
	"time"

	"relais/internal/duty"
	"relais/internal/mail"
	"relais/internal/record"
)

// appendLease is how long the mirror's claim on a duty holds: longer than any one command at the primary.
const appendLease = 10 * time.Minute

// relayOwns tells whether the SMTP relay has, or will take, the message, so that
// an append would be a second way for it.
func (p *pass) relayOwns(ctx context.Context, tx *record.Tx, placement mail.PlacementID) (bool, error) {
	duties, err := tx.Duty.OfPlacement(ctx, placement)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(duties, func(d duty.Duty) bool { return p.ownedByRelay(d, tx.Now) }), nil
}

func (p *pass) ownedByRelay(d duty.Duty, now time.Time) bool {
	switch d.State {
	case duty.Owed, duty.Refused:
		return !p.mode.Appends
	case duty.Claimed:
		// With a lapsed claim the outcome is unknown; this pass has looked at the
		// whole account and not found it.
		return d.ClaimedBy == duty.Relay && (now.Before(d.ClaimedUntil) || !p.mode.Appends)
	case duty.Handed, duty.Unseen:
		// The primary has it, perhaps in its queue. One that was declared rebuilt since has not.
		return !p.state.RebuiltAt.After(d.HandedAt)
	case duty.Accepted:
		return true
	}
	return false
}

// claimAppend claims the duties of a placement for the mirror.
func claimAppend(ctx context.Context, tx *record.Tx, placement mail.PlacementID) error {
	return eachOpen(ctx, tx, placement, func(d duty.Duty) error {
		if d.State == duty.Refused {
			if err := tx.Duty.Reopen(ctx, d.ID); err != nil {
				return err
			}
		}
		_, err := tx.Duty.ClaimAppend(ctx, d.ID, appendLease)
		return err
	})
}

// releaseAppend gives the claims back after a refusal.
func releaseAppend(ctx context.Context, tx *record.Tx, placement mail.PlacementID, words string) error {
	return eachOpen(ctx, tx, placement, func(d duty.Duty) error {
		if d.State != duty.Claimed || d.ClaimedBy != duty.Append {
			return nil
		}
		return tx.Duty.Release(ctx, d.ID, tx.Now.Add(refusalRetry), words)
	})
}

// seen closes the duties of a placement: the primary has it in its mailbox.
func seen(ctx context.Context, tx *record.Tx, acct mail.AccountID, placement mail.PlacementID, link mail.LinkID) error {
	return eachOpen(ctx, tx, placement, func(d duty.Duty) error {
		if d.Group != 0 {
			return tx.Duty.SeenMember(ctx, d.ID, acct, link)
		}
		return tx.Duty.Seen(ctx, d.ID, link)
	})
}

// eachOpen calls fn for the duties of a placement that are not closed. Two
// aliases of one person make two of them.
func eachOpen(ctx context.Context, tx *record.Tx, placement mail.PlacementID, fn func(duty.Duty) error) error {
	duties, err := tx.Duty.OfPlacement(ctx, placement)
	if err != nil {
		return err
	}
	for _, d := range duties {
		if d.State == duty.Seen || d.State == duty.Accepted {
			continue
		}
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

// placementOfIntake is the placement that an arrival made in an account; 0 when it made none there.
func placementOfIntake(ctx context.Context, tx *record.Tx, intake string, acct mail.AccountID) (mail.PlacementID, error) {
	duties, err := tx.Duty.OfIntake(ctx, intake)
	if err != nil {
		return 0, err
	}
	for _, d := range duties {
		if d.Account == acct && d.Placement != 0 {
			return d.Placement, nil
		}
		if d.Group == 0 {
			continue
		}
		members, err := tx.Duty.Members(ctx, d.ID)
		if err != nil {
			return 0, err
		}
		for _, m := range members {
			if m.Account == acct {
				return m.Placement, nil
			}
		}
	}
	return 0, nil
}
