package traffic

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"relais/internal/demo/walker"
)

// Book is what every mailbox must hold, and the outside have received, as far as servers acknowledged it.
// It is kept by who sends and acts, not by who carries.
type Book struct {
	mu       sync.Mutex
	accounts map[string]*account
	outside  map[[sha256.Size]byte]int // copies that the outside must have received
}

type account struct {
	folders []string
	entries []*Entry
}

// Entry is one message in one mailbox. ID is its Message-ID, "" if it can't be found by that.
type Entry struct {
	ID   string
	Item walker.Item
	at   time.Time // of its entry
}

// NewBook makes an empty book.
func NewBook() *Book {
	return &Book{accounts: map[string]*account{}, outside: map[[sha256.Size]byte]int{}}
}

// of makes an account at its first use.
func (b *Book) of(login string) *account {
	a := b.accounts[login]
	if a == nil {
		a = &account{}
		b.accounts[login] = a
	}
	return a
}

// Place enters a message.
func (b *Book) Place(login, id string, item walker.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.of(login)
	a.entries = append(a.entries, &Entry{id, item, time.Now()})
}

// Folder enters a folder.
func (b *Book) Folder(login, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.of(login)
	if !slices.Contains(a.folders, name) {
		a.folders = append(a.folders, name)
	}
}

// arrival is how far the INTERNALDATE of a message that came by SMTP may be from the moment of its 250: a relay and
// LMTP on a busy machine, much less than an outage lasts.
const arrival = 45 * time.Second

// Delivered enters a message that got its 250 now, for each of the company's recipients: in the inbox, without flags.
func (b *Book) Delivered(m Message) {
	for _, to := range m.To {
		if to.Password != "" {
			b.Place(to.Email, m.ID, came(m, "INBOX", ""))
		}
	}
}

// Submitted enters a message that the standby took from one of the staff now: its copy in Sent, and its delivery.
func (b *Book) Submitted(m Message) {
	b.Place(m.From.Email, m.ID, came(m, "Sent", `\seen`))
	b.Delivered(m)
	b.SentOutside(m)
}

func came(m Message, folder, flags string) walker.Item {
	return walker.Item{Folder: folder, Hash: walker.Hash(m.Raw), Flags: flags, Date: time.Now(), Within: arrival, Title: walker.Title(m.Raw)}
}

// SentOutside enters what the outside must have received.
func (b *Book) SentOutside(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, to := range m.To {
		if to.Password == "" {
			b.outside[walker.Hash(m.Raw)]++
		}
	}
}

// Outside counts the messages that the outside must have received.
func (b *Book) Outside() map[[sha256.Size]byte]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[[sha256.Size]byte]int{}
	for k, v := range b.outside {
		out[k] = v
	}
	return out
}

// Messages counts the entries of all accounts.
func (b *Book) Messages() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, a := range b.accounts {
		n += len(a.entries)
	}
	return n
}

// Account is what a walk of this account must find.
func (b *Book) Account(login string) walker.Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.of(login)
	out := walker.Account{Login: login, Folders: slices.Clone(a.folders)}
	for _, e := range a.entries {
		out.Items = append(out.Items, e.Item)
	}
	slices.Sort(out.Folders)
	return out
}

// find is the entry with this Message-ID, nil if there is none.
func (b *Book) find(login, id string) *Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.of(login).entries {
		if e.ID == id {
			return e
		}
	}
	return nil
}

// choose picks an entry that can be found by its Message-ID and was entered at least age ago, nil if there is none.
func (b *Book) choose(rng *rand.Rand, login string, age time.Duration) *Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var findable []*Entry
	for _, e := range b.of(login).entries {
		if e.ID != "" && time.Since(e.at) >= age {
			findable = append(findable, e)
		}
	}
	if len(findable) == 0 {
		return nil
	}
	return pick(rng, findable)
}

// change alters an entry under the book's lock.
func (b *Book) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// InFlight leaves the INTERNALDATE open of what was entered between two moments: mail that lay in the primary's own
// queue when it died is delivered by that queue at its return, and has the date of that.
func (b *Book) InFlight(from, to time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.accounts {
		for _, e := range a.entries {
			if e.at.After(from) && e.at.Before(to) {
				e.Item.Date = time.Time{}
			}
		}
	}
}

func (b *Book) remove(login string, e *Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.of(login)
	a.entries = slices.DeleteFunc(a.entries, func(o *Entry) bool { return o == e })
}

func (b *Book) folders(login string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.of(login).folders)
}
