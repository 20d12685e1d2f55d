package mirror

import (
	"context"
	"slices"

	"relais/internal/crashpoint"
	"relais/internal/fault"
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
		err := p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
			waiting = 0
			for _, s := range group {
				if s.out.Op == merge.Wait && underWay(s.duties) {
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
		return p.settleNothing(ctx, tx, s)
	case merge.FileHere:
		return p.restore(ctx, tx, s)
	case merge.TombstoneHere:
		return p.tombstone(ctx, tx, s)
	case merge.Unlink, merge.Relink:
		if err := tx.Link.Close(ctx, s.link.ID); err != nil {
			return err
		}
		if s.out.Op == merge.Relink && s.placement.Live() {
			return tx.Link.SetPending(ctx, p.acct.ID, s.placement.ID, tx.Now, link.ForFolder)
		}
		return p.clear(ctx, tx, s)
	case merge.AppendThere:
		// Not done (then the link is another one), or put off: what the primary lost has no counterpart.
		if s.link != nil && s.remote == gone {
			return tx.Link.Close(ctx, s.link.ID)
		}
	case merge.Wait:
		if s.link != nil && s.remote == gone {
			if err := tx.Link.Close(ctx, s.link.ID); err != nil {
				return err
			}
		}
		if p.mode.Appends && underWay(s.duties) {
			return tx.Link.SetPending(ctx, p.acct.ID, s.placement.ID, tx.Now.Add(laterWait), link.ForRelay)
		}
		return p.clear(ctx, tx, s)
	case merge.DeleteThere:
		if !s.deleted && s.remote == present {
			// A pull without push, or a refusal: the base says where it is, so that the deletion can be pushed later.
			return p.rebase(ctx, tx, s, p.primaryHas(s))
		}
	}
	return nil
}

func (p *pass) settleNothing(ctx context.Context, tx *record.Tx, s *subject) error {
	if s.link == nil {
		if !s.placement.Live() {
			if err := p.withdraw(ctx, tx, s); err != nil {
				return err
			}
		}
		return p.clear(ctx, tx, s)
	}
	if s.remote == present && s.folder != nil { // same mailbox, another UID
		if err := p.rebase(ctx, tx, s, p.primaryHas(s)); err != nil {
			return err
		}
	}
	return p.clear(ctx, tx, s)
}

// restore brings back a message that was deleted here and weighs more at the primary.
func (p *pass) restore(ctx context.Context, tx *record.Tx, s *subject) error {
	now, err := tx.Mailbox.Placement(ctx, s.placement.ID)
	if err != nil {
		return err
	}
	if !now.Live() { // else a person has restored it meanwhile
		_, err := tx.Mailbox.Restore(ctx, now.ID, s.out.Mailbox, mail.ByMirror)
		if fault.Is(err, fault.NotFound) {
			return fault.Wrap(err, fault.Temporary, "a mailbox was deleted meanwhile")
		}
		if err != nil {
			return err
		}
		if _, err := tx.Mailbox.SetFlags(ctx, now.ID, s.out.Flags, mail.ByMirror); err != nil {
			return err
		}
	}
	return p.rebase(ctx, tx, s, p.primaryHas(s))
}

// tombstone follows a deletion at the primary, unless a person changed the
// message since it was read, so that the change wins now.
func (p *pass) tombstone(ctx context.Context, tx *record.Tx, s *subject) error {
	if err := tx.Link.Close(ctx, s.link.ID); err != nil {
		return err
	}
	now, err := tx.Mailbox.Placement(ctx, s.placement.ID)
	if err != nil || !now.Live() {
		return err
	}
	in := s.in
	in.Standby = &merge.State{Mailbox: now.Mailbox, Flags: now.Flags}
	if p.judge(in).Op != merge.TombstoneHere {
		return tx.Link.SetPending(ctx, p.acct.ID, now.ID, tx.Now, link.ForFolder)
	}
	if _, err := tx.Mailbox.Expunge(ctx, now.ID, mail.ByMirror); err != nil {
		return err
	}
	return p.clear(ctx, tx, s)
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
		if _, err := tx.Mailbox.SetFlags(ctx, now.ID, bounded(now.Flags.Union(add).Without(remove)), mail.ByMirror); err != nil {
			return err
		}
	}
	if s.out.MoveHere && now.Mailbox == s.placement.Mailbox {
		_, err := tx.Mailbox.Move(ctx, now.ID, s.out.Mailbox, mail.ByMirror)
		if fault.Is(err, fault.NotFound) {
			return fault.Wrap(err, fault.Temporary, "a mailbox was deleted meanwhile")
		}
		if err != nil {
			return err
		}
	}
	if err := p.rebase(ctx, tx, s, p.primaryNow(s)); err != nil {
		return err
	}
	return p.clear(ctx, tx, s)
}

// primaryNow is what the primary has after writeThere.
func (p *pass) primaryNow(s *subject) merge.State {
	state := p.primaryHas(s)
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
	before := l
	l.Base, l.BaseMailbox = state.Flags, state.Mailbox
	l.Unkept = l.Unkept.Union(s.unkept)
	l.Base = l.Base.Union(common(l.Unkept, s.out.Flags))
	if s.folder != nil {
		if s.moved && s.uid == 0 {
			// Not told where it went: the next pass finds it by content.
			if s.link != nil {
				if err := tx.Link.Close(ctx, s.link.ID); err != nil {
					return err
				}
			}
			s.later = true
			return tx.Link.SetPending(ctx, p.acct.ID, s.placement.ID, tx.Now.Add(laterWait), link.ForUID)
		}
		l.Folder, l.UID, l.UIDValidity = s.folder.folder.Key, s.uid, s.validityThere(p)
	}
	if !s.hash.IsZero() {
		l.ServerHash, l.ServerPrint = s.hash, s.print
	}
	if s.link == nil {
		opened, err := tx.Link.Open(ctx, l)
		if err != nil {
			return err
		}
		return p.seen(ctx, tx, s, opened.ID)
	}
	if l.Folder == before.Folder && l.UID == before.UID && l.UIDValidity == before.UIDValidity && l.Base.Equal(before.Base) &&
		l.BaseMailbox == before.BaseMailbox && l.Unkept.Equal(before.Unkept) && l.ServerHash == before.ServerHash {
		return p.seen(ctx, tx, s, l.ID)
	}
	opened, err := tx.Link.Rebase(ctx, l)
	if err != nil {
		return err
	}
	return p.seen(ctx, tx, s, opened.ID)
}

func common(f, g mail.Flags) mail.Flags { return f.Without(f.Without(g)) }
