package imapconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"relais/internal/clock"
	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
	"relais/test/dovecot"
)

const ann = "ann@example.test"

func start(t testing.TB, cfg dovecot.Config) *dovecot.Server {
	t.Helper()
	cfg.Users = append(cfg.Users, dovecot.User{Login: ann, Password: "ann's secret"})
	return dovecot.Start(t, cfg)
}

// signIn is a connection of ann's by the master's secret.
func signIn(t testing.TB, s *dovecot.Server, change ...func(*Config)) *Conn {
	t.Helper()
	cfg := Config{Addr: s.Addr, TLS: TLSNone, Timeout: 20 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SignIn(t.Context(), Credentials{Login: ann, Master: dovecot.MasterUser, Secret: dovecot.MasterPassword}); err != nil {
		t.Fatal(err)
	}
	return c
}

func message(i int) []byte {
	return fmt.Appendf(nil, "From: a@example.test\r\nSubject: note %d\r\nMessage-ID: <%d@example.test>\r\n\r\n%s\r\n", i, i, strings.Repeat("text é\r\n", i%50))
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestDovecotSignIn(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{TLS: true})
	var pin string
	for name, cfg := range map[string]Config{
		"starttls":     {Addr: s.Addr, TLS: TLSStart, TLSConfig: s.TLSConfig()},
		"tls":          {Addr: s.TLSAddr, TLS: TLSImplicit, TLSConfig: s.TLSConfig()},
		"first use":    {Addr: s.TLSAddr, TLS: TLSImplicit, TLSConfig: Pin("", func(p string) { pin = p })},
		"no SASL-IR":   {Addr: s.Addr, TLS: TLSNone, Ignore: []string{"SASL-IR"}},
		"LOGIN":        {Addr: s.Addr, TLS: TLSNone, Ignore: []string{"AUTH=PLAIN"}},
		"LOGIN, waits": {Addr: s.Addr, TLS: TLSNone, Ignore: []string{"AUTH=PLAIN", "LITERAL+"}},
	} {
		for _, k := range []Credentials{
			{Login: ann, Secret: "ann's secret"},
			{Login: ann, Master: dovecot.MasterUser, Secret: dovecot.MasterPassword},
			{Login: ann, Master: dovecot.MasterUser, Secret: dovecot.MasterPassword, MasterAuthzid: true},
		} {
			c := must(Dial(t.Context(), cfg))(t)
			if err := c.SignIn(t.Context(), k); err != nil {
				t.Errorf("%s as %s: %v", name, k.user(), err)
			}
			if !c.Enabled(imap.CapQResync) || (c.TLSState() != nil) != (cfg.TLS != TLSNone) {
				t.Errorf("%s: QRESYNC %v, TLS %v", name, c.Enabled(imap.CapQResync), c.TLSState() != nil)
			}
			if id, err := c.ID(t.Context(), imap.Param{Name: "name", Value: "Relais"}); err != nil || len(id) == 0 || id[0].Value != "Dovecot" {
				t.Errorf("%s: %v, %v, greeted by %q", name, id, err, c.Greeting().Text)
			}
			if err := c.Logout(t.Context()); err != nil {
				t.Errorf("%s: logout: %v", name, err)
			}
		}
	}
	if len(pin) != 64 {
		t.Errorf("pin %q", pin)
	}
	if c, err := Dial(t.Context(), Config{Addr: s.TLSAddr, TLSConfig: Pin(pin, nil)}); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	for name, cfg := range map[string]Config{
		"another pin": {Addr: s.TLSAddr, TLSConfig: Pin(strings.Repeat("0", 64), nil)},
		"no root":     {Addr: s.TLSAddr},
	} {
		if _, err := Dial(t.Context(), cfg); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := must(Dial(t.Context(), Config{Addr: s.Addr, TLS: TLSNone}))(t)
	defer func() { _ = c.Close() }()
	if err := c.SignIn(t.Context(), Credentials{Login: ann, Secret: "wrong"}); !fault.Is(err, fault.Unauthenticated) {
		t.Error("wrong password:", err)
	}
}

func TestDovecotMailboxes(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{Separator: ".", Extra: "protocol imap {\n  imap_metadata = no\n}"})
	for name, ignore := range map[string][]string{"all": nil, "no extended LIST": {"LIST-EXTENDED", "LIST-STATUS"}, "no LIST-STATUS": {"LIST-STATUS"}} {
		c := signIn(t, s, func(cfg *Config) { cfg.Ignore = ignore })
		box := "Entwürfe & Co." + strings.ReplaceAll(name, " ", "-") + ".台北 \"x\""
		if _, err := c.Create(t.Context(), box, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(t.Context(), box, ""); !fault.Is(err, fault.Conflict) {
			t.Error("made twice:", err)
		}
		if err := c.Subscribe(t.Context(), box); err != nil {
			t.Error(err)
		}
		must(c.Append(t.Context(), box, AppendMessage{Body: message(3)}))(t)
		boxes := must(c.List(t.Context(), ListOptions{Status: []imap.StatusItem{imap.StatusMessages, imap.StatusUIDNext, imap.StatusUIDValidity, imap.StatusHighestModSeq}}))(t)
		found := map[string]*Mailbox{}
		for _, b := range boxes {
			found[b.Name] = b
		}
		b := found[box]
		if b == nil || !b.Subscribed || b.Delim != '.' || b.Status == nil {
			t.Fatalf("%s: %+v among %d", name, b, len(boxes))
		}
		if n, _ := b.Status.Get(imap.StatusMessages); n != 1 {
			t.Errorf("%s: %d messages", name, n)
		}
		if sent := found["Sent"]; sent == nil || sent.Role != mail.Sent || found["INBOX"].Role != mail.Inbox {
			t.Errorf("%s: roles %+v", name, sent)
		}
		if _, ok := b.Status.Get(imap.StatusHighestModSeq); !ok {
			t.Errorf("%s: no HIGHESTMODSEQ", name)
		}
		if err := c.Rename(t.Context(), box, box+" neu"); err != nil {
			t.Error(err)
		}
		if _, err := c.Select(t.Context(), box, SelectOptions{}); !fault.Is(err, fault.NotFound) {
			t.Error("renamed:", err)
		}
		if err := c.Unsubscribe(t.Context(), box); err != nil {
			t.Error(err)
		}
		if err := c.Delete(t.Context(), box+" neu"); err != nil {
			t.Error(err)
		}
		if err := c.Delete(t.Context(), box); !fault.Is(err, fault.NotFound) {
			t.Error("deleted twice:", err)
		}
		if _, err := c.Append(t.Context(), "nowhere", AppendMessage{Body: message(1)}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		spaces := must(c.Namespaces(t.Context()))(t)
		if len(spaces) != 1 || spaces[0].Delim != '.' || spaces[0].Prefix != "" {
			t.Error(spaces)
		}
	}
}

func TestDovecotMessages(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{})
	c := signIn(t, s)
	date := time.Date(2024, 2, 29, 23, 5, 6, 0, time.FixedZone("", 2*3600))
	flags := mail.ParseFlags(`\Seen`, "$Forwarded", "project")
	var batch []AppendMessage
	for i := range 5 {
		batch = append(batch, AppendMessage{Flags: flags, InternalDate: date, Body: message(i)})
	}
	// One that lies across many reads, and one with a NUL.
	batch = append(batch, AppendMessage{Body: bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0123456789abcdef\r\n"), 40_000)})
	filed := must(c.AppendAll(t.Context(), "INBOX", batch))(t)
	sel := must(c.Select(t.Context(), "INBOX", SelectOptions{}))(t)
	if sel.Exists != 6 || sel.UIDValidity != filed[0].UIDValidity || sel.UIDNext != filed[5].UID+1 || sel.HighestModSeq == 0 || !sel.Keeps("anything") {
		t.Fatalf("%+v after %+v", sel, filed)
	}
	o := FetchOptions{Flags: true, InternalDate: true, Size: true, Envelope: true, Structure: true, Sections: []imap.FetchItem{WholeMessage}}
	got := must(fetchAll(t.Context(), c, o))(t)
	for i, m := range got {
		if m.UID != filed[i].UID || !bytes.Equal(m.Body(), batch[i].Body) || !m.Flags.Equal(batch[i].Flags) || m.Size != int64(len(batch[i].Body)) || m.ModSeq == 0 {
			t.Errorf("message %d: UID %d, %d bytes, %s, modseq %d", i, m.UID, len(m.Body()), m.Flags, m.ModSeq)
		}
		if i < 5 && (!m.InternalDate.Equal(date) || m.Envelope.Subject.Value != fmt.Sprint("note ", i) || m.Structure.Subtype != "plain") {
			t.Errorf("message %d: %s, %+v, %+v", i, m.InternalDate, m.Envelope, m.Structure)
		}
	}
	var streamed int64
	o = FetchOptions{Sections: []imap.FetchItem{WholeMessage}, Stream: func(_ *Message, _ imap.FetchItem, l *imap.Literal) error {
		n, err := io.Copy(io.Discard, io.LimitReader(l, 100_000)) // and leave the rest
		streamed += n
		return err
	}}
	if n := len(must(fetchAll(t.Context(), c, o))(t)); n != 6 || streamed < 100_000 {
		t.Errorf("%d messages, %d bytes streamed", n, streamed)
	}
	stop := errors.New("enough")
	if err := c.FetchFlags(t.Context(), 0, func(*Message) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}

	set := imap.NumSetOf(filed[0].UID, filed[1].UID)
	must(c.Store(t.Context(), set, imap.Store{Op: imap.StoreAdd, Silent: true, Flags: []string{`\Flagged`}}))(t)
	var changed imap.NumSet
	if err := c.FetchFlags(t.Context(), sel.HighestModSeq, func(m *Message) error { changed.Add(m.UID); return nil }); err != nil || changed.String() != set.String() {
		t.Errorf("changed %s, %v", changed, err)
	}
	stored := must(c.Store(t.Context(), set, imap.Store{Op: imap.StoreSet, Flags: []string{}, UnchangedSince: sel.HighestModSeq, HasUnchangedSince: true}))(t)
	if stored.Modified.String() != set.String() {
		t.Errorf("%+v", stored)
	}
	for _, ignore := range [][]string{nil, {"ESEARCH"}} {
		c := signIn(t, s, func(cfg *Config) { cfg.Ignore = ignore })
		must(c.Select(t.Context(), "INBOX", SelectOptions{ReadOnly: true}))(t)
		found := must(c.Search(t.Context(), imap.SearchKey{Op: imap.SearchAnd, Keys: []imap.SearchKey{
			{Op: imap.SearchFlag, Text: `\Flagged`}, {Op: imap.SearchBody, Text: "é"}}}))(t)
		if found.String() != imap.NumSetOf(filed[1].UID).String() {
			t.Error("found", found)
		}
	}

	must(c.Create(t.Context(), "There", ""))(t)
	copied := must(c.Copy(t.Context(), set, "There"))(t)
	moved := must(c.Move(t.Context(), imap.NumSetOf(filed[2].UID), "There"))(t)
	if !copied.Known || copied.UIDs[filed[1].UID] != 2 || !moved.Known || moved.UIDs[filed[2].UID] != 3 {
		t.Error(copied, moved)
	}
	must(c.Store(t.Context(), imap.NumSetOf(filed[0].UID, filed[1].UID), imap.Store{Op: imap.StoreAdd, Silent: true, Flags: []string{`\Deleted`}}))(t)
	if err := c.Expunge(t.Context(), imap.NumSetOf(filed[0].UID)); err != nil {
		t.Fatal(err)
	}
	again := must(c.Select(t.Context(), "INBOX", SelectOptions{QResync: &imap.QResync{UIDValidity: sel.UIDValidity, ModSeq: sel.HighestModSeq}}))(t)
	if again.Exists != 4 || again.Vanished.String() != imap.NumSetOf(filed[0].UID, filed[2].UID).String() ||
		len(again.Changed) != 1 || again.Changed[0].UID != filed[1].UID || !again.Changed[0].Flags.Has(mail.Deleted|mail.Flagged) {
		t.Errorf("since then: %+v", again)
	}
	var vanished imap.NumSet
	err := c.Fetch(t.Context(), all, FetchOptions{Flags: true, ChangedSince: sel.HighestModSeq, Vanished: &vanished}, nil)
	if err != nil || vanished.String() != again.Vanished.String() {
		t.Errorf("vanished %s, %v", vanished, err)
	}
}

// Without any extension the same is reached, and what can't be said is said to be unknown.
func TestDovecotWithBareCapabilities(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{Capability: "IMAP4rev1"})
	c := signIn(t, s, func(cfg *Config) {
		cfg.Ignore = []string{"LITERAL+", "SASL-IR", "ENABLE", "IDLE", "AUTH=PLAIN", "ID", "LOGIN-REFERRALS"}
	})
	if c.Has(imap.CapUIDPlus) || c.Has(imap.CapCondStore) || c.Enabled(imap.CapQResync) {
		t.Fatal("capabilities were not stripped")
	}
	batch := []AppendMessage{{Body: message(40)}, {Flags: mail.ParseFlags("$Forwarded"), Body: message(41)}}
	filed := must(c.AppendAll(t.Context(), "INBOX", batch))(t)
	if filed[0].Err != nil || filed[1].Err != nil {
		t.Fatal(filed)
	}
	sel := must(c.Select(t.Context(), "INBOX", SelectOptions{QResync: &imap.QResync{UIDValidity: 1, ModSeq: 1}}))(t)
	got := must(fetchAll(t.Context(), c, FetchOptions{Flags: true, Sections: []imap.FetchItem{WholeMessage}}))(t)
	if sel.Exists != 2 || sel.UIDNext != 3 || len(got) != 2 || !bytes.Equal(got[1].Body(), batch[1].Body) || !got[1].Flags.Equal(batch[1].Flags) {
		t.Errorf("%+v, %d messages", sel, len(got))
	}
	boxes := must(c.List(t.Context(), ListOptions{Status: []imap.StatusItem{imap.StatusMessages, imap.StatusHighestModSeq}}))(t)
	for _, b := range boxes {
		if b.Status == nil || len(b.Status.Values) != 1 {
			t.Errorf("%+v", b)
		}
	}
	if err := c.Expunge(t.Context(), all); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if err := c.FetchFlags(t.Context(), 1, nil); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if err := c.Unselect(t.Context()); err != nil || c.Selected() != "INBOX" {
		t.Error("UNSELECT was imitated", err)
	}
}

// A message with a NUL goes as a literal8, the only literal that may hold one
// (RFC 9051 §4.3). Dovecot gives the NUL back as 0x80: the mirror must read back what it appended.
func TestDovecotNUL(t *testing.T) {
	t.Parallel()
	c := signIn(t, start(t, dovecot.Config{}))
	odd := append(message(1), "a\x00b\r\n"...)
	sent := [][]byte{message(2), odd, message(3)}
	got := must(c.AppendAll(t.Context(), "INBOX", []AppendMessage{{Body: sent[0]}, {Body: sent[1]}, {Body: sent[2]}}))(t)
	must(c.Select(t.Context(), "INBOX", SelectOptions{}))(t)
	for i, m := range must(fetchAll(t.Context(), c, FetchOptions{Sections: []imap.FetchItem{WholeMessage}}))(t) {
		if want := bytes.ReplaceAll(sent[i], []byte{0}, []byte{0x80}); got[i].UID != m.UID || !bytes.Equal(m.Body(), want) {
			t.Errorf("UID %d (%+v): %q", m.UID, got[i], m.Body())
		}
	}
}

func fetchAll(ctx context.Context, c *Conn, o FetchOptions) ([]*Message, error) {
	var got []*Message
	err := c.Fetch(ctx, all, o, func(m *Message) error {
		got = append(got, m)
		return nil
	})
	return got, err
}

func TestDovecotTellsNewsInIdle(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{})
	for _, ignore := range [][]string{nil, {"IDLE"}} {
		watch := signIn(t, s, func(cfg *Config) { cfg.Ignore, cfg.PollEvery = ignore, 50*time.Millisecond })
		other := signIn(t, s)
		exists := make(chan uint32, 10)
		must(watch.Select(t.Context(), "INBOX", SelectOptions{Handler: Handler{Exists: func(n uint32) { exists <- n }}}))(t)
		result := make(chan error, 1)
		go func() {
			news, err := watch.Idle(t.Context())
			if !news {
				err = errors.Join(err, errors.New("no news"))
			}
			result <- err
		}()
		must(other.Append(t.Context(), "INBOX", AppendMessage{Body: message(1)}))(t)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		<-exists
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if news, err := watch.Idle(ctx); news || err != nil {
			t.Error(news, err)
		}
		if err := watch.Noop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDovecotDies(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{})
	c, frozen := signIn(t, s), signIn(t, s, func(cfg *Config) { cfg.Timeout = 300 * time.Millisecond })
	must(c.Select(t.Context(), "INBOX", SelectOptions{}))(t)
	idle := make(chan error, 1)
	go func() { _, err := c.Idle(t.Context()); idle <- err }()
	s.Freeze()
	if err := frozen.Noop(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Error("half-dead:", err)
	}
	s.Thaw()
	s.Kill()
	if err := <-idle; !fault.Is(err, fault.Unavailable) {
		t.Error("dead:", err)
	}
	if _, err := Dial(t.Context(), Config{Addr: s.Addr, TLS: TLSNone}); !fault.Is(err, fault.Unavailable) {
		t.Error("gone:", err)
	}
}

func TestDovecotQuota(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{Extra: "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\nplugin {\n  quota = count:User quota\n  quota_rule = *:storage=20K\n  quota_vsizes = yes\n}"})
	c := signIn(t, s)
	got := must(c.AppendAll(t.Context(), "INBOX", []AppendMessage{{Body: message(1)}, {Body: bytes.Repeat([]byte("0123456789\r\n"), 4000)}, {Body: message(2)}}))(t)
	if got[0].Err != nil || !fault.Is(got[1].Err, fault.OverLimit) || got[2].Err != nil {
		t.Errorf("%+v", got)
	}
	quotas := must(c.Quotas(t.Context(), "INBOX"))(t)
	if len(quotas) == 0 || quotas[0].Limit != 20 || quotas[0].Resource != "STORAGE" {
		t.Error(quotas)
	}
}

func TestDovecotPool(t *testing.T) {
	t.Parallel()
	s := start(t, dovecot.Config{Extra: "protocol imap {\n  mail_max_userip_connections = 2\n}"})
	secret := dovecot.MasterPassword
	now := clock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	p := NewPool(PoolConfig{Conn: Config{Addr: s.Addr, TLS: TLSNone}, Max: 5, PerAccount: 4, Clock: now,
		SignIn: func(_ context.Context, login string) (Credentials, error) {
			return Credentials{Login: login, Master: dovecot.MasterUser, Secret: secret}, nil
		}})
	defer func() { _ = p.Close() }()
	a, b := must(p.Lease(t.Context(), ann))(t), must(p.Lease(t.Context(), ann))(t)
	// The server refuses a third: it is waited for, not failed.
	third := make(chan *Lease)
	go func() {
		l, err := p.Lease(t.Context(), ann)
		if err != nil {
			t.Error(err)
		}
		third <- l
	}()
	a.Release()
	l := <-third
	if l == nil || l.Conn != a.Conn {
		t.Fatal("a connection was not used again")
	}
	// One that the server has closed meanwhile, or that answers no more, is not lent again.
	_ = b.Close()
	b.Release()
	now.Advance(time.Minute)
	must(p.Lease(t.Context(), ann))(t).Release()
	secret = "wrong"
	if _, err := p.Lease(t.Context(), "nobody@example.test"); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	if _, err := p.Lease(t.Context(), "nobody@example.test"); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	} else if _, ok := errors.AsType[*BackOffError](err); !ok {
		t.Error("not left alone:", err)
	}
	l.Release()
	now.Advance(time.Minute)
	secret = dovecot.MasterPassword
	again := must(p.Lease(t.Context(), ann))(t)
	if again.Conn != l.Conn {
		t.Error("a live connection was not used again")
	}
	again.Release()
	now.Advance(time.Hour)
	p.Trim()
	<-again.Done()
}

func BenchmarkDovecot(b *testing.B) {
	const n = 2000
	s := start(b, dovecot.Config{})
	c := signIn(b, s)
	var batch []AppendMessage
	for i := range n {
		batch = append(batch, AppendMessage{Flags: mail.ParseFlags(`\Seen`, "$Forwarded"), InternalDate: time.Now(), Body: append(message(i), bytes.Repeat([]byte("0123456789 0123456789 0123456789\r\n"), 200)...)})
	}
	fill := func(b *testing.B, box string) {
		must(c.Create(b.Context(), box, ""))(b)
		if got := must(c.AppendAll(b.Context(), box, batch))(b); got[n-1].UID != n {
			b.Fatal("no UID")
		}
	}
	boxes := 0
	b.Run("MultiAppend2000", func(b *testing.B) {
		for b.Loop() {
			boxes++
			fill(b, fmt.Sprint("box", boxes))
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "messages/s")
	})
	fill(b, "full")
	must(c.Select(b.Context(), "full", SelectOptions{}))(b)
	for name, o := range map[string]FetchOptions{
		"Fetch2000":      {Flags: true, InternalDate: true, Sections: []imap.FetchItem{WholeMessage}},
		"FetchFlags2000": {Flags: true},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got := must(fetchAll(b.Context(), c, o))(b); len(got) != n {
					b.Fatal(len(got))
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
