// Package story tells the main job from beginning to end on real servers: a company's Postfix and Dovecot die under
// traffic, Relais carries the mail on, they come back, and a walk that shares no code with Relais finds everything there.
package story

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
	"relais/test/dnsserver"
	"relais/test/dovecot"
	"relais/test/postfix"
	"relais/test/proc"
	"relais/test/relais"
	"relais/test/sink"
)

// Size is how much happens.
type Size struct {
	People  int
	History int // messages before the story begins
	Outside int // messages from outside during the outage
	Sent    int // messages that people send on the standby
	Work    int // things that each of them does to a mailbox, on each side
}

// The sizes of make test-long and make test.
var (
	Full  = Size{People: 20, History: 5000, Outside: 500, Sent: 100, Work: 12}
	Short = Size{People: 20, History: 800, Outside: 150, Sent: 40, Work: 5}
	Tiny  = Size{People: 6, History: 150, Outside: 40, Sent: 12, Work: 4}
)

// The company's domain and its name in Relais.
const (
	Domain = "exemple.test"
	Org    = "exemple"
)

// ProbePeriod is what the stories set; detection may take three of them.
const ProbePeriod = time.Second

// Options say what is different in one story.
type Options struct {
	Size  Size
	Store string // of the node, SQLite if empty
	Seed  uint64
}

// Stage is everyone in a story.
type Stage struct {
	Options
	Company  traffic.Company
	Book     *traffic.Book
	Dovecot  *dovecot.Server
	Postfix  *postfix.Server
	Outside  *sink.Server
	Node     *relais.Node
	Patience time.Duration // with a node that is killed again and again
	// Age of the youngest message that people touch on the primary: one deleted before the mirror saw it would still
	// be owed to a rebuilt primary.
	Age time.Duration

	T       testing.TB
	started time.Time
	mu      sync.Mutex // of what follows
	steps   int
	acked   int
	stop    []func()
}

// Open brings up the company's servers with their history and a node that is not connected to them yet.
func Open(t testing.TB, o Options) *Stage {
	t.Helper()
	s := newStage(t, o)
	var users []dovecot.User
	var recipients []string
	for _, p := range s.Company.Staff {
		users = append(users, dovecot.User{Login: p.Email, Password: p.Password})
		recipients = append(recipients, p.Email)
	}
	s.Dovecot = dovecot.Start(t, dovecot.Config{Users: users})
	s.Postfix = postfix.Start(t, postfix.Config{Domain: Domain, Recipients: recipients, LMTP: s.Dovecot.LMTP, Sink: s.Outside.Addr})
	s.Say("Postfix and Dovecot run with %d people", len(s.Company.Staff))
	s.check(traffic.Load(s.Book, s.Dovecot.Addr, s.Writer("history").History(o.Size.History, time.Now())))
	s.Say("they hold %d messages of history", s.Book.Messages())
	s.Node = relais.New(t, s.nodeConfig())
	t.Cleanup(s.Silence) // before the node goes
	return s
}

func newStage(t testing.TB, o Options) *Stage {
	s := &Stage{
		Options: o, T: t, started: time.Now(), Company: traffic.NewCompany(Domain, o.Size.People), Book: traffic.NewBook(),
		Patience: time.Minute, Age: 5 * time.Second,
	}
	s.Outside = sink.Start(t)
	return s
}

// nodeConfig points the node at a DNS server that knows nobody and at the sink for all mail that leaves.
func (s *Stage) nodeConfig() relais.Config {
	names := dnsserver.Start(s.T)
	return relais.Config{Store: s.Store, TOML: fmt.Sprintf("[dns]\nservers = [%q]\n\n[outbound]\nsmart_host = %q\n", names.Addr, s.Outside.Addr)}
}

// Writer writes messages that no other writer of the story writes.
func (s *Stage) Writer(tag string) *traffic.Writer { return traffic.NewWriter(s.Company, s.Seed, tag) }

// Say tells a step with the time since the beginning.
func (s *Stage) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	s.T.Logf("%7.2fs  %2d  %s", time.Since(s.started).Seconds(), s.steps, fmt.Sprintf(format, args...))
}

// Connect introduces the company to the node: organisation, domain, primary, people.
func (s *Stage) Connect() {
	s.T.Helper()
	n := s.Node
	n.Must("org", "add", Org)
	n.Must("domain", "add", Domain, "--org", Org, "--topology", "inpath")
	n.Must("domain", "set", Domain, "--failover", "auto")
	n.Must("people", "import", PeopleFile(s.T, s.Company), "--org", Org)
	n.Must("primary", "add", Domain, "--imap", s.Dovecot.Addr, "--imap-tls", "none", "--smtp", s.Postfix.Addr, "--smtp-tls", "none",
		"--master", dovecot.MasterUser, "--secret-file", s.file("master", dovecot.MasterPassword+"\n"), "--probe-every", ProbePeriod.String())
	s.Say("relais knows the company and its primary")
}

