// Package test holds the acceptance tests' own test: the traffic, the book and the walk agree on real servers without Relais.
package test

import (
	"testing"
	"time"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
	"relais/test/dovecot"
	"relais/test/postfix"
	"relais/test/sink"
	"relais/test/story"
)

// TestHarnessAgreesOnRealServers sends traffic through Postfix and Dovecot, kills both in the middle, and expects
// the walk to find exactly what the book says. Only then does a difference found in a story accuse Relais.
func TestHarnessAgreesOnRealServers(t *testing.T) {
	t.Parallel()
	company := traffic.NewCompany("exemple.test", 6)
	var users []dovecot.User
	var recipients []string
	for _, p := range company.Staff {
		users = append(users, dovecot.User{Login: p.Email, Password: p.Password})
		recipients = append(recipients, p.Email)
	}
	outside := sink.Start(t)
	imap := dovecot.Start(t, dovecot.Config{Users: users})
	smtp := postfix.Start(t, postfix.Config{Domain: company.Domain, Recipients: recipients, LMTP: imap.LMTP, Sink: outside.Addr})

	book := traffic.NewBook()
	writer := traffic.NewWriter(company, 1, "harness")
	if err := traffic.Load(book, imap.Addr, writer.History(300, time.Now())); err != nil {
		t.Fatal(err)
	}

	sender := &traffic.Sender{Addr: smtp.Addr, Helo: "outside.test"}
	defer sender.Close()
	send := func(m traffic.Message) {
		t.Helper()
		if err := sender.Deliver(m, time.Minute); err != nil {
			t.Fatal(err)
		}
		book.Delivered(m)
		book.SentOutside(m)
	}
	for i := range 60 {
		send(writer.Inbound(time.Now()))
		send(writer.Internal(time.Now()))
		send(writer.Outbound(time.Now()))
		if i == 30 {
			smtp.KillIdle(time.Minute)
			imap.Kill()
			imap.Run()
			smtp.Run()
		}
	}
	var tally traffic.Tally
	for i, p := range company.Staff {
		session, err := traffic.SignIn(book, imap.Addr, p, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Work(20); err != nil {
			t.Fatal(err)
		}
		if err := session.FileSent(writer.Write(p, company.Outside[:1], time.Now())); err != nil {
			t.Fatal(err)
		}
		tally.Add(session.Tally)
		session.Close()
	}
	smtp.Drained(time.Minute)
	t.Logf("%d messages in the book; %s", book.Messages(), tally)

	for _, p := range company.Staff {
		got := story.Walk(t, imap.Addr, p.Email+"*"+dovecot.MasterUser, dovecot.MasterPassword)
		if d := walker.Compare(book.Account(p.Email), got); !d.Empty() {
			t.Errorf("%s differs:\n%s", p.Email, d)
		}
	}
	got := map[[32]byte]int{}
	for _, m := range outside.Messages() {
		got[walker.Hash(m.Data)]++
	}
	for hash, n := range book.Outside() {
		if got[hash] != n {
			t.Errorf("the outside has %d copies of %x, want %d", got[hash], hash[:4], n)
		}
	}
}
