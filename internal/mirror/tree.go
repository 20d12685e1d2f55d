package mirror

import (
	"context"
	"fmt"
	"strings"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// tree carries out a plan about folders.
type tree struct {
	p     *pass
	base  map[int64]*link.Folder
	there map[string]Folder // what the primary lists, by name
	// renamed is what was renamed there by this plan.
	renamed []renaming
	named   map[int64]bool // folders whose own step gave them their name
}

type renaming struct{ from, to string }

// nameNow is the name of a folder after what was renamed by this plan.
func (t *tree) nameNow(name string) string {
	for _, r := range t.renamed {
		if below, ok := strings.CutPrefix(name, r.from+"/"); ok {
			name = r.to + "/" + below
		}
	}
	return name
}

// step carries out one step. Those towards the primary wait while the mode does not push.
func (t *tree) step(ctx context.Context, step merge.FolderStep) error {
	base := t.base[step.Base.Key]
	switch step.Op {
	case merge.Rejoin:
		return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
			base.Mailbox, base.BaseName = step.Here.ID, step.Here.Name
			return tx.Link.ChangeFolder(ctx, *base)
		})
	case merge.MakeHere, merge.Join:
		switch {
		case t.nameNow(step.There.Name) != step.There.Name, t.ending(step.There.Name): // the next pass sees it
			t.p.waiting++
			return nil
		case step.Op == merge.Join:
			return t.join(ctx, step)
		}
		return t.makeHere(ctx, step)
	case merge.MakeThere:
		return t.makeThere(ctx, step)
	case merge.RenameHere:
		return t.renameHere(ctx, step, base)
	case merge.RenameThere:
		return t.renameThere(ctx, step, base)
	case merge.ResetFolder:
		t.p.losses[base.Key] = merge.Reset
	case merge.LostFolder:
		t.p.losses[base.Key], t.p.lost[base.Key] = merge.Reset, true
	case merge.GoneThere:
		t.p.losses[base.Key], t.p.lost[base.Key] = merge.FolderGone, true
	case merge.GoneHere:
		return t.goneHere(ctx, base, t.nameNow(step.There.Name))
	case merge.Forget:
		delete(t.base, base.Key)
		return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error { return tx.Link.CloseFolder(ctx, base.Key) })
	}
	return nil
}

// makeHere makes the mailbox for a folder that is new at the primary, and takes
// over its special use if no mailbox has it yet. A name that only differs there,
// by its Unicode form say, gets a number here.
func (t *tree) makeHere(ctx context.Context, step merge.FolderStep) error {
	err := t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		box, err := tx.Mailbox.MailboxByName(ctx, t.p.acct.ID, step.Name)
		if fault.Is(err, fault.NotFound) {
			box, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: t.p.acct.ID, Name: step.Name, Origin: mail.ByMirror})
		} else if err == nil {
			joined, jerr := joinedTo(ctx, tx, t.p.acct.ID, box.ID)
			if jerr != nil {
				return jerr
			}
			if t.p.lost[joined] { // until the end of this pass: the next one sees
				t.p.waiting++
				return nil
			}
			if joined != 0 { // to another folder
				var name string
				if name, err = freeName(ctx, tx, t.p.acct.ID, step.Name); err == nil {
					box, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: t.p.acct.ID, Name: name, Origin: mail.ByMirror})
				}
			}
		}
		if err != nil {
			return err
		}
		if role := step.There.Role; role != "" && box.Role == "" {
			if _, err := tx.Mailbox.SetRole(ctx, box.ID, role, mail.ByMirror); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Denied) {
				return err
			}
		}
		return t.open(ctx, tx, step.There, box)
	})
	if fault.Is(err, fault.Invalid) { // a name that this side can't hold
		return t.p.refuseFolder(ctx, "create mailbox here", step.Name, &Refused{Words: fault.Public(err)})
	}
	return err
}

// join files a pair of folder and mailbox that were there on both sides.
func (t *tree) join(ctx context.Context, step merge.FolderStep) error {
	return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		box, loose, err := t.stillLoose(ctx, tx, step.Here)
		if err != nil || !loose {
			return err
		}
		return t.open(ctx, tx, step.There, box)
	})
}

// stillLoose tells whether a mailbox is as the plan saw it: earlier steps may have
// renamed it along with its parent or joined it. The next pass sees how it is then.
func (t *tree) stillLoose(ctx context.Context, tx *record.Tx, here merge.MailboxHere) (mailbox.Mailbox, bool, error) {
	box, err := tx.Mailbox.Mailbox(ctx, here.ID)
	if err != nil {
		return box, false, err
	}
	joined, err := joinedTo(ctx, tx, t.p.acct.ID, here.ID)
	loose := joined == 0 && box.Name == here.Name
	if !loose {
		t.p.waiting++
	}
	return box, loose, err
}

