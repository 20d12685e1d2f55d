package mirror_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	imapconn "relais/internal/connector/imap"
	"relais/internal/directory"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror"
	"relais/internal/mirror/merge"
	"relais/internal/record"
	"relais/internal/record/recordtest"
	"relais/test/dovecot"
)

// The modes of the states standby, active and returning.
var (
	standby   = mirror.Mode{Pull: true, Push: true}
	active    = mirror.Mode{Pull: true, Lead: merge.StandbyLeads}
	returning = mirror.Mode{Pull: true, Push: true, Appends: true, Lead: merge.StandbyLeads}
)

type imapClient = imapclient.Client

// bundle is one person on both sides: a record, and a Dovecot with an account of the same name.
type bundle struct {
	*recordtest.Bundle
	t       testing.TB
	ann     directory.Person
	server  *dovecot.Server
	service *mirror.Service
	primary mirror.Primary
	client  *imapclient.Client
}

// options say how a bundle's Dovecot and connector differ from the usual.
type options struct {
	dovecot dovecot.Config
	ignore  []string // capabilities that the connector does not use
}

func setup(t testing.TB, opts ...func(*options)) *bundle {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	b := &bundle{Bundle: recordtest.SQLite(t), t: t}
	b.ann = b.Person("ann")
	o.dovecot.Users = append(o.dovecot.Users, dovecot.User{Login: b.ann.Email, Password: "secret"})
	b.server = dovecot.Start(t, o.dovecot)
	pool := imapconn.NewPool(imapconn.PoolConfig{
		Conn: imapconn.Config{Addr: b.server.Addr, TLS: imapconn.TLSNone, Ignore: o.ignore},
		SignIn: func(_ context.Context, login string) (imapconn.Credentials, error) {
			return imapconn.Credentials{Login: login, Master: dovecot.MasterUser, Secret: dovecot.MasterPassword}, nil
		},
	})
	b.primary = imapconn.NewPrimary(pool)
	t.Cleanup(func() { b.primary.Close() })
	b.service = mirror.New(mirror.Config{Store: b.Store, Clock: b.Clock, Log: slog.New(slog.DiscardHandler)})
	return b
}

// bare are the capabilities that a server of RFC 3501 alone lacks.
var bare = []string{"UIDPLUS", "MOVE", "CONDSTORE", "QRESYNC", "MULTIAPPEND", "SPECIAL-USE", "LIST-STATUS", "LIST-EXTENDED", "LITERAL+",
	"OBJECTID", "NAMESPACE", "UNSELECT", "IDLE", "ENABLE", "ESEARCH"}

// without makes the connector take capabilities for absent.
func without(capabilities ...string) func(*options) {
	return func(o *options) { o.ignore = capabilities }
}

// people gives the server accounts for name0@example.org and so on, for another.
func people(name string, n int) func(*options) {
	return func(o *options) {
		for i := range n {
			o.dovecot.Users = append(o.dovecot.Users, dovecot.User{Login: fmt.Sprintf("%s%d@example.org", name, i), Password: "secret"})
		}
	}
}

// another is the same bundle with another person as ann.
func (b *bundle) another(name string) *bundle {
	b.t.Helper()
	other := *b
	other.ann, other.client = b.Person(name), nil
	return &other
}

// connect opens the independent client.
func (b *bundle) connect() *imapclient.Client {
	b.t.Helper()
	if b.client == nil {
		b.client = b.server.Client(b.t, b.ann.Email, "secret")
	}
	return b.client
}

// merge runs passes until one leaves nothing waiting, at most three.
func (b *bundle) merge(mode mirror.Mode) {
	b.t.Helper()
	for range 3 {
		waiting, refused, err := b.service.Merge(b.t.Context(), b.primary, b.ann, mode)
		if err != nil {
			b.t.Fatalf("merge: %v\n%s", err, b.server.Log(20))
		}
		if refused > 0 {
			b.t.Fatalf("%d items were refused", refused)
		}
		if waiting == 0 {
			return
		}
		b.Clock.Advance(time.Minute)
	}
}

// same tells what differs between both sides.
func (b *bundle) same() {
	b.t.Helper()
	if diff := cmp.Diff(b.there(), b.here()); diff != "" {
		b.t.Errorf("primary -, standby +:\n%s", diff)
	}
}

// want compares one side with what is expected, as here and there list it.
func (b *bundle) want(got map[string][]string, want map[string][]string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("want -, got +:\n%s", diff)
	}
}

