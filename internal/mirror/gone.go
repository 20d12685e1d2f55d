package mirror

import (
	"context"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// goneHere looks at the folder of a mailbox that was deleted here: it is deleted
// at the primary after its messages, unless something new has come into it there.
// Then the mailbox is made again.
func (t *tree) goneHere(ctx context.Context, base *link.Folder, name string) error {
	if base.Name != name { // should it be made again, then under its new name
		base.BaseName = merge.Unescape(name)
	}
	if err := t.follow(ctx, base, name); err != nil {
		return err
	}
	if !t.p.mode.Push || t.there[name].NoSelect || t.p.refusedLately(deleteFolder, name) != nil {
		return nil
	}
	delta, err := t.p.far.Scan(ctx, base.Name, tokenOf(base.Token))
	if why := refusedBy(err); why != nil {
		return t.p.refuseFolder(ctx, deleteFolder, base.Name, why)
	}
	if err != nil {
		return err
	}
	for _, item := range delta.Items {
		if item.UID >= base.UIDNext || delta.Reset {
			return t.p.revive(ctx, base)
		}
	}
	return nil
}

const deleteFolder = "delete folder"

// revive makes the mailbox of a folder again: a person deleted it here, and at the
// primary something in it weighs more.
func (p *pass) revive(ctx context.Context, f *link.Folder) error {
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		now, err := tx.Mailbox.Mailbox(ctx, f.Mailbox)
		if err != nil || now.DeletedModseq == 0 {
			return err
		}
		name := f.BaseName
		box, err := tx.Mailbox.MailboxByName(ctx, p.acct.ID, name)
		if err == nil {
			joined, jerr := joinedTo(ctx, tx, p.acct.ID, box.ID)
			if jerr != nil {
				return jerr
			}
			if joined != 0 {
				if name, err = freeName(ctx, tx, p.acct.ID, name); err == nil {
					err = fault.New(fault.NotFound, "no such mailbox")
				}
			}
		}
		if fault.Is(err, fault.NotFound) {
			box, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: p.acct.ID, Name: name, Origin: mail.ByMirror})
		}
		if err != nil {
			return err
		}
		f.Mailbox, f.BaseName = box.ID, box.Name
		return tx.Link.ChangeFolder(ctx, *f)
	})
}

// reviveFor makes again the deleted mailboxes into which the outcome of a subject would put something.
func (p *pass) reviveFor(ctx context.Context) error {
	for _, s := range p.subjects {
		switch s.out.Op {
		case merge.FileHere, merge.AppendThere, merge.Link, merge.Update:
		default:
			continue
		}
		pr := p.byBox[s.out.Mailbox]
		if pr == nil || !pr.boxGone {
			continue
		}
		if err := p.revive(ctx, &pr.folder); err != nil {
			return err
		}
		pr.boxGone = false
		p.byBox[pr.folder.Mailbox] = pr
		err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
			pr.box, err = tx.Mailbox.Mailbox(ctx, pr.folder.Mailbox)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, s := range p.subjects {
		if pr := p.byBox[s.out.Mailbox]; pr != nil {
			s.out.Mailbox = pr.folder.Mailbox
		}
	}
	return nil
}

// dropFolders ends the folders that are gone on one side, now that every message
// in them has been decided: those deleted here are deleted at the primary, the
// mailboxes of those deleted there get their tombstone unless they still hold something.
func (p *pass) dropFolders(ctx context.Context) error {
	for i := len(p.pairs) - 1; i >= 0; i-- { // those below others first
		pr := p.pairs[i]
		var err error
		switch {
		case pr.lost:
			err = p.dropHere(ctx, pr)
		case pr.boxGone && p.mode.Push:
			err = p.dropThere(ctx, pr)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropThere deletes a folder whose mailbox was deleted here, if it is empty: its
// messages were deleted one by one, and what came in at this moment stays.
func (p *pass) dropThere(ctx context.Context, pr *pair) error {
	if p.refusedLately(deleteFolder, pr.folder.Name) != nil {
		return nil
	}
	if !pr.there.NoSelect {
		left, err := p.far.Scan(ctx, pr.folder.Name, Token{})
		if why := refusedBy(err); why != nil {
			return p.refuseFolder(ctx, deleteFolder, pr.folder.Name, why)
		}
		if err != nil {
			return err
		}
		if len(left.Items) > 0 && !p.onlyExpunges(pr, left.Items) {
			p.waiting++
			return nil
		}
	}
	err := p.far.DeleteFolder(ctx, pr.folder.Name)
	if why := refusedBy(err); why != nil && why.Code != "NONEXISTENT" {
		return p.refuseFolder(ctx, deleteFolder, pr.folder.Name, why)
	} else if why == nil && err != nil {
		return err
	}
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		return tx.Link.CloseFolder(ctx, pr.folder.Key)
	})
}

// onlyExpunges tells whether all that is left are messages that wait to be expunged.
func (p *pass) onlyExpunges(pr *pair, items []Item) bool {
	for _, item := range items {
		if _, waits := p.expunges[remoteID{pr.folder.Key, pr.folder.UIDValidity, item.UID}]; !waits {
			return false
		}
	}
	return true
}

// dropHere ends a folder that the primary has no more.
func (p *pass) dropHere(ctx context.Context, pr *pair) error {
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Link.CloseFolder(ctx, pr.folder.Key); err != nil {
			return err
		}
		box, err := tx.Mailbox.Mailbox(ctx, pr.folder.Mailbox)
		if err != nil || box.Messages > 0 || box.Role != "" || pr.loss != merge.FolderGone || box.DeletedModseq != 0 {
			return err // kept: what is in it makes the folder again at the primary
		}
		below, err := hasBelow(ctx, tx, box)
		if err != nil || below {
			return err
		}
		return tx.Mailbox.DeleteMailbox(ctx, box.ID, mail.ByMirror)
	})
}

// hasBelow tells whether mailboxes stand below this one.
func hasBelow(ctx context.Context, tx *record.Tx, box mailbox.Mailbox) (bool, error) {
	all, err := tx.Mailbox.Mailboxes(ctx, box.Account)
	for _, m := range all {
		if len(m.Name) > len(box.Name) && m.Name[:len(box.Name)] == box.Name && m.Name[len(box.Name)] == '/' {
			return true, err
		}
	}
	return false, err
}