// open files a pair. Of the subscription the leading side's is taken.
func (t *tree) open(ctx context.Context, tx *record.Tx, there merge.FolderThere, box mailbox.Mailbox) error {
	subscribed := t.there[there.Name].Subscribed
	if t.p.mode.Lead == merge.PrimaryLeads && box.DeletedModseq == 0 {
		if _, err := tx.Mailbox.SetSubscribed(ctx, box.ID, subscribed, mail.ByMirror); err != nil {
			return err
		}
	}
	_, err := tx.Link.OpenFolder(ctx, link.Folder{Account: t.p.acct.ID, Name: there.Name, Mailbox: box.ID, BaseName: box.Name,
		Role: there.Role, ObjectID: there.ObjectID, NoSelect: there.NoSelect, Subscribed: subscribed, Token: link.Token{UIDValidity: there.UIDValidity}})
	return err
}

// makeThere makes a folder for a mailbox that is new here. Its UIDVALIDITY is learned by the first scan.
func (t *tree) makeThere(ctx context.Context, step merge.FolderStep) error {
	if !t.p.mode.Push {
		return nil
	}
	if t.ending(step.Name) { // the next pass makes it
		t.p.waiting++
		return nil
	}
	var loose bool
	err := t.p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		_, loose, err = t.stillLoose(ctx, tx, step.Here)
		return err
	})
	if err != nil || !loose {
		return err
	}
	const operation = "create folder"
	if why := t.p.refusedLately(operation, step.Name); why != nil {
		t.p.barred[step.Here.ID] = why
		return nil
	}
	err = t.p.far.CreateFolder(ctx, step.Name, step.Here.Role)
	if why := refusedBy(err); why != nil && why.Code != "ALREADYEXISTS" {
		t.p.barred[step.Here.ID] = why
		return t.p.refuseFolder(ctx, operation, step.Name, why)
	} else if why == nil && err != nil {
		return err
	}
	if err := t.p.far.Subscribe(ctx, step.Name, true); err != nil && refusedBy(err) == nil {
		return err
	}
	t.there[step.Name] = Folder{Name: step.Name, Role: step.Here.Role, Subscribed: true}
	return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Link.OpenFolder(ctx, link.Folder{Account: t.p.acct.ID, Name: step.Name, Mailbox: step.Here.ID,
			BaseName: step.Here.Name, Role: step.Here.Role, Subscribed: true})
		return err
	})
}

// renameHere gives the mailbox the name that its folder has at the primary now
// (it has it already when its parent was renamed first).
func (t *tree) renameHere(ctx context.Context, step merge.FolderStep, base *link.Folder) error {
	const operation = "rename mailbox here"
	var to link.Folder
	err := t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		to = *base
		to.Name, to.BaseName = step.There.Name, step.Name
		box, err := tx.Mailbox.Mailbox(ctx, base.Mailbox)
		if err != nil {
			return err
		}
		if box.Name != step.Name {
			if err := t.makeWay(ctx, tx, &to, step.Name); err != nil {
				return err
			}
			if to.Mailbox == base.Mailbox {
				if _, err := tx.Mailbox.RenameMailbox(ctx, box.ID, step.Name, mail.ByMirror); err != nil {
					return err
				}
			}
		}
		return tx.Link.ChangeFolder(ctx, to)
	})
	switch fault.CodeOf(err) {
	case "":
		*base = to
	case fault.Invalid, fault.Conflict, fault.Denied: // the pair goes on under two names
		return t.p.refuseFolder(ctx, operation, step.Name, &Refused{Words: fault.Public(err)})
	}
	return err
}

