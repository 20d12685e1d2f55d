// Package bench runs Relais beside Postfix and Dovecot, in turns, and prints how they compare.
//
// Both sides say 250 only once the message would survive a power cut: Postfix fsyncs its queue file, Dovecot's LMTP
// fsyncs what it saves under mail_fsync=optimized (its default; "always" adds syncs that protect no acknowledged
// message), Relais fsyncs pack and database. Both verify SPF, DKIM and DMARC. A message counts once it can be read in
// the mailbox.
package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
	"relais/test/dovecot"
	"relais/test/postfix"
	"relais/test/proc"
	"relais/test/relais"
	"relais/test/sink"
	"relais/test/story"
)

// peer is a mail system under load.
type peer struct {
	name  string
	smtp  string
	cpu   func() time.Duration
	inbox []*imapclient.Client // one for each person
}

// readable counts the messages in everyone's inbox.
func (p *peer) readable(t testing.TB) int {
	t.Helper()
	sum := 0
	for _, c := range p.inbox {
		data, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		sum += int(*data.NumMessages)
	}
	return sum
}

// await waits until n messages can be read.
func (p *peer) await(t testing.TB, n int) {
	t.Helper()
	got := 0
	if !proc.Poll(time.Minute, func() bool { got = p.readable(t); return got >= n }) {
		t.Fatalf("%s: %d messages can be read, want %d", p.name, got, n)
	}
}

func (p *peer) signIn(t testing.TB, addr string, staff []traffic.Person) {
	t.Helper()
	for _, person := range staff {
		c, err := imapclient.DialInsecure(addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.Login(person.Email, person.Password).Wait(); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		p.inbox = append(p.inbox, c)
	}
}

// checks fails unless the first readable message carries the verdicts of all three checks: a side that skips them
// would win unjustly.
func (p *peer) checks(t testing.TB) {
	t.Helper()
	for _, c := range p.inbox {
		if box, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil || box.NumMessages == 0 {
			continue
		}
		section := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader}
		got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		// STATUS of a selected folder would not be up to date (RFC 9051 §6.3.11).
		if err := c.Unselect().Wait(); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		header := string(got[0].BodySection[0].Bytes)
		for _, verdict := range []string{"dkim=pass", "spf=pass", "dmarc=pass"} {
			if !strings.Contains(header, verdict) {
				t.Fatalf("%s: no %s in\n%s", p.name, verdict, header)
			}
		}
		return
	}
	t.Fatalf("%s: nothing to look at", p.name)
}

func startPostfixDovecot(t testing.TB, o *postOffice) *peer {
	t.Helper()
	var users []dovecot.User
	var recipients []string
	for _, s := range o.company.Staff {
		users = append(users, dovecot.User{Login: s.Email, Password: s.Password})
		recipients = append(recipients, s.Email)
	}
	checks := startCheckers(t, o.zone)
	mailboxes := dovecot.Start(t, dovecot.Config{Users: users, Fsync: "optimized"})
	mta := postfix.Start(t, postfix.Config{
		Domain: domain, Recipients: recipients, LMTP: mailboxes.LMTP, Sink: sink.Start(t).Addr, Milters: checks.milters,
		// Postfix slows senders down when its queue grows faster than it drains; here that would only idle the machine.
		Extra: "in_flow_delay = 0\n",
	})
	p := &peer{name: "Postfix + Dovecot", smtp: mta.Addr, cpu: func() time.Duration { return mta.CPU() + mailboxes.CPU() + checks.cpu() }}
	p.signIn(t, mailboxes.Addr, o.company.Staff)
	return p
}

func startRelais(t testing.TB, o *postOffice, store string) *peer {
	t.Helper()
	names := o.zone.serve(t, "127.0.0.1:0")
	n := story.Carry(t, o.company, relais.Config{Store: store, TOML: fmt.Sprintf("[dns]\nservers = [%q]\n", names.Addr)})
	p := &peer{name: "Relais", smtp: n.MX(), cpu: n.CPU}
	p.signIn(t, n.IMAP(), o.company.Staff)
	return p
}
