package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"relais/internal/clock"
	"relais/internal/db"
	"relais/internal/db/sqlite"
	"relais/internal/dns"
	"relais/internal/mail"
	"relais/internal/smtp/smtpclient"
	"relais/test/dnsserver"
	"relais/test/faultymx"
)

// store is a queue on SQLite with bodies in memory.
type store struct {
	engine  db.Engine
	clock   clock.Clock
	mu      sync.Mutex
	bodies  map[mail.Hash][]byte
	watch   []chan struct{}
	changed chan struct{} // closed and replaced at each committed transaction
}

func newStore(t testing.TB, c clock.Clock) *store {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return &store{engine: engine, clock: c, bodies: map[mail.Hash][]byte{}, changed: make(chan struct{})}
}

func (s *store) Queue(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	var touched db.Touched
	err := s.engine.Update(ctx, func(ctx context.Context, tx db.Tx) error {
		touched = db.Touched{}
		return fn(ctx, In(tx, s.clock.Now(), &touched))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	if slices.Contains(touched.Topics(), Topic) {
		for _, w := range s.watch {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	}
	return err
}

func (s *store) Body(_ context.Context, _ mail.TenantID, h mail.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.bodies[h]; ok {
		return b, nil
	}
	return nil, errors.New("no such body")
}

func (s *store) WatchTopic(string) (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan struct{}, 1)
	s.watch = append(s.watch, w)
	return w, func() {}
}

// put files a message for each recipient as one arrival.
func (s *store) put(t testing.TB, n New, body string, to ...string) []mail.QueueID {
	t.Helper()
	n.Hash, n.Size = mail.Sum([]byte(body)), int64(len(body))
	s.mu.Lock()
	s.bodies[n.Hash] = []byte(body)
	s.mu.Unlock()
	var ids []mail.QueueID
	err := s.Queue(t.Context(), func(ctx context.Context, tx *Tx) error {
		ids = nil
		for _, a := range to {
			n.To = address(t, a)
			id, err := tx.Enqueue(ctx, n)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func (s *store) item(t testing.TB, id mail.QueueID) (it Item) {
	t.Helper()
	err := s.engine.View(t.Context(), func(ctx context.Context, tx db.Tx) (err error) {
		it, err = In(tx, s.clock.Now(), nil).Item(ctx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// await waits until every row fulfils the condition.
func (s *store) await(t testing.TB, ids []mail.QueueID, what string, ok func(Item) bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		var open []Item
		for _, id := range ids {
			if it := s.item(t, id); !ok(it) {
				open = append(open, it)
			}
		}
		if len(open) == 0 {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%d of %d not %s, the first: %+v", len(open), len(ids), what, open[0])
		}
	}
}

func (s *store) awaitState(t testing.TB, ids []mail.QueueID, state State) {
	t.Helper()
	s.await(t, ids, string(state), func(it Item) bool { return it.State == state })
}

// Return keeps the notice and records the outcomes.
type returner struct {
	store   *store
	mu      sync.Mutex
	notices []*Notice
	fail    error
}

func (r *returner) Return(ctx context.Context, n *Notice, then func(ctx context.Context, tx *Tx) error) error {
	r.mu.Lock()
	fail := r.fail
	r.fail = nil
	r.mu.Unlock()
	if fail != nil {
		return fail
	}
	r.mu.Lock() // before the rows say so
	r.notices = append(r.notices, n)
	r.mu.Unlock()
	return r.store.Queue(ctx, then)
}

func (r *returner) all() []*Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notices)
}

func address(t testing.TB, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// world is a runner with a DNS server, on addresses of 127/8 that are the test's own.
type world struct {
	*store
	returner *returner
	dns      *dnsserver.Server
	resolver *dns.Resolver
	config   Config
	port     int
}

const body = "From: ann@exemple.test\r\nSubject: hi\r\nMessage-ID: <1@exemple.test>\r\n\r\nHello\r\n"

var from = mail.Address{Local: "ann", Domain: "exemple.test"}

func newWorld(t testing.TB) *world {
	t.Helper()
	s := newStore(t, clock.System{})
	d := dnsserver.Start(t)
	r, err := dns.New(dns.Config{Servers: []string{d.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // a port that is free on this and, as good as certainly, on the other addresses of loopback
	return &world{
		store: s, returner: &returner{store: s}, dns: d, resolver: r, port: l.Addr().(*net.TCPAddr).Port,
		config: Config{
			Hostname: "relais.test", Port: l.Addr().(*net.TCPAddr).Port, FirstRetry: 20 * time.Millisecond, LastRetry: 100 * time.Millisecond,
			Dial: smtpclient.Config{
				ConnectTimeout: 2 * time.Second, CommandTimeout: 500 * time.Millisecond, DataTimeout: 500 * time.Millisecond, FinalTimeout: 500 * time.Millisecond,
			},
		},
	}
}

// mx starts a mail exchanger on 127.0.0.n and makes it one of the domain.
func (w *world) mx(t testing.TB, domain string, preference, n int) *faultymx.Server {
	t.Helper()
	host := fmt.Sprintf("mx%d.%s.", n, domain)
	w.dns.Set(t, fmt.Sprintf("%s. 60 IN MX %d %s", domain, preference, host), fmt.Sprintf("%s 60 IN A 127.0.0.%d", host, n))
	return faultymx.StartAt(t, net.JoinHostPort("127.0.0."+strconv.Itoa(n), strconv.Itoa(w.port)))
}

// run runs the runner until stop or the end of the test.
func (w *world) run(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewRunner(w.config, w.store, w.resolver, w.returner).Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func received(m faultymx.Message) string { return string(bytes.TrimSpace(m.Data)) }