// makeWay frees a name here. A mailbox that is joined to another folder steps
// aside: that one was renamed too, and its own step follows. One that is joined to
// none takes over what is in the renamed one, so that both become one.
func (t *tree) makeWay(ctx context.Context, tx *record.Tx, f *link.Folder, name string) error {
	other, err := tx.Mailbox.MailboxByName(ctx, t.p.acct.ID, name)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	joined, err := joinedTo(ctx, tx, t.p.acct.ID, other.ID)
	if err != nil {
		return err
	}
	if joined != 0 {
		aside, err := freeName(ctx, tx, t.p.acct.ID, name)
		if err != nil {
			return err
		}
		_, err = tx.Mailbox.RenameMailbox(ctx, other.ID, aside, mail.ByMirror)
		return err
	}
	var inside []mail.PlacementID
	if err := tx.Mailbox.Placements(ctx, f.Mailbox, 1, 0, func(p mailbox.Placement) error {
		inside = append(inside, p.ID)
		return nil
	}); err != nil {
		return err
	}
	for _, id := range inside {
		if _, err := tx.Mailbox.Move(ctx, id, other.ID, mail.ByMirror); err != nil {
			return err
		}
	}
	if err := tx.Mailbox.DeleteMailbox(ctx, f.Mailbox, mail.ByMirror); err != nil {
		return err
	}
	f.Mailbox = other.ID
	return nil
}

// renameThere gives the folder the name that its mailbox has here now.
func (t *tree) renameThere(ctx context.Context, step merge.FolderStep, base *link.Folder) error {
	if err := t.follow(ctx, base, t.nameNow(step.There.Name)); err != nil || !t.p.mode.Push {
		return err
	}
	const operation = "rename folder"
	if t.p.refusedLately(operation, step.Name) != nil {
		return nil
	}
	// RENAME takes the folders below along (RFC 9051 §6.3.6), so it may be there already.
	from := t.nameNow(step.There.Name)
	if from != step.Name {
		err := t.p.far.RenameFolder(ctx, from, step.Name)
		switch why := refusedBy(err); {
		case why != nil && step.There.NoSelect:
			// Only a place in the tree, of which some servers know nothing: those below it are renamed one by one.
		case why != nil:
			return t.p.refuseFolder(ctx, operation, step.Name, why)
		case err != nil:
			return err
		default:
			t.renamed = append(t.renamed, renaming{from, step.Name})
		}
	}
	t.named[base.Key] = true
	if t.inBase(step.Name, base.Key) { // another pair has that name there: this one goes on under two
		base.BaseName = step.Here.Name
		return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error { return tx.Link.ChangeFolder(ctx, *base) })
	}
	f := t.there[from]
	f.Name = step.Name
	delete(t.there, from)
	t.there[step.Name] = f
	return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		base.Name, base.BaseName = step.Name, step.Here.Name
		return tx.Link.ChangeFolder(ctx, *base)
	})
}

// takenAlong notes the names of folders that went along with a renamed parent
// although their mailboxes did not: the next pass renames them back.
func (t *tree) takenAlong(ctx context.Context) error {
	for key, f := range t.base {
		now := t.nameNow(f.Name)
		if t.named[key] || t.p.lost[key] || now == f.Name {
			continue
		}
		f.BaseName = ""
		t.p.waiting++
		if err := t.follow(ctx, f, now); err != nil {
			return err
		}
	}
	return nil
}

// inBase tells whether another folder of the base has that name.
func (t *tree) inBase(name string, key int64) bool {
	for _, f := range t.base {
		if f.Key != key && f.Name == name {
			return true
		}
	}
	return false
}

// ending tells whether a folder of that name is in the base until the end of this pass.
func (t *tree) ending(name string) bool {
	for key := range t.p.lost {
		if t.base[key].Name == name {
			return true
		}
	}
	return false
}

// follow notes the name that a folder has at the primary by now.
func (t *tree) follow(ctx context.Context, base *link.Folder, name string) error {
	if base.Name == name {
		return nil
	}
	f, listed := t.there[name]
	if !listed {
		f = t.there[base.Name]
	}
	f.Name = name
	t.there[name] = f
	base.Name = name
	return t.p.update(ctx, func(ctx context.Context, tx *record.Tx) error { return tx.Link.ChangeFolder(ctx, *base) })
}

// joinedTo is the key of the folder to which a mailbox is joined; 0 for none.
func joinedTo(ctx context.Context, tx *record.Tx, acct mail.AccountID, box mail.MailboxID) (int64, error) {
	folders, err := tx.Link.Folders(ctx, acct)
	for _, f := range folders {
		if f.Mailbox == box {
			return f.Key, err
		}
	}
	return 0, err
}

// freeName is the name with the first number behind it that no mailbox has.
func freeName(ctx context.Context, tx *record.Tx, acct mail.AccountID, name string) (string, error) {
	for n := 2; ; n++ {
		free := fmt.Sprintf("%s %d", name, n)
		if _, err := tx.Mailbox.MailboxByName(ctx, acct, free); fault.Is(err, fault.NotFound) {
			return free, nil
		} else if err != nil {
			return "", err
		}
	}
}