// here lists the messages of the standby by mailbox: "subject (flags)", those without messages left out.
func (b *bundle) here() map[string][]string {
	b.t.Helper()
	out := map[string][]string{}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		boxes, err := tx.Mailbox.Mailboxes(ctx, b.ann.Account)
		if err != nil {
			return err
		}
		for _, box := range boxes {
			var placements []mailbox.Placement
			if err := tx.Mailbox.Placements(ctx, box.ID, 1, ^uint32(0), func(p mailbox.Placement) error {
				placements = append(placements, p)
				return nil
			}); err != nil {
				return err
			}
			for _, p := range placements {
				email, err := tx.Mailbox.Email(ctx, p.Email)
				if err != nil {
					return err
				}
				out[box.Name] = append(out[box.Name], line(email.BaseSubject, p.Flags.Names()))
			}
			slices.Sort(out[box.Name])
		}
		return nil
	})
	return out
}

// there lists the messages of the primary in the same form, through the independent client.
func (b *bundle) there() map[string][]string {
	b.t.Helper()
	c := b.connect()
	out := map[string][]string{}
	folders, err := c.List("", "*", nil).Collect()
	if err != nil {
		b.fatal(err)
	}
	for _, f := range folders {
		if slices.Contains(f.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(f.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		selected, err := c.Select(f.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil && strings.Contains(err.Error(), "doesn't exist") {
			continue // only a place for those below it
		}
		if err != nil {
			b.fatal(err)
		}
		if selected.NumMessages == 0 {
			continue
		}
		var all imap.UIDSet
		all.AddRange(1, 0)
		messages, err := c.Fetch(all, &imap.FetchOptions{Envelope: true, Flags: true}).Collect()
		if err != nil {
			b.fatal(err)
		}
		for _, m := range messages {
			var flags []string
			for _, fl := range m.Flags {
				flags = append(flags, string(fl))
			}
			out[f.Mailbox] = append(out[f.Mailbox], line(m.Envelope.Subject, mail.ParseFlags(flags...).Names()))
		}
		slices.Sort(out[f.Mailbox])
	}
	return out
}

func line(subject string, flags []string) string {
	return strings.ToLower(subject) + " (" + strings.Join(flags, " ") + ")"
}

// appendThere adds a message at the primary behind Relais's back.
func (b *bundle) appendThere(folder, subject string, flags ...imap.Flag) {
	b.t.Helper()
	b.appendRaw(folder, b.Message(subject), flags...)
}

func (b *bundle) appendRaw(folder string, raw []byte, flags ...imap.Flag) {
	b.t.Helper()
	c := b.connect()
	cmd := c.Append(folder, int64(len(raw)), &imap.AppendOptions{Flags: flags, Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)})
	if _, err := cmd.Write(raw); err != nil {
		b.fatal(err)
	}
	if err := cmd.Close(); err != nil {
		b.fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		b.fatal(err)
	}
}

// inFolder selects a folder of the primary for the independent client and runs fn.
func (b *bundle) inFolder(folder string, fn func(c *imapclient.Client) error) {
	b.t.Helper()
	c := b.connect()
	if _, err := c.Select(folder, nil).Wait(); err != nil {
		b.fatal(err)
	}
	if err := fn(c); err != nil {
		b.fatal(err)
	}
}

// expungeThere deletes messages of a folder at the primary by their UIDs.
func (b *bundle) expungeThere(folder string, first, last imap.UID) {
	b.t.Helper()
	b.inFolder(folder, func(c *imapclient.Client) error {
		var set imap.UIDSet
		set.AddRange(first, last)
		if err := c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
			return err
		}
		return c.UIDExpunge(set).Close()
	})
}

// find is the live placement here whose subject is given.
func (b *bundle) find(subject string) (found mailbox.Placement) {
	b.t.Helper()
	b.See(func(ctx context.Context, tx *record.Tx) error {
		boxes, err := tx.Mailbox.Mailboxes(ctx, b.ann.Account)
		if err != nil {
			return err
		}
		for _, box := range boxes {
			var all []mailbox.Placement
			if err := tx.Mailbox.Placements(ctx, box.ID, 1, ^uint32(0), func(p mailbox.Placement) error {
				all = append(all, p)
				return nil
			}); err != nil {
				return err
			}
			for _, p := range all {
				email, err := tx.Mailbox.Email(ctx, p.Email)
				if err != nil {
					return err
				}
				if strings.EqualFold(email.BaseSubject, subject) {
					found = p
					return nil
				}
			}
		}
		return fmt.Errorf("no message %q here", subject)
	})
	return found
}

// serverBug is Dovecot's own: an index that it damaged when a folder was renamed and
// made again within a second. What follows in that account proves nothing about Relais.
type serverBug struct{ err error }

// fatal ends the test; a bug of the server ends a round of the model alone.
func (b *bundle) fatal(err error) {
	b.t.Helper()
	if strings.Contains(err.Error(), "SERVERBUG") {
		panic(serverBug{err})
	}
	b.t.Fatal(err)
}
