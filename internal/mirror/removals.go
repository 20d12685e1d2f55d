package mirror

import (
	"context"

	"relais/internal/link"
	"relais/internal/record"
)

// lateCopy is a copy at the primary that takes the place of the one that is
// linked: the old server's queue delivered a message that the mirror had appended
// meanwhile, or a move by copying was cut short.
type lateCopy struct {
	subject *subject
	ours    link.Link
	arrival *arrival
}

// takeBack gives the link to the copy that came. The other one is removed once
// the session is free; flags and mailbox of the standby are pushed to the copy by
// the same pass.
func (p *pass) takeBack(ctx context.Context, c lateCopy) error {
	fresh := c.ours
	fresh.Folder, fresh.UIDValidity, fresh.UID = c.arrival.pair.folder.Key, c.arrival.pair.delta.Token.UIDValidity, c.arrival.msg.UID
	fresh.Base, fresh.BaseMailbox = c.arrival.msg.Flags, c.arrival.pair.folder.Mailbox
	fresh.ServerHash, fresh.ServerPrint, fresh.Appended = c.subject.hash, c.subject.print, false
	c.subject.link = nil // decide reads the new one
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if _, err := tx.Link.BeginIntent(ctx, removal(link.TakeBackIntent, c.ours)); err != nil {
			return err
		}
		_, err := tx.Link.Rebase(ctx, fresh)
		return err
	})
}

// removal is the intent to remove the message that a link names.
func removal(kind link.IntentKind, l link.Link) link.Intent {
	return link.Intent{Account: l.Account, Kind: kind, Placement: l.Placement, Folder: l.Folder, UIDValidity: l.UIDValidity, UIDNext: l.UID}
}

// finishRemovals removes copies of which others have taken the place and, once
// the server can, what it could only mark as deleted.
func (p *pass) finishRemovals(ctx context.Context) error {
	if !p.mode.Push {
		return nil
	}
	var open []link.Intent
	folders := map[int64]link.Folder{}
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		if open, err = tx.Link.OpenIntents(ctx, p.acct.ID); err != nil || len(open) == 0 {
			return err
		}
		rows, err := tx.Link.Folders(ctx, p.acct.ID)
		for _, f := range rows {
			folders[f.Key] = f
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, intent := range open {
		switch {
		case intent.Kind == link.TakeBackIntent, intent.Kind == link.ExpungeIntent && p.far.Caps().UIDPlus:
			err = p.remove(ctx, intent, folders[intent.Folder])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove carries out one removal. What can only be marked, or is refused, waits as
// an expunge: its message is passed over by scans and shown to people.
func (p *pass) remove(ctx context.Context, intent link.Intent, f link.Folder) error {
	outcome, waits := "done", false
	validity := f.UIDValidity
	if pr := p.byFolder[f.Key]; pr != nil && pr.delta != nil {
		validity = pr.delta.Token.UIDValidity
	}
	switch {
	case f.Key != 0 && validity == 0:
		return nil // made by a pass that was killed, and not yet looked at
	case f.Key == 0 || validity != intent.UIDValidity:
		outcome = "folder gone"
	default:
		pending, err := p.far.Delete(ctx, f.Name, []uint32{intent.UIDNext})
		why := refusedBy(err)
		if err != nil && why == nil {
			return err
		}
		if waits = pending || why != nil; why != nil {
			outcome = "refused: " + why.Words
		}
	}
	if waits && intent.Kind == link.ExpungeIntent {
		return nil
	}
	id := remoteID{intent.Folder, intent.UIDValidity, intent.UIDNext}
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		delete(p.expunges, id)
		if waits {
			left := intent
			left.Kind = link.ExpungeIntent
			later, err := tx.Link.BeginIntent(ctx, left)
			if err != nil {
				return err
			}
			p.expunges[id] = later
		}
		return tx.Link.FinishIntent(ctx, intent.ID, outcome)
	})
}

// endExpunges notes what became of messages that waited to be expunged.
func (p *pass) endExpunges(ctx context.Context, undeleted, expunged []link.IntentID) error {
	if len(undeleted)+len(expunged) == 0 {
		return nil
	}
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, id := range undeleted {
			if err := tx.Link.FinishIntent(ctx, id, "no longer marked as deleted"); err != nil {
				return err
			}
		}
		for _, id := range expunged {
			if err := tx.Link.FinishIntent(ctx, id, "expunged"); err != nil {
				return err
			}
		}
		return nil
	})
}
