package mirror

import (
	"context"
	"errors"

	"relais/internal/link"
	"relais/internal/record"
)

// takeBack handles a late copy: the old server's queue delivered a message that
// the mirror had appended meanwhile. The delivered copy gets the link, our
// append is removed once the session is free; flags and mailbox of the standby
// are pushed to the copy by the same pass.
func (p *pass) takeBack(ctx context.Context, s *subject, ours link.Link, a arrival) error {
	fresh := ours
	fresh.Folder, fresh.UIDValidity, fresh.UID = a.pair.folder.Key, a.pair.delta.Token.UIDValidity, a.msg.UID
	fresh.Base, fresh.BaseMailbox = a.msg.Flags, a.pair.folder.Mailbox
	fresh.ServerHash, fresh.ServerPrint, fresh.Appended = a.facts.Fingerprint.Raw, a.facts.Fingerprint.Content, false
	err := p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if _, err := tx.Link.BeginIntent(ctx, link.Intent{Account: p.acct.ID, Kind: link.TakeBackIntent, Placement: ours.Placement,
			Folder: ours.Folder, UIDValidity: ours.UIDValidity, UIDNext: ours.UID}); err != nil {
			return err
		}
		return tx.Link.Rebase(ctx, fresh)
	})
	if err != nil {
		return err
	}
	s.link = nil // decide reads the new one
	return nil
}

// finishTakeBacks removes appends whose late copy has taken their place.
func (p *pass) finishTakeBacks(ctx context.Context) error {
	if !p.mode.Push {
		return nil
	}
	var open []link.Intent
	folders := map[int64]link.Folder{}
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		if open, err = tx.Link.OpenIntents(ctx, p.acct.ID, link.TakeBackIntent); err != nil || len(open) == 0 {
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
		outcome := "done"
		f, ok := folders[intent.Folder]
		if !ok || f.UIDValidity != intent.UIDValidity {
			outcome = "folder gone"
		} else if _, err := p.far.Delete(ctx, f.Name, []uint32{intent.UIDNext}); err != nil {
			refused, ok := errors.AsType[*Refused](err)
			if !ok {
				return err
			}
			outcome = "refused: " + refused.Words
		}
		if err := p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			return tx.Link.FinishIntent(ctx, intent.ID, outcome)
		}); err != nil {
			return err
		}
	}
	return nil
}
