// Package test holds the acceptance tests' own test: the traffic, the book and the walk agree on real servers without Relais.
package test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
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
	users, recipients := accounts(company)
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

// TestBookSurvivesBrokenConnections cuts people's connections to Dovecot again and again. Whatever had no answer is
// looked up by the session afterwards, so that the book is right even then. (Dovecot itself is not killed here: a
// Maildir may keep both ends of a MOVE that was interrupted.)
func TestBookSurvivesBrokenConnections(t *testing.T) {
	t.Parallel()
	company := traffic.NewCompany("exemple.test", 4)
	users, _ := accounts(company)
	imap := dovecot.Start(t, dovecot.Config{Users: users})
	book := traffic.NewBook()
	if err := traffic.Load(book, imap.Addr, traffic.NewWriter(company, 2, "broken").History(200, time.Now())); err != nil {
		t.Fatal(err)
	}
	proxy := startCutter(t, imap.Addr)
	var working sync.WaitGroup
	for i, p := range company.Staff {
		working.Go(func() {
			var session *traffic.Session
			err := errors.New("not yet")
			for range 50 {
				if session, err = traffic.SignIn(book, proxy.addr, p, uint64(i)); err == nil {
					break
				}
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer session.Close()
			session.Patience = time.Minute
			if err := session.Work(60); err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	t.Logf("%d connections were cut; %d messages left in the book", proxy.cuts.Load(), book.Messages())
	if proxy.cuts.Load() < 10 {
		t.Error("too few to prove anything")
	}
	agree(t, imap, company, book)
}

// cutter is a proxy that cuts each connection after a random number of bytes from the server: the server has done
// what it was asked, the client does not know.
type cutter struct {
	addr string
	cuts atomic.Int64
}

func startCutter(t *testing.T, target string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	c := &cutter{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.carry(client, target)
		}
	}()
	return c
}

func (c *cutter) carry(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client) }()
	if n, _ := io.CopyN(client, server, 4000+rand.Int64N(20000)); n > 0 {
		c.cuts.Add(1)
	}
}

func accounts(c traffic.Company) (users []dovecot.User, recipients []string) {
	for _, p := range c.Staff {
		users = append(users, dovecot.User{Login: p.Email, Password: p.Password})
		recipients = append(recipients, p.Email)
	}
	return users, recipients
}

func agree(t *testing.T, imap *dovecot.Server, c traffic.Company, book *traffic.Book) {
	t.Helper()
	for _, p := range c.Staff {
		got, err := walker.Walk(imap.Addr, p.Email+"*"+dovecot.MasterUser, dovecot.MasterPassword)
		if err != nil {
			t.Fatal(err)
		}
		if d := walker.Compare(book.Account(p.Email), got); !d.Empty() {
			t.Errorf("%s differs:\n%s", p.Email, d)
		}
	}
}
