package traffic

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/test/proc"
	"relais/test/walker"
)

// Session is a person at work in a mailbox over IMAP. What the server acknowledges goes into the book.
type Session struct {
	Tally Tally

	c      *imapclient.Client
	book   *Book
	person Person
	rng    *rand.Rand
}

// Tally counts what was done.
type Tally struct{ Flagged, Moved, Deleted, Folders, Sent int }

// Add puts another tally to this one.
func (t *Tally) Add(o Tally) {
	t.Flagged += o.Flagged
	t.Moved += o.Moved
	t.Deleted += o.Deleted
	t.Folders += o.Folders
	t.Sent += o.Sent
}

func (t Tally) String() string {
	return fmt.Sprintf("%d flagged, %d moved, %d deleted, %d folders made, %d sent", t.Flagged, t.Moved, t.Deleted, t.Folders, t.Sent)
}

// SignIn opens a session at addr (plaintext).
func SignIn(book *Book, addr string, p Person, seed uint64) (*Session, error) {
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		return nil, err
	}
	if err := c.Login(p.Email, p.Password).Wait(); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("sign in as %s: %w", p.Email, err)
	}
	return &Session{c: c, book: book, person: p, rng: rand.New(rand.NewPCG(seed, 7))}, nil
}

// Close signs out.
func (s *Session) Close() {
	_ = s.c.Logout().Wait() // a server that was just killed can't say goodbye
	_ = s.c.Close()
}

// Work does n random things: half of them flags, then moves, deletions and new folders.
func (s *Session) Work(n int) error {
	for range n {
		e := s.book.choose(s.rng, s.person.Email)
		if e == nil {
			return nil
		}
		uid, err := s.find(e)
		if err != nil {
			return err
		}
		switch k := s.rng.IntN(20); {
		case k < 10:
			err = s.flag(e, uid)
		case k < 16:
			err = s.moveSomewhere(e, uid)
		case k < 19:
			err = s.delete(e, uid)
		default:
			err = s.newFolder(e, uid)
		}
		if err != nil {
			return fmt.Errorf("%s, %s in %s: %w", s.person.Email, e.Item.Title, e.Item.Folder, err)
		}
	}
	return nil
}

// FileSent appends a copy of a sent message to Sent, as mail programs do.
func (s *Session) FileSent(m Message) error {
	flags := []imap.Flag{imap.FlagSeen}
	date := time.Now().Truncate(time.Second)
	if err := appendMessage(s.c, "Sent", m.Raw, flags, date); err != nil {
		return fmt.Errorf("file the sent copy: %w", err)
	}
	s.book.Place(s.person.Email, m.ID, walker.Item{
		Folder: "Sent", Hash: walker.Hash(m.Raw), Raw: sha256.Sum256(m.Raw), Flags: walker.Flags(flags), Date: date, Title: walker.Title(m.Raw),
	})
	s.Tally.Sent++
	return nil
}

// find selects the entry's folder and looks for its UID. Mail that was accepted may take a moment to appear.
func (s *Session) find(e *Entry) (imap.UID, error) {
	if _, err := s.c.Select(e.Item.Folder, nil).Wait(); err != nil {
		return 0, fmt.Errorf("select %s: %w", e.Item.Folder, err)
	}
	var uids []imap.UID
	var err error
	criteria := &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: e.ID}}}
	proc.Poll(30*time.Second, func() bool {
		var data *imap.SearchData
		if err = s.c.Noop().Wait(); err == nil {
			data, err = s.c.UIDSearch(criteria, nil).Wait()
		}
		if err != nil {
			return true
		}
		uids = data.AllUIDs()
		return len(uids) > 0
	})
	if err != nil {
		return 0, fmt.Errorf("search: %w", err)
	}
	if len(uids) != 1 {
		return 0, fmt.Errorf("%d messages in %s have the id %s, want 1", len(uids), e.Item.Folder, e.ID)
	}
	return uids[0], nil
}

func (s *Session) flag(e *Entry, uid imap.UID) error {
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
	if err := s.c.Store(imap.UIDSetNum(uid), store, nil).Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	slices.Sort(has)
	s.book.change(func() { e.Item.Flags = strings.Join(has, " ") })
	s.Tally.Flagged++
	return nil
}

func (s *Session) moveSomewhere(e *Entry, uid imap.UID) error {
	targets := append(s.book.folders(s.person.Email), "INBOX", "Trash")
	target := pick(s.rng, targets)
	if target == e.Item.Folder {
		return s.flag(e, uid)
	}
	return s.move(e, uid, target)
}

func (s *Session) move(e *Entry, uid imap.UID, target string) error {
	if _, err := s.c.Move(imap.UIDSetNum(uid), target).Wait(); err != nil {
		return fmt.Errorf("move to %s: %w", target, err)
	}
	s.book.change(func() { e.Item.Folder = target })
	s.Tally.Moved++
	return nil
}

func (s *Session) delete(e *Entry, uid imap.UID) error {
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := s.c.Store(imap.UIDSetNum(uid), store, nil).Close(); err != nil {
		return fmt.Errorf("mark deleted: %w", err)
	}
	if err := s.c.UIDExpunge(imap.UIDSetNum(uid)).Close(); err != nil {
		return fmt.Errorf("expunge: %w", err)
	}
	s.book.remove(s.person.Email, e)
	s.Tally.Deleted++
	return nil
}

func (s *Session) newFolder(e *Entry, uid imap.UID) error {
	name := fmt.Sprintf("Crise/Dossier n° %d & suites", s.rng.IntN(1_000_000))
	made := map[string]bool{}
	for _, f := range s.book.folders(s.person.Email) {
		made[f] = true
	}
	if err := makeFolder(s.c, s.book, s.person.Email, name, made); err != nil {
		return err
	}
	s.Tally.Folders++
	return s.move(e, uid, name)
}
