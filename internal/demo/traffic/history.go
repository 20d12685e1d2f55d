package traffic

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/walker"
)

// Filed is a message of someone's history in a folder.
type Filed struct {
	Person Person
	Folder string
	Flags  []imap.Flag
	Date   time.Time // INTERNALDATE
	Message
}

var keywords = []imap.Flag{"$Forwarded", "$Label1", "Facture"}

// History makes n messages spread over the staff's folders and the last 300 days before now. Some are odd in ways
// that no SMTP client sends: the same bytes twice in a folder, one Message-ID for different bytes, none at all.
func (w *Writer) History(n int, now time.Time) []Filed {
	out := make([]Filed, 0, n)
	for i := range n {
		owner := w.Company.Staff[i%len(w.Company.Staff)]
		date := now.Add(-time.Duration(w.rng.IntN(300*24*60)) * time.Minute).Truncate(time.Second)
		f := Filed{Person: owner, Folder: w.folder(), Flags: w.flags(), Date: date}
		switch f.Folder {
		case "Sent":
			f.Message = w.Write(owner, []Person{pick(w.rng, w.Company.Outside)}, date)
		default:
			f.Message = w.Write(pick(w.rng, w.Company.Outside), []Person{owner}, date)
		}
		switch {
		case i%50 == 49 && len(out) >= len(w.Company.Staff):
			w.repeat(&f, out[len(out)-len(w.Company.Staff)])
		case i%67 == 66:
			f.Raw = bytes.Replace(f.Raw, []byte("Message-ID: "+f.ID+"\r\n"), nil, 1)
			f.ID = ""
		case i%71 == 70:
			// Postfix would take the space away, an APPEND must not.
			f.Raw = bytes.Replace(f.Raw, []byte("MIME-Version:"), []byte("X-Odd : space before the colon\r\nMIME-Version:"), 1)
		}
		out = append(out, f)
	}
	// A shared id does not identify: nobody may look for such a message by it.
	count := map[string]int{}
	for _, f := range out {
		count[f.Person.Email+f.ID]++
	}
	for i := range out {
		if count[out[i].Person.Email+out[i].ID] > 1 {
			out[i].ID = ""
		}
	}
	return out
}

// repeat makes f a copy of an earlier message of the same person, or one with its Message-ID and other bytes.
func (w *Writer) repeat(f *Filed, earlier Filed) {
	if w.rng.IntN(2) == 0 || earlier.ID == "" {
		*f = earlier
		return
	}
	f.Raw = bytes.Replace(f.Raw, []byte(f.ID), []byte(earlier.ID), 1)
	f.ID = earlier.ID
}

func (w *Writer) folder() string {
	switch n := w.rng.IntN(20); {
	case n < 9:
		return "INBOX"
	case n < 12:
		return "Sent"
	case n == 12:
		return "Trash"
	default:
		return pick(w.rng, folders)
	}
}

func (w *Writer) flags() []imap.Flag {
	var out []imap.Flag
	if w.rng.IntN(10) > 1 {
		out = append(out, imap.FlagSeen)
	}
	if w.rng.IntN(6) == 0 {
		out = append(out, imap.FlagAnswered)
	}
	if w.rng.IntN(8) == 0 {
		out = append(out, imap.FlagFlagged)
	}
	if w.rng.IntN(10) == 0 {
		out = append(out, pick(w.rng, keywords))
	}
	return out
}

// Load appends a history to a server, a connection for each of the staff, and enters it in the book.
func Load(book *Book, addr string, history []Filed) error {
	byOwner := map[string][]Filed{}
	for _, f := range history {
		byOwner[f.Person.Email] = append(byOwner[f.Person.Email], f)
	}
	var wg sync.WaitGroup
	failed := make(chan error, len(byOwner))
	for _, mine := range byOwner {
		wg.Go(func() {
			if err := load(book, addr, mine); err != nil {
				failed <- fmt.Errorf("load the history of %s: %w", mine[0].Person.Email, err)
			}
		})
	}
	wg.Wait()
	close(failed)
	var all error
	for err := range failed {
		all = errors.Join(all, err)
	}
	return all
}

func load(book *Book, addr string, mine []Filed) error {
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	owner := mine[0].Person
	if err := c.Login(owner.Email, owner.Password).Wait(); err != nil {
		return err
	}
	made := map[string]bool{"INBOX": true, "Sent": true, "Trash": true, "Drafts": true, "Junk": true}
	for _, f := range mine {
		if err := makeFolder(c, book, owner.Email, f.Folder, made); err != nil {
			return err
		}
		if err := appendMessage(c, f.Folder, f.Raw, f.Flags, f.Date); err != nil {
			return fmt.Errorf("append to %s: %w", f.Folder, err)
		}
		book.Place(owner.Email, f.ID, walker.Item{
			Folder: f.Folder, Hash: walker.Hash(f.Raw), Raw: sha256.Sum256(f.Raw), Flags: walker.Flags(f.Flags), Date: f.Date, Title: walker.Title(f.Raw),
		})
	}
	return c.Logout().Wait()
}

func makeFolder(c *imapclient.Client, book *Book, login, name string, made map[string]bool) error {
	path := ""
	for level := range strings.SplitSeq(name, "/") {
		path = strings.TrimPrefix(path+"/"+level, "/")
		if made[path] {
			continue
		}
		made[path] = true
		if err := c.Create(path, nil).Wait(); err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
		book.Folder(login, path)
	}
	return nil
}

func appendMessage(c *imapclient.Client, folder string, raw []byte, flags []imap.Flag, date time.Time) error {
	cmd := c.Append(folder, int64(len(raw)), &imap.AppendOptions{Flags: flags, Time: date})
	if _, err := cmd.Write(raw); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	_, err := cmd.Wait()
	return err
}
