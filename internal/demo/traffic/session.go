package traffic

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/walker"
)

// Session is a person at work in a mailbox over IMAP. What the server acknowledges goes into the book.
//
// If the connection breaks in the middle of something, the session signs in again, as long as Patience lets it, and
// looks what became of it: both the state before and the state after are right, any other is an error.
type Session struct {
	Tally    Tally
	Patience time.Duration // with a server that breaks connections; none if zero
	Age      time.Duration // of the youngest message that is touched

	c      *imapclient.Client
	book   *Book
	addr   string
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
	s := &Session{book: book, addr: addr, person: p, rng: rand.New(rand.NewPCG(seed, 7))}
	return s, s.connect()
}

func (s *Session) connect() error {
	c, err := imapclient.DialInsecure(s.addr, nil)
	if err != nil {
		return err
	}
	if err := c.Login(s.person.Email, s.person.Password).Wait(); err != nil {
		_ = c.Close()
		return fmt.Errorf("sign in as %s: %w", s.person.Email, err)
	}
	if s.c != nil {
		_ = s.c.Close()
	}
	s.c = c
	return nil
}

// Close signs out.
func (s *Session) Close() {
	_ = s.c.Logout().Wait() // a server that was just killed can't say goodbye
	_ = s.c.Close()
}

// Work does n random things: half of them flags, then moves, deletions and new folders.
func (s *Session) Work(n int) error {
	for range n {
		e := s.book.choose(s.rng, s.person.Email, s.Age)
		if e == nil {
			return nil
		}
		if err := s.do(s.draw(e)); err != nil {
			return fmt.Errorf("%s, %s: %w", s.person.Email, e.Item.Title, err)
		}
	}
	return nil
}

// do carries a deed out, again after each broken connection, and enters it in the book.
func (s *Session) do(d deed) error {
	deadline := time.Now().Add(s.Patience)
	for {
		err := s.attempt(d)
		if err == nil {
			d.note()
			return nil
		}
		if !broken(err) || time.Now().After(deadline) {
			return err
		}
		var signIn error
		if !poll(time.Until(deadline), func() bool { signIn = s.connect(); return signIn == nil }) {
			return errors.Join(err, signIn)
		}
		done, err := s.settled(d)
		if err != nil && !broken(err) {
			return fmt.Errorf("after a broken connection: %w", err)
		}
		if done {
			d.note()
			return nil
		}
	}
}

func (s *Session) attempt(d deed) error {
	uid, err := s.find(d.entry, d.entry.Item.Folder)
	if err != nil {
		return err
	}
	return d.act(uid)
}

// settled tells whether a deed whose answer was lost was done nevertheless.
func (s *Session) settled(d deed) (bool, error) {
	found, err := s.locate(d.entry)
	if err != nil {
		return false, err
	}
	switch {
	case d.done(found):
		return true, nil
	case len(found) == 1 && found[0].folder == d.entry.Item.Folder:
		return false, nil
	}
	return false, fmt.Errorf("%s is in %v, was in %s", d.entry.ID, found, d.entry.Item.Folder)
}

// broken tells a lost connection from a server's NO or BAD.
func broken(err error) bool {
	var no *imap.Error
	return !errors.As(err, &no) && !errors.Is(err, errAmbiguous)
}

var errAmbiguous = errors.New("more or fewer than one")

// spot is where a message was found.
type spot struct {
	folder string
	flags  string
}

// locate looks for a message in every folder.
func (s *Session) locate(e *Entry) ([]spot, error) {
	list, err := s.c.List("", "*", nil).Collect()
	if err != nil {
		return nil, err
	}
	var found []spot
	for _, f := range list {
		if _, err := s.c.Select(f.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			return nil, err
		}
		data, err := s.c.UIDSearch(byID(e), nil).Wait()
		if err != nil {
			return nil, err
		}
		uids := data.AllUIDs()
		if len(uids) == 0 {
			continue
		}
		msgs, err := s.c.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{Flags: true, UID: true}).Collect()
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			found = append(found, spot{f.Mailbox, walker.Flags(m.Flags)})
		}
	}
	return found, nil
}

func byID(e *Entry) *imap.SearchCriteria {
	return &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: e.ID}}}
}

// find selects a folder and looks for the entry's UID. Mail that was accepted may take a moment to appear.
func (s *Session) find(e *Entry, folder string) (imap.UID, error) {
	if _, err := s.c.Select(folder, nil).Wait(); err != nil {
		return 0, fmt.Errorf("select %s: %w", folder, err)
	}
	var uids []imap.UID
	var err error
	poll(30*time.Second, func() bool {
		var data *imap.SearchData
		if err = s.c.Noop().Wait(); err == nil {
			data, err = s.c.UIDSearch(byID(e), nil).Wait()
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
		return 0, fmt.Errorf("%d messages in %s have the id %s: %w", len(uids), folder, e.ID, errAmbiguous)
	}
	return uids[0], nil
}

// Read opens a message that came to the inbox and gives its bytes; the server marks it as seen.
func (s *Session) Read(m Message) ([]byte, error) {
	e := s.book.find(s.person.Email, m.ID)
	if e == nil {
		return nil, fmt.Errorf("%s has no message %s", s.person.Email, m.ID)
	}
	uid, err := s.find(e, "INBOX")
	if err != nil {
		return nil, err
	}
	got, err := s.c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", m.ID, err)
	}
	if len(got) != 1 || len(got[0].BodySection) != 1 {
		return nil, fmt.Errorf("read %s: the server gave no body", m.ID)
	}
	s.book.change(func() { e.Item.Flags = walker.Flags([]imap.Flag{imap.FlagSeen}) })
	return got[0].BodySection[0].Bytes, nil
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

// poll asks until ok says yes or the time is up, and gives the last answer.
func poll(limit time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
}
