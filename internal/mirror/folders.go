package mirror

import (
	"context"
	"errors"
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
	byKey := map[int64]*link.Folder{}
	for i := range base {
		byKey[base[i].Key] = &base[i]
	}
	p.losses, p.lost = map[int64]merge.Loss{}, map[int64]bool{}
	for _, step := range plan.Steps {
		if err := p.folderStep(ctx, step, byKey); err != nil {
			return fmt.Errorf("folder %q: %w", step.Name, err)
		}
	}
	return p.pairUp(ctx, there)
}

// pairUp reads the folders again and joins them to what the primary lists.
func (p *pass) pairUp(ctx context.Context, there []Folder) error {
	names := map[string]Folder{}
	for _, t := range there {
		names[t.Name] = t
	}
	p.there = names
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
			pr := &pair{folder: f, there: names[f.Name], role: box.Role, boxGone: box.DeletedModseq != 0,
				lost: p.lost[f.Key], loss: p.losses[f.Key]}
			p.pairs = append(p.pairs, pr)
			p.byBox[f.Mailbox], p.byFolder[f.Key] = pr, pr
		}
		return nil
	})
}

// folderStep carries out one step of the plan. Steps towards the primary wait while the mode does not push.
func (p *pass) folderStep(ctx context.Context, step merge.FolderStep, byKey map[int64]*link.Folder) error {
	base := byKey[step.Base.Key]
	switch step.Op {
	case merge.MakeHere:
		if !p.mode.Pull {
			return nil
		}
		return p.makeHere(ctx, step)
	case merge.Join:
		return p.join(ctx, step.There, step.Here.ID, step.Here.Name)
	case merge.MakeThere:
		return p.makeThere(ctx, step)
	case merge.RenameHere:
		if !p.mode.Pull {
			return nil
		}
		return p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error {
			if err := renameHere(ctx, tx, base.Mailbox, step.Name); err != nil {
				return err
			}
			base.Name, base.BaseName = step.There.Name, step.Name
			return tx.Link.ChangeFolder(ctx, *base)
		})
	case merge.RenameThere:
		return p.renameThere(ctx, step, base)
	case merge.ResetFolder:
		p.losses[base.Key] = merge.Reset
	case merge.LostFolder:
		p.losses[base.Key], p.lost[base.Key] = merge.Reset, true
	case merge.GoneThere:
		p.losses[base.Key], p.lost[base.Key] = merge.FolderGone, true
	case merge.GoneHere:
		return p.goneHere(ctx, base)
	case merge.Forget:
		return p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error { return tx.Link.CloseFolder(ctx, base.Key) })
	}
	return nil
}

func (p *pass) updateHere(ctx context.Context, fn func(context.Context, *record.Tx) error) error {
	return p.s.Store.Update(ctx, fn)
}

// makeHere makes the mailbox for a folder that is new at the primary, and takes over its special use if no mailbox has it yet.
func (p *pass) makeHere(ctx context.Context, step merge.FolderStep) error {
	var box mailbox.Mailbox
	err := p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		box, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: p.acct.ID, Name: step.Name, Origin: mail.ByMirror})
		if fault.Is(err, fault.Conflict) {
			box, err = tx.Mailbox.MailboxByName(ctx, p.acct.ID, step.Name)
		}
		if err != nil {
			return err
		}
		return openFolder(ctx, tx, p.acct.ID, step.There, box)
	})
	if fault.Is(err, fault.Invalid) {
		return p.refuse(ctx, refusal{operation: "create mailbox here", words: fault.Public(err)})
	}
	return err
}

func (p *pass) join(ctx context.Context, there merge.FolderThere, id mail.MailboxID, name string) error {
	return p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error {
		return openFolder(ctx, tx, p.acct.ID, there, mailbox.Mailbox{ID: id, Name: name})
	})
}

func openFolder(ctx context.Context, tx *record.Tx, acct mail.AccountID, there merge.FolderThere, box mailbox.Mailbox) error {
	_, err := tx.Link.OpenFolder(ctx, link.Folder{Account: acct, Name: there.Name, Mailbox: box.ID, BaseName: box.Name,
		Role: there.Role, ObjectID: there.ObjectID, NoSelect: there.NoSelect, Token: link.Token{UIDValidity: there.UIDValidity}})
	return err
}