// PeopleFile writes the file that "people import" reads and gives its path.
func PeopleFile(t testing.TB, c traffic.Company) string {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"email", "name", "aliases", "groups", "phone", "primary_login", "password"}}
	for i, p := range c.Staff {
		rows = append(rows, []string{p.Email, p.Name, "", "", fmt.Sprintf("+33 6 00 00 00 %02d", i), p.Email, p.Password})
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatalf("write the people's file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatalf("write the people's file: %v", err)
	}
	return path
}

func (s *Stage) file(name, text string) string {
	s.T.Helper()
	path := filepath.Join(s.T.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.T.Fatalf("write %s: %v", name, err)
	}
	return path
}

// Background runs step again and again until Silence or the end of the test.
func (s *Stage) Background(every time.Duration, step func() error) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if err := step(); err != nil {
				s.T.Errorf("background: %v", err)
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(done)
		<-ended
	})
	s.stop = append(s.stop, stop)
	return stop
}

// Silence ends all that runs in the background.
func (s *Stage) Silence() {
	for _, stop := range s.stop {
		stop()
	}
	s.stop = nil
}

// Inbound lets the outside send a message through Relais at each tick, for as long as the story goes on.
func (s *Stage) Inbound(every time.Duration) (stop func()) {
	sender, writer := &traffic.Sender{Addr: s.Node.MX(), Helo: "outside.test"}, s.Writer("in")
	return s.Background(every, func() error { return s.receive(sender, writer) })
}

