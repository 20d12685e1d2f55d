package traffic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// deed is one thing that a person does to a message.
type deed struct {
	entry *Entry
	act   func(imap.UID) error // with the entry's folder selected; may be repeated
	done  func([]spot) bool    // from where the message is now: was it done?
	note  func()               // enters it in the book
}

// draw picks a deed for a message.
func (s *Session) draw(e *Entry) deed {
	switch k := s.rng.IntN(20); {
	case k < 10:
		return s.flag(e)
	case k < 16:
		target := pick(s.rng, append(s.book.folders(s.person.Email), "INBOX", "Trash"))
		if target == e.Item.Folder {
			return s.flag(e)
		}
		return s.move(e, target)
	case k < 19:
		return s.delete(e)
	default:
		return s.newFolder(e)
	}
}

func (s *Session) flag(e *Entry) deed {
	flag := pick(s.rng, []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagAnswered, "$Forwarded", "Facture"})
	name := strings.ToLower(string(flag))
	has := strings.Fields(e.Item.Flags)
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{flag}}
	if i := slices.Index(has, name); i >= 0 {
		store.Op = imap.StoreFlagsDel
		has = slices.Delete(has, i, i+1)
	} else {
		has = append(has, name)
	}
	slices.Sort(has)
	after := strings.Join(has, " ")
	return deed{
		entry: e,
		act:   func(uid imap.UID) error { return s.store(uid, store) },
		done: func(found []spot) bool {
			return len(found) == 1 && found[0] == spot{e.Item.Folder, after}
		},
		note: func() {
			s.book.change(func() { e.Item.Flags = after })
			s.Tally.Flagged++
		},
	}
}

func (s *Session) store(uid imap.UID, store *imap.StoreFlags) error {
	if err := s.c.Store(imap.UIDSetNum(uid), store, nil).Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (s *Session) move(e *Entry, target string) deed {
	return deed{
		entry: e,
		act: func(uid imap.UID) error {
			if _, err := s.c.Move(imap.UIDSetNum(uid), target).Wait(); err != nil {
				return fmt.Errorf("move to %s: %w", target, err)
			}
			return nil
		},
		done: func(found []spot) bool { return len(found) == 1 && found[0].folder == target },
		note: func() {
			s.book.change(func() { e.Item.Folder = target })
			s.Tally.Moved++
		},
	}
}

func (s *Session) delete(e *Entry) deed {
	return deed{
		entry: e,
		act: func(uid imap.UID) error {
			err := s.store(uid, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}})
			if err != nil {
				return err
			}
			if err := s.c.UIDExpunge(imap.UIDSetNum(uid)).Close(); err != nil {
				return fmt.Errorf("expunge: %w", err)
			}
			return nil
		},
		done: func(found []spot) bool { return len(found) == 0 },
		note: func() {
			s.book.remove(s.person.Email, e)
			s.Tally.Deleted++
		},
	}
}

// newFolder makes a folder two levels down and moves the message there.
func (s *Session) newFolder(e *Entry) deed {
	parent, name := "Crise", fmt.Sprintf("Crise/Dossier n° %d & suites", s.rng.IntN(1_000_000))
	d := s.move(e, name)
	intoFolder := d.act
	d.act = func(uid imap.UID) error {
		for _, folder := range []string{parent, name} {
			if slices.Contains(s.book.folders(s.person.Email), folder) {
				continue
			}
			if err := s.c.Create(folder, nil).Wait(); err != nil && !alreadyThere(err) {
				return fmt.Errorf("create %s: %w", folder, err)
			}
			s.book.Folder(s.person.Email, folder)
		}
		return intoFolder(uid)
	}
	note := d.note
	d.note = func() {
		note()
		s.Tally.Folders++
	}
	return d
}

// alreadyThere is the answer to a CREATE that was done before the connection broke.
func alreadyThere(err error) bool {
	var no *imap.Error
	return errors.As(err, &no) && no.Code == imap.ResponseCodeAlreadyExists
}
