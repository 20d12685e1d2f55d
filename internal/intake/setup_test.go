package intake

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/internal/blob"
	"relais/internal/clock"
	"relais/internal/db/sqlite"
	"relais/internal/directory"
	"relais/internal/judge"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// company is an intake over a real record with some people.
type company struct {
	*Intake
	clock   *clock.Manual
	primary *primary
	domain  directory.Domain
	people  map[string]directory.Person // by local part
}

// primary is a company's own server as intake asks it.
type primary struct {
	mu     sync.Mutex
	away   time.Time
	answer error
	asked  int
}

func (p *primary) Away(context.Context, mail.DomainID) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away, nil
}

func (p *primary) AskRecipient(context.Context, mail.DomainID, mail.Address, mail.Address) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.answer
}

func (p *primary) set(away time.Time, answer error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.answer = away, answer
}

// exempting judges nothing: what the judge finds is its own tests' matter.
type exempting struct{}

func (exempting) Judge(context.Context, judge.Message) *judge.Verdict {
	return &judge.Verdict{Hostname: "mx.test", Exempt: true}
}
func (exempting) Disarm(msg []byte) []byte { return msg }

// stamping signs with a line that can be seen.
type stamping struct{}

func (stamping) Sign(_ context.Context, domain string, _ []byte) ([]byte, error) {
	return []byte("DKIM-Signature: d=" + domain + "\r\n"), nil
}

// open makes the company exemple.test with ann (alias boss@), bob, carl, and the
// group all@ of ann and bob, connected to a primary; and rival.test with eve.
func open(t *testing.T) *company {
	t.Helper()
	ctx := t.Context()
	engine, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "relais.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	keyring, err := keys.Create(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	packs, err := blob.Open(ctx, blob.Config{Dir: t.TempDir(), Keys: keys.NewRing(keyring, record.TenantKeysIn(engine)), Locate: record.LocateIn(engine)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packs.Close() })
	c := &company{clock: clock.At(noon), primary: &primary{}, people: map[string]directory.Person{}}
	store := record.Open(record.Config{Engine: engine, Bodies: packs, Clock: c.clock})
	c.Intake = New(Config{Hostname: "mx.test", Store: store, States: c.primary, Primaries: c.primary, Judge: exempting{}, Signer: stamping{}, Clock: c.clock})
	err = store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for org, people := range map[string][]string{"exemple": {"ann", "bob", "carl"}, "rival": {"eve"}} {
			tenant, err := tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: org, Wrap: func(id mail.TenantID) ([]byte, string, error) {
				w, err := keyring.NewTenantKey(id)
				return w, keyring.ID(), err
			}})
			if err != nil {
				return err
			}
			d, err := tx.Directory.CreateDomain(ctx, directory.NewDomain{Tenant: tenant.ID, Name: org + ".test", Topology: directory.InPath})
			if err != nil {
				return err
			}
			if org == "exemple" {
				c.domain = d
				if err := tx.Directory.SetPrimary(ctx, directory.Primary{Domain: d.ID, IMAPTLS: directory.TLSNone, SMTPTLS: directory.TLSNone, SMTPAddr: "primary:25"}); err != nil {
					return err
				}
			}
			for _, name := range people {
				acc, err := tx.Mailbox.CreateAccount(ctx, tenant.ID, mailbox.Person)
				if err != nil {
					return err
				}
				n := directory.NewPerson{Tenant: tenant.ID, Account: acc.ID, Email: address(name + "@" + org + ".test")}
				if name == "ann" {
					n.Aliases = []mail.Address{address("boss@exemple.test")}
				}
				if c.people[name], err = tx.Directory.CreatePerson(ctx, n); err != nil {
					return err
				}
			}
		}
		g, err := tx.Directory.CreateGroup(ctx, directory.NewGroup{Address: address("all@exemple.test")})
		if err != nil {
			return err
		}
		return tx.Directory.SetMembers(ctx, g.ID, []mail.PersonID{c.people["ann"].ID, c.people["bob"].ID})
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// envelope is that of a stranger; person's is signed in.
func envelope(from string) *Envelope {
	return &Envelope{Peer: netip.MustParseAddr("192.0.2.7"), Helo: "out.test", Protocol: "ESMTP", From: address(from)}
}

func (c *company) person(name string) *Envelope {
	e := envelope(c.people[name].Email)
	p := c.people[name]
	e.Sender, e.Protocol = &p, "ESMTPSA"
	return e
}

// targets asks about each recipient as RCPT does.
func (c *company) targets(t *testing.T, e *Envelope, rcpts ...string) []Target {
	t.Helper()
	var out []Target
	for _, r := range rcpts {
		target, err := c.Recipient(t.Context(), e, address(r))
		if err != nil {
			t.Fatalf("RCPT TO %s: %v", r, err)
		}
		out = append(out, target)
	}
	return out
}

func (c *company) receive(t *testing.T, e *Envelope, body string, rcpts ...string) {
	t.Helper()
	if err := c.Receive(t.Context(), e, c.targets(t, e, rcpts...), []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func (c *company) submit(t *testing.T, e *Envelope, body string, rcpts ...string) {
	t.Helper()
	if err := c.Submit(t.Context(), e, c.targets(t, e, rcpts...), []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// view looks at the record.
func (c *company) view(t *testing.T, look func(ctx context.Context, tx *record.Tx) error) {
	t.Helper()
	if err := c.Store.View(t.Context(), look); err != nil {
		t.Fatal(err)
	}
}

// holds lists the messages in a mailbox of a person, whole.
func (c *company) holds(t *testing.T, name string, role mail.Role) []string {
	t.Helper()
	var found []mailbox.Placement
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		found = nil
		box, err := tx.Mailbox.MailboxByRole(ctx, c.people[name].Account, role)
		if err != nil {
			return err
		}
		return tx.Mailbox.Placements(ctx, box.ID, 1, 1<<31, func(p mailbox.Placement) error {
			found = append(found, p)
			return nil
		})
	})
	var out []string
	for _, p := range found {
		body, err := c.Store.Body(t.Context(), c.people[name].Tenant, p.Hash)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.Flags.String()+" "+string(body))
	}
	return out
}

func (c *company) wantCount(t *testing.T, name string, role mail.Role, n int) {
	t.Helper()
	if got := c.holds(t, name, role); len(got) != n {
		t.Errorf("%s has %d messages in %s, want %d:\n%s", name, len(got), role, n, strings.Join(got, "\n---\n"))
	}
}
