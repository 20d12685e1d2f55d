// Package recordtest makes records for tests and holds the suite that every engine passes.
package recordtest

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"relais/internal/blob"
	"relais/internal/clock"
	"relais/internal/db"
	"relais/internal/db/sqlite"
	"relais/internal/directory"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

// Bundle is a record with one tenant, one domain and, as asked for, people.
type Bundle struct {
	*record.Store
	T      testing.TB
	Clock  *clock.Manual
	Packs  *blob.Packs
	Tenant directory.Tenant
	Domain directory.Domain // example.org, inpath

	made atomic.Int64
}

// Start is the moment at which a bundle's clock stands at first.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// SQLite makes a bundle over a new SQLite database with real packs and keys.
func SQLite(t testing.TB) *Bundle {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "relais.db")})
	if err != nil {
		t.Fatal(err)
	}
	return Over(t, engine)
}

// Over makes a bundle over an empty, open engine, and closes it with the test.
func Over(t testing.TB, engine db.Engine) *Bundle {
	t.Helper()
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	ring, err := keys.Create(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	packs, err := blob.Open(t.Context(), blob.Config{
		Dir: filepath.Join(dir, "packs"), Keys: keys.NewRing(ring, record.TenantKeysIn(engine)), Locate: record.LocateIn(engine)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := packs.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &Bundle{T: t, Clock: clock.At(Start), Packs: packs}
	b.Store = record.Open(record.Config{Engine: engine, Bodies: packs, Clock: b.Clock})
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		b.Tenant, err = tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: "example", Wrap: func(id mail.TenantID) ([]byte, string, error) {
			wrapped, err := ring.NewTenantKey(id)
			return wrapped, ring.ID(), err
		}})
		if err != nil {
			return err
		}
		b.Domain, err = tx.Directory.CreateDomain(ctx, directory.NewDomain{Tenant: b.Tenant.ID, Name: "example.org", Topology: directory.InPath})
		return err
	})
	return b
}

// Do is Update that ends the test on an error.
func (b *Bundle) Do(fn func(ctx context.Context, tx *record.Tx) error) {
	b.T.Helper()
	if err := b.Update(b.T.Context(), fn); err != nil {
		b.T.Fatal(err)
	}
}

// See is View that ends the test on an error.
func (b *Bundle) See(fn func(ctx context.Context, tx *record.Tx) error) {
	b.T.Helper()
	if err := b.View(b.T.Context(), fn); err != nil {
		b.T.Fatal(err)
	}
}

// Person makes name@example.org with an account.
func (b *Bundle) Person(name string, aliases ...string) (p directory.Person) {
	b.T.Helper()
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		account, err := tx.Mailbox.CreateAccount(ctx, b.Tenant.ID, mailbox.Person)
		if err != nil {
			return err
		}
		n := directory.NewPerson{Tenant: b.Tenant.ID, Account: account.ID, Email: mail.Address{Local: name, Domain: b.Domain.Name}, Name: name}
		for _, a := range aliases {
			n.Aliases = append(n.Aliases, mail.Address{Local: a, Domain: b.Domain.Name})
		}
		p, err = tx.Directory.CreatePerson(ctx, n)
		return err
	})
	return p
}

// Message makes a message of its own with a subject; further header fields may be given ("Name: value").
func (b *Bundle) Message(subject string, fields ...string) []byte {
	n := b.made.Add(1)
	text := fmt.Sprintf("Message-ID: <m%d@example.net>\r\nDate: Sun, 01 Mar 2026 11:00:00 +0000\r\nFrom: Bob <bob@example.net>\r\nTo: ann@example.org\r\nSubject: %s\r\n", n, subject)
	for _, f := range fields {
		text += f + "\r\n"
	}
	return []byte(text + fmt.Sprintf("\r\nThis is message %d.\r\n", n))
}

// Filing is a filing of the message into the inboxes of the people.
func (b *Bundle) Filing(body []byte, people ...directory.Person) *record.Filing {
	f := &record.Filing{Tenant: b.Tenant.ID, Body: body, Facts: mime.Examine(body), Origin: mail.ByIntake}
	for _, p := range people {
		f.Places = append(f.Places, record.Place{Account: p.Account})
	}
	return f
}

// Deliver files a new message with this subject into the person's inbox.
func (b *Bundle) Deliver(p directory.Person, subject string, fields ...string) mailbox.Placement {
	b.T.Helper()
	filed, err := b.File(b.T.Context(), b.Filing(b.Message(subject, fields...), p))
	if err != nil {
		b.T.Fatal(err)
	}
	return filed.Placements[0]
}

// Box finds a live mailbox by name.
func (b *Bundle) Box(acc mail.AccountID, name string) (m mailbox.Mailbox) {
	b.T.Helper()
	b.See(func(ctx context.Context, tx *record.Tx) (err error) {
		m, err = tx.Mailbox.MailboxByName(ctx, acc, name)
		return err
	})
	return m
}