// makeThere makes a folder for a mailbox that is new here. Its UIDVALIDITY is learned by the first scan.
func (p *pass) makeThere(ctx context.Context, step merge.FolderStep) error {
	if !p.mode.Push {
		return nil
	}
	err := p.far.CreateFolder(ctx, step.Name, step.Here.Role)
	if refused, ok := errors.AsType[*Refused](err); ok && refused.Code != "ALREADYEXISTS" {
		return p.refuse(ctx, refusal{operation: "create folder", words: refused.Words, code: refused.Code, name: step.Name})
	} else if !ok && err != nil {
		return err
	}
	if err := p.far.Subscribe(ctx, step.Name, true); err != nil {
		if _, ok := errors.AsType[*Refused](err); !ok {
			return err
		}
	}
	return p.join(ctx, merge.FolderThere{Name: step.Name, Role: step.Here.Role}, step.Here.ID, step.Here.Name)
}

func (p *pass) renameThere(ctx context.Context, step merge.FolderStep, base *link.Folder) error {
	if !p.mode.Push {
		return nil
	}
	err := p.far.RenameFolder(ctx, step.There.Name, step.Name)
	if refused, ok := errors.AsType[*Refused](err); ok {
		return p.refuse(ctx, refusal{operation: "rename folder", words: refused.Words, code: refused.Code, name: step.Name})
	}
	if err != nil {
		return err
	}
	return p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error {
		base.Name, base.BaseName = step.Name, step.Here.Name
		return tx.Link.ChangeFolder(ctx, *base)
	})
}

// renameHere renames a mailbox unless it has the name already (its parent was renamed first).
func renameHere(ctx context.Context, tx *record.Tx, id mail.MailboxID, name string) error {
	box, err := tx.Mailbox.Mailbox(ctx, id)
	if err != nil || box.Name == name {
		return err
	}
	_, err = tx.Mailbox.RenameMailbox(ctx, id, name, mail.ByMirror)
	return err
}

// goneHere marks the folder of a mailbox that was deleted here: it is deleted at
// the primary after its messages, unless something new has come into it there.
// Then the mailbox is made again.
func (p *pass) goneHere(ctx context.Context, base *link.Folder) error {
	if !p.mode.Push {
		return nil
	}
	delta, err := p.far.Scan(ctx, base.Name, tokenOf(base.Token))
	if err != nil {
		return err
	}
	for _, item := range delta.Items {
		if item.UID >= base.UIDNext || delta.Reset {
			return p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error {
				box, err := tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: p.acct.ID, Name: base.BaseName, Origin: mail.ByMirror})
				if err != nil {
					return err
				}
				base.Mailbox = box.ID
				return tx.Link.ChangeFolder(ctx, *base)
			})
		}
	}
	p.dropThere = append(p.dropThere, base)
	return nil
}

// dropFolders ends the folders that are gone on one side, now that every message
// in them has been decided: those deleted here are deleted at the primary, the
// mailboxes of those deleted there get their tombstone unless they still hold something.
func (p *pass) dropFolders(ctx context.Context) error {
	for _, base := range p.dropThere {
		err := p.far.DeleteFolder(ctx, base.Name)
		if refused, ok := errors.AsType[*Refused](err); ok && refused.Code != "NONEXISTENT" {
			if err := p.refuse(ctx, refusal{operation: "delete folder", words: refused.Words, code: refused.Code, name: base.Name}); err != nil {
				return err
			}
			continue
		} else if !ok && err != nil {
			return err
		}
		if err := p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error { return tx.Link.CloseFolder(ctx, base.Key) }); err != nil {
			return err
		}
	}
	for _, pr := range p.pairs {
		if !pr.lost || !p.mode.Pull {
			continue
		}
		err := p.updateHere(ctx, func(ctx context.Context, tx *record.Tx) error {
			if err := tx.Link.CloseFolder(ctx, pr.folder.Key); err != nil {
				return err
			}
			box, err := tx.Mailbox.Mailbox(ctx, pr.folder.Mailbox)
			if err != nil || box.Messages > 0 || box.Role != "" || pr.loss != merge.FolderGone {
				return err // kept: what is in it makes the folder again at the primary
			}
			return tx.Mailbox.DeleteMailbox(ctx, box.ID, mail.ByMirror)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sameUIDs tells whether the folder holds the UIDs that are linked to the base:
// enough of them are looked at to be sure, since UIDVALIDITY alone may coincide.
func (p *pass) sameUIDs(ctx context.Context, b merge.FolderBase, t merge.FolderThere) bool {
	delta, err := p.far.Scan(ctx, t.Name, Token{})
	if err != nil {
		return false
	}
	present := map[uint32]bool{}
	for _, item := range delta.Items {
		present[item.UID] = true
	}
	var linked []uint32
	err = p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		linked, err = tx.Link.UIDs(ctx, b.Key)
		return err
	})
	found := 0
	for _, uid := range linked {
		if present[uid] {
			found++
		}
	}
	return err == nil && found*10 >= len(linked)*9
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
