package mirror

import (
	"context"
	"slices"

	"relais/internal/crashpoint"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// rowsAtOnce bounds the messages that one transaction settles.
const rowsAtOnce = 200

// writeHere brings the record to what was decided and sets the new base to what
// the primary has now, message by message in the same transaction.
func (p *pass) writeHere(ctx context.Context) error {
	all := p.ordered(func(*subject) bool { return true })
	for group := range slices.Chunk(all, rowsAtOnce) {
		waiting := 0
		err := p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			waiting = 0
			for _, s := range group {
				if s.out.Op == merge.Wait {
					waiting++
				}
				if err := p.settle(ctx, tx, s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.waiting += waiting
		crashpoint.Hit(crashpoint.MirrorSettled)
	}
	return nil
}

// settle writes one subject's outcome into the record.
func (p *pass) settle(ctx context.Context, tx *record.Tx, s *subject) error {
	switch s.out.Op {
	case merge.Link, merge.Update:
		return p.agree(ctx, tx, s)
	case merge.Nothing:
		if s.remote == present && s.link != nil && s.folder != nil {
			return p.rebase(ctx, tx, s, s.primaryHas()) // same mailbox, another UID
		}
		if s.link != nil {
			return tx.Link.ClearPending(ctx, s.placement.ID)
		}
	case merge.FileHere:
		if !p.mode.Pull {
			return nil
		}
		if _, err := tx.Mailbox.Restore(ctx, s.placement.ID, s.out.Mailbox, mail.ByMirror); err != nil {
			return err
		}
		if _, err := tx.Mailbox.SetFlags(ctx, s.placement.ID, s.out.Flags, mail.ByMirror); err != nil {
			return err
		}
		return p.rebase(ctx, tx, s, s.primaryHas())
	case merge.TombstoneHere:
		if !p.mode.Pull {
			return nil
		}
		if _, err := tx.Mailbox.Expunge(ctx, s.placement.ID, mail.ByMirror); err != nil {
			return err
		}
		return tx.Link.Close(ctx, s.link.ID)
	case merge.Unlink, merge.Relink:
		return tx.Link.Close(ctx, s.link.ID)
	}
	return nil
}

// agree applies flags and mailbox of a message that both sides have. A person
// may have changed it since it was read: what the merge decided is then applied
// as a difference, and the next pass does the rest, since that change is newer
// than the point up to which this pass merges.
func (p *pass) agree(ctx context.Context, tx *record.Tx, s *subject) error {
	now, err := tx.Mailbox.Placement(ctx, s.placement.ID)
	if err != nil {
		return err
	}
	if !now.Live() {
		return p.rebase(ctx, tx, s, p.primaryNow(s))
	}
	if s.out.FlagsHere {
		add, remove := s.out.Flags.Without(s.placement.Flags), s.placement.Flags.Without(s.out.Flags)
		if _, err := tx.Mailbox.SetFlags(ctx, now.ID, now.Flags.Union(add).Without(remove), mail.ByMirror); err != nil {
			return err
		}
	}
	if s.out.MoveHere && now.Mailbox == s.placement.Mailbox {
		if _, err := tx.Mailbox.Move(ctx, now.ID, s.out.Mailbox, mail.ByMirror); err != nil {
			return err
		}
	}
	if err := p.rebase(ctx, tx, s, p.primaryNow(s)); err != nil {
		return err
	}
	if s.later {
		return nil
	}
	return tx.Link.ClearPending(ctx, s.placement.ID)
}

// primaryNow is what the primary has after writeThere.
func (p *pass) primaryNow(s *subject) merge.State {
	state := s.primaryHas()
	if s.flagged {
		state.Flags = s.out.Flags.Without(s.unkept)
	}
	if s.moved {
		state.Mailbox = s.out.Mailbox
	}
	return state
}

// rebase sets the base of a subject to the primary's state, in a new link when it had none.
func (p *pass) rebase(ctx context.Context, tx *record.Tx, s *subject, state merge.State) error {
	l := link.Link{Account: p.acct.ID, Placement: s.placement.ID}
	if s.link != nil {
		l = *s.link
	}
	l.Base, l.BaseMailbox = state.Flags, state.Mailbox
	l.Unkept = l.Unkept.Union(s.unkept)
	l.Base = l.Base.Union(common(l.Unkept, s.out.Flags))
	if s.folder != nil {
		if s.moved && s.uid == 0 {
			if s.link == nil {
				return nil // not told where it went: the next pass finds it by content
			}
			return tx.Link.Close(ctx, s.link.ID)
		}
		l.Folder, l.UID, l.UIDValidity = s.folder.folder.Key, s.uid, s.validityThere()
	}
	if !s.hash.IsZero() {
		l.ServerHash = s.hash
	}
	if s.link != nil {
		return tx.Link.Rebase(ctx, l)
	}
	opened, err := tx.Link.Open(ctx, l)
	if err != nil {
		return err
	}
	return seen(ctx, tx, p.acct.ID, s.placement.ID, opened.ID)
}

// validityThere is the UIDVALIDITY of the folder where the primary has the message.
func (s *subject) validityThere() uint32 {
	switch {
	case s.validity != 0:
		return s.validity
	case s.folder.delta != nil:
		return s.folder.delta.Token.UIDValidity
	}
	return s.folder.there.Token.UIDValidity
}

func common(f, g mail.Flags) mail.Flags { return f.Without(f.Without(g)) }