func (s *Stage) receive(sender *traffic.Sender, writer *traffic.Writer) error {
	m := writer.Inbound(time.Now())
	if err := sender.Deliver(m, s.Patience); err != nil {
		return err
	}
	s.Book.Delivered(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked++
	return nil
}

// Received counts the messages from outside that got their 250.
func (s *Stage) Received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

// AwaitReceived waits until n messages from outside were acknowledged.
func (s *Stage) AwaitReceived(n int, limit time.Duration) {
	s.T.Helper()
	if !proc.Poll(limit, func() bool { return s.Received() >= n || s.T.Failed() }) || s.T.Failed() {
		s.T.Fatalf("%d of %d messages from outside were taken within %s", s.Received(), n, limit)
	}
}

// OfficeHours is what people do on the primary while all is well: they send inside and outside through Postfix,
// file the copy in Sent, and work in their mailboxes.
func (s *Stage) OfficeHours(rounds int) {
	s.T.Helper()
	sender, writer := &traffic.Sender{Addr: s.Postfix.Addr, Helo: "desk"}, s.Writer("office")
	defer sender.Close()
	var tally traffic.Tally
	for i, p := range s.Company.Staff {
		session := s.signIn(s.Dovecot.Addr, p, uint64(i))
		session.Age = s.Age
		for range rounds {
			for _, to := range []traffic.Person{s.Company.Outside[i%len(s.Company.Outside)], s.Company.Staff[(i+1)%len(s.Company.Staff)]} {
				m := writer.Write(p, []traffic.Person{to}, time.Now())
				s.check(sender.Deliver(m, s.Patience))
				s.Book.Delivered(m)
				s.Book.SentOutside(m)
				s.check(session.FileSent(m))
			}
		}
		s.check(session.Work(s.Size.Work))
		tally.Add(session.Tally)
		session.Close()
	}
	s.Say("people worked on the primary: %s", tally)
}

// Standby is what people do while the primary is away: they send through Relais, inside and outside, and work in
// their mailboxes there.
func (s *Stage) Standby(sent int) {
	s.T.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var tally traffic.Tally
	workers := min(4, len(s.Company.Staff))
	for w := range workers {
		wg.Go(func() {
			writer := s.Writer(fmt.Sprintf("standby%d", w))
			for i := w; i < len(s.Company.Staff); i += workers {
				share := sent / len(s.Company.Staff)
				if i < sent%len(s.Company.Staff) {
					share++
				}
				done, err := s.stint(i, share, s.Size.Work, writer)
				if err != nil {
					s.T.Errorf("on the standby: %v", err)
				}
				mu.Lock()
				tally.Add(done)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if s.T.Failed() {
		s.T.FailNow()
	}
	s.Say("people worked on the standby: %s", tally)
}

// KeepBusy has one of the staff in turn send a message and do something to a mailbox on the standby at each tick.
func (s *Stage) KeepBusy(every time.Duration) (stop func()) {
	writer, turn := s.Writer("busy"), 0
	return s.Background(every, func() error {
		_, err := s.stint(turn%len(s.Company.Staff), 1, 1, writer)
		turn++
		return err
	})
}

func (s *Stage) stint(i, sent, deeds int, writer *traffic.Writer) (traffic.Tally, error) {
	p := s.Company.Staff[i]
	session, err := s.session(s.Node.IMAP(), p, uint64(1000+i))
	if err != nil {
		return traffic.Tally{}, err
	}
	defer session.Close()
	sender := &traffic.Sender{Addr: s.Node.Submission(), Helo: "home", User: p.Email, Password: p.Password}
	defer sender.Close()
	for k := range sent {
		to := s.Company.Staff[(i+1+k)%len(s.Company.Staff)]
		if (i+k)%2 == 0 {
			to = s.Company.Outside[(i+k)%len(s.Company.Outside)]
		}
		m := writer.Write(p, []traffic.Person{to}, time.Now())
		if err := sender.Deliver(m, s.Patience); err != nil {
			return session.Tally, err
		}
		s.Book.Submitted(m)
		session.Tally.Sent++
	}
	return session.Tally, session.Work(deeds)
}

func (s *Stage) signIn(addr string, p traffic.Person, seed uint64) *traffic.Session {
	s.T.Helper()
	session, err := s.session(addr, p, seed)
	s.check(err)
	return session
}

// session signs in, again and again while the node is being killed.
func (s *Stage) session(addr string, p traffic.Person, seed uint64) (session *traffic.Session, err error) {
	proc.Poll(s.Patience, func() bool {
		session, err = traffic.SignIn(s.Book, addr, p, s.Seed+seed)
		return err == nil
	})
	if err == nil {
		session.Patience = s.Patience
	}
	return session, err
}

func (s *Stage) check(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

// PrimaryIs waits until a walk of every account on the primary finds what the book says.
func (s *Stage) PrimaryIs(limit time.Duration) {
	s.T.Helper()
	s.agree("the primary", limit, func(p traffic.Person) (walker.Account, error) {
		return walker.Walk(s.Dovecot.Addr, p.Email+"*"+dovecot.MasterUser, dovecot.MasterPassword)
	})
}

// StandbyIs waits until a walk of every account on the standby finds what the book says.
func (s *Stage) StandbyIs(limit time.Duration) {
	s.T.Helper()
	s.agree("the standby", limit, func(p traffic.Person) (walker.Account, error) {
		return walker.Walk(s.Node.IMAP(), p.Email, p.Password)
	})
}

// agree walks each account until nothing differs, since mail that was accepted is on its way, more arrives meanwhile,
// and a probe may lie in a mailbox at the moment of the walk. What still differs at the limit is what differs.
func (s *Stage) agree(where string, limit time.Duration, walk func(traffic.Person) (walker.Account, error)) {
	s.T.Helper()
	var all walker.Diff
	messages := 0
	deadline := time.Now().Add(limit)
	for _, p := range s.Company.Staff {
		var diff walker.Diff
		var got walker.Account
		var err error
		proc.Poll(max(time.Until(deadline), 0), func() bool {
			// A message that goes away in the middle of a walk spoils it.
			if got, err = walk(p); err != nil {
				return false
			}
			diff = walker.Compare(s.Book.Account(p.Email), got)
			return diff.Empty()
		})
		s.check(err)
		messages += len(got.Items)
		all.Add(diff)
	}
	if !all.Empty() {
		s.T.Fatalf("after %s %s differs from the book:\n%s", limit, where, all)
	}
	s.Say("a walk of %s finds the %d messages of the book, none more, each with its flags, folder and date", where, messages)
}

// OutsideHas checks that the outside received what was sent to it. repeats is how many messages may have come twice:
// one in flight for each time that a sender was killed (RFC 1047).
func (s *Stage) OutsideHas(repeats int, limit time.Duration) {
	s.T.Helper()
	want := s.Book.Outside()
	var got map[[32]byte]int
	complete := proc.Poll(limit, func() bool {
		got = map[[32]byte]int{}
		for _, m := range s.Outside.Messages() {
			got[walker.Hash(m.Data)]++
		}
		for hash := range want {
			if got[hash] == 0 {
				return false
			}
		}
		return true
	})
	if !complete {
		s.T.Fatalf("after %s the outside lacks some of the %d messages sent to it", limit, len(want))
	}
	twice := 0
	for hash, n := range want {
		twice += got[hash] - n
	}
	if twice > repeats {
		s.T.Errorf("%d messages came to the outside more often than they were sent; at most %d may", twice, repeats)
	}
	s.Say("the outside received the %d messages sent to it, %d of them twice", len(want), twice)
}
