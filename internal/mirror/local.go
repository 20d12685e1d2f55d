package mirror

import (
	"context"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// changesAtOnce bounds how many rows of the change list are read in one go.
const changesAtOnce = 2000

// readLocal makes subjects of what changed here since the last merge: what
// people did, what waited until now and, when the account has messages without
// a counterpart, all of these.
func (p *pass) readLocal(ctx context.Context) error {
	if !p.mode.Push {
		return nil
	}
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		for after := p.state.MergedModseq; after < p.until; {
			changes, err := tx.Mailbox.Changes(ctx, p.acct.ID, after, changesAtOnce)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				break
			}
			for _, c := range changes {
				after = c.Modseq
				if c.Placement != 0 && c.Origin != mail.ByMirror {
					p.subjectOf(c.Placement)
				}
			}
		}
		due, later, err := tx.Link.Pending(ctx, p.acct.ID, tx.Now)
		if err != nil {
			return err
		}
		p.waiting += later
		for _, id := range due {
			p.subjectOf(id)
		}
		if !p.state.Unlinked && !p.refusing {
			return nil
		}
		unlinked, err := tx.Link.Unlinked(ctx, p.acct.ID)
		for _, id := range unlinked {
			p.subjectOf(id)
		}
		return err
	})
}

// decide completes every subject and asks package merge what to do about it.
func (p *pass) decide(ctx context.Context) error {
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		for id, s := range p.subjects {
			placement, err := tx.Mailbox.Placement(ctx, id)
			if fault.Is(err, fault.NotFound) {
				delete(p.subjects, id) // erased by retention
				continue
			}
			if err != nil {
				return err
			}
			s.placement = placement
			if s.link == nil {
				l, ok, err := tx.Link.ByPlacement(ctx, id)
				if err != nil {
					return err
				}
				if ok {
					s.link = &l
				}
			}
			in, err := p.input(ctx, tx, s)
			if err != nil {
				return err
			}
			s.out = merge.Decide(in)
			if p.refusing {
				s.out = refusing(s.out, in)
			}
		}
		return nil
	})
}

// input gathers the three points from which a subject is seen.
func (p *pass) input(ctx context.Context, tx *record.Tx, s *subject) (merge.Input, error) {
	in := merge.Input{Lead: p.mode.Lead, Loss: s.loss}
	if s.link != nil {
		in.Base = &merge.State{Mailbox: s.link.BaseMailbox, Flags: s.link.Base}
		in.Unkept = s.link.Unkept
	}
	switch {
	case s.remote == present:
		in.Primary = &s.there
	case s.remote == untouched && s.link != nil:
		in.Primary = &merge.State{Mailbox: s.link.BaseMailbox, Flags: s.link.Base.Without(s.link.Unkept)}
	}
	if s.placement.Live() {
		in.Standby = &merge.State{Mailbox: s.placement.Mailbox, Flags: s.placement.Flags}
	}
	if in.Primary == nil && in.Standby != nil {
		owned, err := p.relayOwns(ctx, tx, s.placement.ID)
		if err != nil {
			return in, err
		}
		in.RelayOwns = owned
	}
	return in, nil
}

// refusing turns a deletion into its undoing: a person has refused it.
func refusing(out merge.Outcome, in merge.Input) merge.Outcome {
	switch out.Op {
	case merge.TombstoneHere:
		return merge.Outcome{Op: merge.AppendThere, Flags: in.Standby.Flags, Mailbox: in.Standby.Mailbox}
	case merge.DeleteThere:
		return merge.Outcome{Op: merge.FileHere, Flags: in.Primary.Flags, Mailbox: in.Primary.Mailbox}
	}
	return out
}

// restingDraft tells whether a message is a draft that somebody is still writing.
func (p *pass) restingDraft(s *subject) bool {
	if p.mode.Lead == merge.StandbyLeads || p.mode.Appends {
		return false
	}
	drafts := s.placement.Flags.Has(mail.Draft)
	if pr := p.byBox[s.placement.Mailbox]; pr != nil && pr.role == mail.Drafts {
		drafts = true
	}
	return drafts && p.s.Clock.Now().Sub(s.placement.CreatedAt) < p.s.DraftQuiet
}
