package mirror

import (
	"context"
	"fmt"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// joinFolders brings both trees of folders together and fills p.pairs.
func (p *pass) joinFolders(ctx context.Context) error {
	there, err := p.far.Folders(ctx)
	if err != nil {
		return err
	}
	var base []link.Folder
	var here []mailbox.Mailbox
	err = p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		if base, err = tx.Link.Folders(ctx, p.acct.ID); err != nil {
			return err
		}
		here, err = tx.Mailbox.Mailboxes(ctx, p.acct.ID)
		return err
	})
	if err != nil {
		return err
	}
	plan := merge.PlanFolders(folderBases(base), foldersThere(there), mailboxesHere(here), p.mode.Lead, p.far.Caps().CaseFolds,
		func(b merge.FolderBase, t merge.FolderThere) bool { return p.sameUIDs(ctx, b, t) })
	if plan.Empty {
		return p.trip(ctx, "the primary lists no mailbox at all", map[string]any{"known_folders": len(base)})
	}
	t := &tree{p: p, base: map[int64]*link.Folder{}, there: map[string]Folder{}, named: map[int64]bool{}}
	for i := range base {
		t.base[base[i].Key] = &base[i]
	}
	for _, f := range there {
		t.there[f.Name] = f
	}
	for _, step := range plan.Steps {
		if err := t.step(ctx, step); err != nil {
			return fmt.Errorf("folder %q: %w", step.Name, err)
		}
	}
	if err := t.takenAlong(ctx); err != nil {
		return err
	}
	if err := p.pairUp(ctx, t.there); err != nil {
		return err
	}
	return p.subscribe(ctx)
}

// pairUp reads the folders again and joins them to what the primary lists.
func (p *pass) pairUp(ctx context.Context, there map[string]Folder) error {
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		folders, err := tx.Link.Folders(ctx, p.acct.ID)
		if err != nil {
			return err
		}
		for _, f := range folders {
			box, err := tx.Mailbox.Mailbox(ctx, f.Mailbox)
			if err != nil {
				return err
			}
			pr := &pair{folder: f, there: there[f.Name], box: box, boxGone: box.DeletedModseq != 0,
				lost: p.lost[f.Key], loss: p.losses[f.Key]}
			p.pairs = append(p.pairs, pr)
			p.byBox[f.Mailbox], p.byFolder[f.Key] = pr, pr
		}
		return nil
	})
}

// subscribe brings subscriptions together: where both sides differ, one of them
// differs from the base and is the one that was changed.
func (p *pass) subscribe(ctx context.Context) error {
	for _, pr := range p.pairs {
		if pr.lost || pr.boxGone || pr.there.Name == "" {
			continue
		}
		base, there, here := pr.folder.Subscribed, pr.there.Subscribed, pr.box.Subscribed
		if there == base && here == base || there == base && !p.mode.Push {
			continue
		}
		if there == base {
			err := p.far.Subscribe(ctx, pr.folder.Name, here)
			if refusedBy(err) != nil {
				continue // nothing that a person would miss
			}
			if err != nil {
				return err
			}
		}
		err := p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
			if there != base {
				_, err := tx.Mailbox.SetSubscribed(ctx, pr.box.ID, there, mail.ByMirror)
				if err != nil && !fault.Is(err, fault.NotFound) {
					return err
				}
			}
			return tx.Link.SetSubscribed(ctx, pr.folder.Key, !base)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sameUIDs tells whether the folder goes on with what the base knows: UIDVALIDITY
// alone may coincide, so nearly all that it holds of the time before must be linked to the base.
func (p *pass) sameUIDs(ctx context.Context, b merge.FolderBase, t merge.FolderThere) bool {
	delta, err := p.far.Scan(ctx, t.Name, Token{})
	if err != nil {
		return false
	}
	linked := map[uint32]bool{}
	err = p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		uids, err := tx.Link.UIDs(ctx, b.Key)
		for _, uid := range uids {
			linked[uid] = true
		}
		return err
	})
	old, known := 0, 0
	for _, item := range delta.Items {
		if item.UID >= b.UIDNext {
			continue
		}
		_, waits := p.expunges[remoteID{b.Key, b.UIDValidity, item.UID}]
		if old++; linked[item.UID] || waits {
			known++
		}
	}
	return err == nil && known*10 >= old*9
}

func folderBases(rows []link.Folder) []merge.FolderBase {
	out := make([]merge.FolderBase, len(rows))
	for i, f := range rows {
		out[i] = merge.FolderBase{Key: f.Key, Name: f.Name, Mailbox: f.Mailbox, BaseName: f.BaseName, ObjectID: f.ObjectID,
			UIDValidity: f.UIDValidity, UIDNext: f.UIDNext, NoSelect: f.NoSelect}
	}
	return out
}

func foldersThere(list []Folder) []merge.FolderThere {
	out := make([]merge.FolderThere, len(list))
	for i, f := range list {
		out[i] = merge.FolderThere{Name: f.Name, Role: f.Role, ObjectID: f.ObjectID, UIDValidity: f.Token.UIDValidity,
			UIDNext: f.Token.UIDNext, NoSelect: f.NoSelect}
	}
	return out
}

func mailboxesHere(list []mailbox.Mailbox) []merge.MailboxHere {
	out := make([]merge.MailboxHere, len(list))
	for i, m := range list {
		out[i] = merge.MailboxHere{ID: m.ID, Name: m.Name, Role: m.Role, Shown: !m.ByRelais || m.Messages > 0}
	}
	return out
}

// discards tells whether people empty such a mailbox every day: its expunges are no alarm.
func discards(r mail.Role) bool { return r == mail.Trash || r == mail.Junk }

func tokenOf(t link.Token) Token {
	return Token{UIDValidity: t.UIDValidity, UIDNext: t.UIDNext, HighestModseq: t.HighestModseq, Messages: t.Messages}
}
