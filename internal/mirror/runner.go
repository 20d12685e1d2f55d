package mirror

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
)

// account is whose mailboxes are merged.
type account struct {
	ID     mail.AccountID
	Tenant mail.TenantID
	Domain mail.DomainID
	Email  string
	Login  string // at the primary
}

// domainRunner merges the accounts of one domain, each in a goroutine of its
// own, with a bound on the sessions that the primary has to bear.
type domainRunner struct {
	s       *Service
	domain  directory.Domain
	primary directory.Primary
	far     Primary
	ctx     context.Context
	stop    context.CancelFunc
	slots   *semaphore.Weighted
	wg      *sync.WaitGroup

	mu       sync.Mutex
	accounts map[mail.AccountID]*accountRunner
}

func newDomainRunner(ctx context.Context, s *Service, d directory.Domain, p directory.Primary, far Primary, wg *sync.WaitGroup) *domainRunner {
	r := &domainRunner{s: s, domain: d, primary: p, far: far, wg: wg,
		slots: semaphore.NewWeighted(int64(s.Sessions)), accounts: map[mail.AccountID]*accountRunner{}}
	r.ctx, r.stop = context.WithCancel(ctx)
	wg.Go(func() {
		<-r.ctx.Done()
		if err := far.Close(); err != nil {
			s.Log.Debug("close the primary", "domain", d.Name, "err", err)
		}
	})
	return r
}

// setPeople starts the accounts of new people and ends those of people who left.
func (r *domainRunner) setPeople(people []directory.Person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keep := map[mail.AccountID]bool{}
	for _, p := range people {
		keep[p.Account] = true
		if r.accounts[p.Account] != nil {
			continue
		}
		login := p.PrimaryLogin
		if login == "" {
			login = p.Email
		}
		a := &accountRunner{
			domain: r,
			account: account{ID: p.Account, Tenant: r.domain.Tenant, Domain: r.domain.ID,
				Email: p.Email, Login: login},
			started: r.s.Clock.Now(), wake: make(chan struct{}, 1),
		}
		a.ctx, a.stop = context.WithCancel(r.ctx)
		r.accounts[p.Account] = a
		r.wg.Go(a.run)
	}
	for id, a := range r.accounts {
		if !keep[id] {
			a.stop()
			delete(r.accounts, id)
		}
	}
}

// each calls fn for every account of the domain.
func (r *domainRunner) each(fn func(*accountRunner)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.accounts {
		fn(a)
	}
}

// accountRunner merges one account again and again.
type accountRunner struct {
	domain  *domainRunner
	account account
	ctx     context.Context
	stop    context.CancelFunc
	started time.Time
	wake    chan struct{}

	mu    sync.Mutex
	state accountState
}

// accountState is what status tells of an account.
type accountState struct {
	begun   time.Time // start of the last pass that went through
	done    time.Time // its end
	waiting int       // what it left for later: a relay owns it, or a draft rests
	refused int       // what the primary refused
	err     error     // why the last pass did not go through; nil after one that did
	running bool
}

func (a *accountRunner) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *accountRunner) snapshot() accountState {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// run merges the account when something changed here, when the primary says so,
// and at the latest every Every; after an error it waits longer each time.
func (a *accountRunner) run() {
	s := a.domain.s
	changed, stopWatch := s.Store.Watch(a.account.ID)
	defer stopWatch()
	// Accounts start at different moments, so that a thousand of them do not sign in at once.
	wait := time.Duration(rand.Int64N(int64(s.Every)/4 + 1))
	failures := 0
	for {
		timer := time.NewTimer(wait)
		select {
		case <-a.ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-a.wake:
			failures = 0
		case <-timer.C:
		}
		timer.Stop()
		err := a.once()
		if a.ctx.Err() != nil {
			return
		}
		wait = s.Every
		if err != nil {
			failures = min(failures+1, 6)
			wait = s.Every/2 + time.Duration(rand.Int64N(int64(s.Every)<<failures/8+1))
			if !fault.Retryable(err) {
				wait = s.Every << failures
			}
		} else {
			failures = 0
		}
	}
}

// once runs one pass if the gate lets it.
func (a *accountRunner) once() error {
	s := a.domain.s
	mode, err := s.Gate.Mode(a.ctx, a.account.Domain)
	if err != nil || mode.Idle() {
		return err
	}
	if err := a.domain.slots.Acquire(a.ctx, 1); err != nil {
		return err
	}
	defer a.domain.slots.Release(1)
	a.mu.Lock()
	a.state.running = true
	a.mu.Unlock()
	result, err := s.pass(a.ctx, a.domain.far, a.account, mode)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.running = false
	if err != nil {
		if a.state.err == nil || a.state.err.Error() != err.Error() {
			s.Log.Warn("merge an account", "account", a.account.Email, "err", err)
		}
		a.state.err = err
		return err
	}
	a.state = accountState{begun: result.started, done: s.Clock.Now(), waiting: result.waiting, refused: result.refused}
	return nil
}
