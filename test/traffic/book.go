package traffic

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"sync"

	"relais/test/walker"
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
	a.entries = append(a.entries, &Entry{id, item})
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

// Delivered enters a message that arrived by SMTP for each of the company's recipients: in the inbox, without flags.
func (b *Book) Delivered(m Message) {
	for _, to := range m.To {
		if to.Password != "" {
			b.Place(to.Email, m.ID, walker.Item{Folder: "INBOX", Hash: walker.Hash(m.Raw), Title: walker.Title(m.Raw)})
		}
	}
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

// choose picks an entry that can be found by its Message-ID, nil if there is none.
func (b *Book) choose(rng *rand.Rand, login string) *Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var findable []*Entry
	for _, e := range b.of(login).entries {
		if e.ID != "" {
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
