package mirror

import (
	"context"
	"time"

	"relais/internal/duty"
	"relais/internal/mail"
	"relais/internal/record"
)

// appendLease is how long the mirror's claim on a duty holds: longer than any one command at the primary.
const appendLease = 10 * time.Minute

// openDuty is a duty of a placement that is not closed. Two aliases of one person make two of them.
type openDuty struct{ duty.Duty }

func openDuties(all []duty.Duty) (open []openDuty) {
	for _, d := range all {
		if d.State != duty.Seen {
			open = append(open, openDuty{d})
		}
	}
	return open
}

// ownedByRelay tells whether the SMTP relay has, or will take, the message, so
// that an append would be a second way for it.
func (p *pass) ownedByRelay(d duty.Duty, now time.Time) bool {
	switch d.State {
	case duty.Owed, duty.Refused:
		return !p.mode.Appends
	case duty.Claimed:
		// With a lapsed claim the outcome is unknown; this pass has looked at the
		// whole account and not found it.
		return d.ClaimedBy == duty.Relay && (now.Before(d.ClaimedUntil.Add(doubtGrace)) || !p.mode.Appends)
	case duty.Handed, duty.Unseen:
		// The primary has it, perhaps in its queue. One that was declared rebuilt since has not.
		return !p.state.RebuiltAt.After(d.HandedAt)
	case duty.Accepted:
		return true
	}
	return false
}

// underWay tells whether the outcome of the relay is still to be seen.
func underWay(duties []openDuty) bool {
	for _, d := range duties {
		if d.State == duty.Claimed || d.State == duty.Handed {
			return true
		}
	}
	return false
}

// claimAppend claims the duties of a subject for the mirror.
func claimAppend(ctx context.Context, tx *record.Tx, s *subject) error {
	return s.eachOpen(ctx, tx, func(d duty.Duty) error {
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
func releaseAppend(ctx context.Context, tx *record.Tx, s *subject, words string) error {
	return s.eachOpen(ctx, tx, func(d duty.Duty) error {
		if d.State != duty.Claimed || d.ClaimedBy != duty.Append {
			return nil
		}
		return tx.Duty.Release(ctx, d.ID, tx.Now.Add(refusalRetry), words)
	})
}

// seen closes the duties of a subject: the primary has it in its mailbox, where the link says.
func (p *pass) seen(ctx context.Context, tx *record.Tx, s *subject, link mail.LinkID) error {
	return s.eachOpen(ctx, tx, func(d duty.Duty) error {
		if d.Group != 0 {
			return tx.Duty.SeenMember(ctx, d.ID, p.acct.ID, link)
		}
		return tx.Duty.Seen(ctx, d.ID, link)
	})
}

// withdraw closes the duties of a message that was deleted here before anybody
// handed it over: what is put back on a primary is what people have now.
func (p *pass) withdraw(ctx context.Context, tx *record.Tx, s *subject) error {
	if !p.mode.Appends {
		return nil // the relay hands it over, and the deletion follows
	}
	return s.eachOpen(ctx, tx, func(d duty.Duty) error {
		switch {
		case d.State != duty.Owed && d.State != duty.Refused && d.State != duty.Unseen:
			return nil
		case d.Group != 0:
			return tx.Duty.SeenMember(ctx, d.ID, p.acct.ID, 0)
		}
		return tx.Duty.Withdraw(ctx, d.ID, "deleted here before it was handed over")
	})
}

// eachOpen calls fn for the duties of a subject that are not closed, as they are now.
func (s *subject) eachOpen(ctx context.Context, tx *record.Tx, fn func(duty.Duty) error) error {
	for _, d := range s.duties {
		now, err := tx.Duty.Duty(ctx, d.ID)
		if err != nil {
			return err
		}
		if now.State == duty.Seen || now.State == duty.Accepted {
			continue
		}
		if err := fn(now); err != nil {
			return err
		}
	}
	return nil
}

// owed is a placement that an arrival made in an account, and that the primary is to get too.
type owed struct {
	placement mail.PlacementID
	closed    bool // the primary's copy was seen
}

// owedTo lists the placements that an arrival made in an account.
func owedTo(ctx context.Context, tx *record.Tx, intake string, acct mail.AccountID) ([]owed, error) {
	duties, err := tx.Duty.OfIntake(ctx, intake)
	if err != nil {
		return nil, err
	}
	var out []owed
	for _, d := range duties {
		if d.Account == acct && d.Placement != 0 {
			out = append(out, owed{d.Placement, d.State == duty.Seen})
		}
		if d.Group == 0 {
			continue
		}
		members, err := tx.Duty.Members(ctx, d.ID)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if m.Account == acct && m.Placement != 0 {
				out = append(out, owed{m.Placement, !m.SeenAt.IsZero()})
			}
		}
	}
	return out, nil
}
