package mirror

import (
	"context"
	"slices"

	"relais/internal/link"
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
		for id, w := range p.pending {
			switch {
			case !w.Due.After(tx.Now), w.Why == link.ForQuiet && p.mode.Appends:
				p.subjectOf(id)
			case w.Why != link.WasRefused:
				p.waiting++
			}
		}
		if !p.state.Unlinked() && !p.refusing {
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
	ids := make([]mail.PlacementID, 0, len(p.subjects))
	for id := range p.subjects {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	// A snapshot for each part: a view of all would keep the writer's log from being emptied.
	for part := range slices.Chunk(ids, rowsAtOnce) {
		err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error { return p.decideSome(ctx, tx, part) })
		if err != nil {
			return err
		}
	}
	return p.reviveFor(ctx)
}

func (p *pass) decideSome(ctx context.Context, tx *record.Tx, ids []mail.PlacementID) error {
	placements, err := tx.Mailbox.PlacementsByID(ctx, ids)
	if err != nil {
		return err
	}
	links, err := tx.Link.OfPlacements(ctx, ids)
	if err != nil {
		return err
	}
	duties, err := tx.Duty.OfPlacements(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		s := p.subjects[id]
		placement, ok := placements[id]
		if !ok {
			delete(p.subjects, id) // erased by retention
			continue
		}
		s.placement = placement
		if l, linked := links[id]; linked && s.link == nil {
			s.link = &l
		}
		s.duties = openDuties(duties[id])
		s.in = p.input(s, tx)
		s.out = p.judge(s.in)
	}
	return nil
}

// judge asks package merge, and turns a deletion into its undoing where a person has refused it.
func (p *pass) judge(in merge.Input) merge.Outcome {
	out := merge.Decide(in)
	out.Flags = bounded(out.Flags)
	if !p.refusing {
		return out
	}
	switch out.Op {
	case merge.TombstoneHere:
		return merge.Outcome{Op: merge.AppendThere, Flags: in.Standby.Flags, Mailbox: in.Standby.Mailbox}
	case merge.DeleteThere:
		return merge.Outcome{Op: merge.FileHere, Flags: in.Primary.Flags, Mailbox: in.Primary.Mailbox}
	}
	return out
}

// input gathers the three points from which a subject is seen.
func (p *pass) input(s *subject, tx *record.Tx) merge.Input {
	in := merge.Input{Lead: p.mode.Lead, Loss: s.loss}
	if s.link != nil {
		in.Base = &merge.State{Mailbox: p.baseMailbox(s.link), Flags: s.link.Base}
		in.Unkept = s.link.Unkept
	}
	switch {
	case s.remote == present:
		there := s.there
		in.Primary = &there
	case s.remote == untouched && s.link != nil:
		in.Primary = &merge.State{Mailbox: in.Base.Mailbox, Flags: s.link.Base.Without(s.link.Unkept)}
	}
	if s.placement.Live() {
		in.Standby = &merge.State{Mailbox: s.placement.Mailbox, Flags: s.placement.Flags}
	} else if s.link == nil && s.relayed {
		// Both sides got it from us and a person has deleted it here: a deletion, not a new message there.
		in.Base = in.Primary
	}
	if in.Primary == nil && in.Standby != nil {
		in.RelayOwns = slices.ContainsFunc(s.duties, func(d openDuty) bool { return p.ownedByRelay(d.Duty, tx.Now) })
	}
	return in
}

// baseMailbox is the mailbox that stands for the folder of a link. It follows the
// folder when a person deleted the mailbox and the mirror made it again.
func (p *pass) baseMailbox(l *link.Link) mail.MailboxID {
	if pr := p.byFolder[l.Folder]; pr != nil {
		return pr.folder.Mailbox
	}
	return l.BaseMailbox
}

// restingDraft tells whether a message is a draft that somebody is still writing.
func (p *pass) restingDraft(s *subject) bool {
	if p.mode.Lead == merge.StandbyLeads || p.mode.Appends {
		return false
	}
	drafts := s.placement.Flags.Has(mail.Draft)
	if pr := p.byBox[s.placement.Mailbox]; pr != nil && pr.box.Role == mail.Drafts {
		drafts = true
	}
	return drafts && p.s.Clock.Now().Sub(s.placement.CreatedAt) < p.s.DraftQuiet
}
