package continuity_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"relais/internal/continuity"
	"relais/internal/continuity/probe"
	"relais/internal/db/sqlite"
	"relais/internal/directory"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// bundle is a service over a new SQLite record with one domain, example.org, its
// primary and one person.
type bundle struct {
	*continuity.Service
	t      *testing.T
	store  *record.Store
	domain directory.Domain
	person directory.Person
	mirror *mirror
	walk   *walk
	config continuity.Config
	end    func()
}

// primary describes the primary of the bundle's domain.
type primary struct {
	smtp  string // HOST:PORT
	every time.Duration
	mode  directory.Failover
}

// setup makes a bundle; run starts it.
func setup(t *testing.T, p primary, change func(*continuity.Config)) *bundle {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "relais.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	b := &bundle{t: t, store: record.Open(record.Config{Engine: engine}), mirror: &mirror{}, walk: &walk{}}
	b.do(func(ctx context.Context, tx *record.Tx) error {
		tenant, err := tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: "example", Wrap: func(mail.TenantID) ([]byte, string, error) { return []byte{1}, "k", nil }})
		if err != nil {
			return err
		}
		b.domain, err = tx.Directory.CreateDomain(ctx, directory.NewDomain{Tenant: tenant.ID, Name: "example.org", Topology: directory.InPath, Failover: p.mode})
		if err != nil {
			return err
		}
		account, err := tx.Mailbox.CreateAccount(ctx, tenant.ID, mailbox.Person)
		if err != nil {
			return err
		}
		b.person, err = tx.Directory.CreatePerson(ctx, directory.NewPerson{Tenant: tenant.ID, Account: account.ID, Email: mail.Address{Local: "ann", Domain: "example.org"}})
		if err != nil {
			return err
		}
		return tx.Directory.SetPrimary(ctx, directory.Primary{Domain: b.domain.ID, SMTPAddr: p.smtp, IMAPTLS: directory.TLSNone, SMTPTLS: directory.TLSNone, ProbeEvery: p.every})
	})
	b.config = continuity.Config{
		Store: b.store, Mirror: b.mirror, Reconciler: b.walk, PollEvery: 20 * time.Millisecond,
		Probers: map[probe.Kind]probe.Prober{probe.SMTP: probe.Dialogue{Hello: "relais.test"}.Probe},
	}
	if change != nil {
		change(&b.config)
	}
	b.restart()
	return b
}

// restart makes a new service over the same record, as after a crash.
func (b *bundle) restart() {
	if b.end != nil {
		b.end()
	}
	b.Service = continuity.New(b.config)
	b.mirror.service, b.walk.service = b.Service, b.Service
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	b.end = sync.OnceFunc(func() { cancel(); <-done })
	b.t.Cleanup(b.end)
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
}

func (b *bundle) do(fn func(ctx context.Context, tx *record.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// await waits until the domain is in the state, and gives how long that took.
func (b *bundle) await(want continuity.State) time.Duration {
	b.t.Helper()
	began := time.Now()
	b.awaitThat("in state "+string(want), func() bool {
		got, _, err := b.State(b.t.Context(), b.domain.ID)
		return err == nil && got == want
	})
	return time.Since(began)
}

// awaitThat waits for something that a transaction of continuity makes true.
func (b *bundle) awaitThat(what string, ok func() bool) {
	b.t.Helper()
	changed, stop := b.store.WatchTopic(continuity.Topic)
	defer stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-changed:
		case <-look.C:
		case <-limit.C:
			b.t.Fatalf("after a minute the domain is not %s: %+v", what, b.status())
		}
	}
}

func (b *bundle) status() continuity.Status {
	b.t.Helper()
	st, err := b.Status(b.t.Context(), b.domain.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

func (b *bundle) failover() {
	b.t.Helper()
	if _, err := b.Failover(b.t.Context(), b.domain.ID, continuity.FailoverOptions{Actor: "root"}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) giveBack(rebuilt bool) {
	b.t.Helper()
	_, err := b.Return(b.t.Context(), b.domain.ID, continuity.ReturnOptions{Rebuilt: rebuilt, Actor: "root", Gate: "example.org"})
	if err != nil {
		b.t.Fatal(err)
	}
}

// refuse files an item that the primary refuses, as the mirror does.
func (b *bundle) refuse() {
	b.t.Helper()
	b.do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Link.AddRefusal(ctx, link.Refusal{Account: b.person.Account, Operation: "append", Name: "INBOX", Words: "too big"})
	})
}

// passages lists the states that the domain passed to, the first first.
func (b *bundle) passages() []continuity.State {
	b.t.Helper()
	log, err := b.Passages(b.t.Context(), b.domain.ID, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []continuity.State
	for _, p := range slices.Backward(log) {
		out = append(out, p.To)
	}
	return out
}

// mirror stands for the merge engine, which is above this package: what it is
// told is noted with the mode at that moment.
type mirror struct {
	service *continuity.Service
	mu      sync.Mutex
	calls   []string
	held    bool // no account is drained
	refused int
	fail    error
}

func (m *mirror) note(domain mail.DomainID, what string) error {
	mode, _ := m.service.Mode(context.Background(), domain)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case mode.Push && mode.Appends:
		what += " pushing"
	case !mode.Pull && !mode.Push:
		what += " resting"
	}
	m.calls = append(m.calls, what)
	return m.fail
}

func (m *mirror) Rebuilt(_ context.Context, d mail.DomainID, by string) error {
	return m.note(d, "rebuilt by "+by)
}
func (m *mirror) Drain(_ context.Context, d mail.DomainID) error { return m.note(d, "drain") }
func (m *mirror) Settled(mail.DomainID) bool                     { return true }
func (m *mirror) Progress(mail.DomainID, time.Time) continuity.DrainProgress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := continuity.DrainProgress{Accounts: 1, Drained: 1, Refused: m.refused}
	if m.held {
		p.Drained, p.Waiting = 0, 3
	}
	return p
}

func (m *mirror) hold(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = on
}

// walk stands for the reconciliation, which is above this package. It finds the
// differences of its list, one entry a round, then none.
type walk struct {
	service *continuity.Service
	mirror  []string
	mu      sync.Mutex
	finds   []int
	rounds  int
	store   *record.Store
	account mail.AccountID
	started chan struct{} // gets a value when a walk begins, if not nil
}

func (w *walk) Reconcile(ctx context.Context, d mail.DomainID, since, until time.Time) (continuity.Reconciliation, error) {
	if w.started != nil {
		w.started <- struct{}{}
		<-ctx.Done()
		return continuity.Reconciliation{}, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rounds++
	if mode, _ := w.service.Mode(ctx, d); mode.Pull || mode.Push {
		w.mirror = append(w.mirror, "the mirror moves during the walk")
	}
	if since.IsZero() || !until.After(since) {
		w.mirror = append(w.mirror, "the span of the walk is empty")
	}
	r := continuity.Reconciliation{Report: []byte(`{"signed":true}`)}
	if len(w.finds) > 0 {
		r.Differences = w.finds[0]
		w.finds = w.finds[1:]
	}
	if w.store != nil {
		err := w.store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
			r.Refused = 0
			open, err := tx.Link.Refusals(ctx, w.account)
			for _, o := range open {
				if o.AcceptedAt.IsZero() {
					r.Refused++
				}
			}
			return err
		})
		if err != nil {
			return r, err
		}
	}
	return r, nil
}
