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
	idles   *idles
	wg      *sync.WaitGroup

	mu       sync.Mutex
	accounts map[mail.AccountID]*accountRunner
}

func newDomainRunner(ctx context.Context, s *Service, d directory.Domain, p directory.Primary, far Primary, wg *sync.WaitGroup) *domainRunner {
	sessions := min(s.Sessions, far.MaxSessions())
	r := &domainRunner{s: s, domain: d, primary: p, far: far, wg: wg, idles: newIdles(min(s.Idles, far.MaxSessions()-sessions)),
		slots: semaphore.NewWeighted(int64(sessions)), accounts: map[mail.AccountID]*accountRunner{}}
	r.ctx, r.stop = context.WithCancel(ctx)
	wg.Go(func() {
		<-r.ctx.Done()
		if err := far.Close(); err != nil {
			s.Log.Debug("close the primary", "domain", d.Name, "err", err)
		}
	})
	return r
}

// setPeople starts the accounts of new people and ends those of people who left or sign in by another name now.
func (r *domainRunner) setPeople(people []directory.Person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keep := map[mail.AccountID]bool{}
	for _, p := range people {
		keep[p.Account] = true
		login := p.PrimaryLogin
		if login == "" {
			login = p.Email
		}
		now := account{ID: p.Account, Tenant: r.domain.Tenant, Domain: r.domain.ID, Email: p.Email, Login: login}
		if a := r.accounts[p.Account]; a != nil {
			if a.account == now {
				continue
			}
			a.stop()
		}
		a := &accountRunner{domain: r, account: now, started: r.s.Clock.Now(), wake: make(chan struct{}, 1)}
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
	inbox   Token // as of the last pass: IDLE tells what is newer

	mu    sync.Mutex
	state accountState
}

// accountState is what status tells of an account.
type accountState struct {
	begun    time.Time // start of the last pass that went through
	done     time.Time // its end
	waiting  int       // what it left for later: a relay owns it, or a draft rests
	refused  int       // what the primary refused
	expunges int       // what the primary could only mark as deleted
	err      error     // why the last pass did not go through; nil after one that did
	running  bool
}

// failedAgain is the time after which a failed pass is tried again; it grows with each further failure.
const failedAgain = 5 * time.Second

// startWithin is the time within which the accounts of a primary are first looked at.
const startWithin = time.Second

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
	defer a.domain.idles.leave(a)
	// Accounts start at different moments, so that a thousand of them do not sign in at once.
	wait := time.Duration(rand.Int64N(int64(min(s.Every, startWithin)) + 1))
	failures := 0
	for {
		if a.await(changed, wait, failures == 0) {
			failures = 0
		}
		if a.ctx.Err() != nil {
			return
		}
		began := time.Now()
		err := a.once()
		if a.ctx.Err() != nil {
			return
		}
		// An account that changes all the time leaves some for the others.
		pause := max(s.Pause-time.Since(began), time.Since(began)/4)
		wait = s.Every
		if err != nil {
			failures = min(failures+1, 6)
			again := min(s.Every, failedAgain)
			wait = again/2 + time.Duration(rand.Int64N(int64(again)<<failures/8+1))
			if !fault.Retryable(err) {
				wait = again << failures
			}
		} else {
			failures = 0
		}
		select {
		case <-a.ctx.Done():
		case <-time.After(pause):
		}
	}
}

// await returns when it is time for a pass, and tells whether a person asked for
// it. Where the account has a place for it, the primary is listened to meanwhile.
func (a *accountRunner) await(changed <-chan struct{}, wait time.Duration, healthy bool) (kicked bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	ctx, stop := context.WithCancel(a.ctx)
	var news chan struct{}
	if healthy && a.inbox.UIDValidity != 0 && a.domain.idles.take(a) {
		news = make(chan struct{})
		go func() {
			defer close(news)
			a.listen(ctx)
		}()
		defer func() { <-news }()
	}
	defer stop()
	select {
	case <-a.ctx.Done():
	case <-changed:
	case <-a.wake:
		kicked = true
	case <-news:
	case <-timer.C:
	}
	return kicked
}

// once runs one pass if the gate lets it.
func (a *accountRunner) once() error {
	s := a.domain.s
	mode, err := s.Gate.Mode(a.ctx, a.account.Domain)
	if err != nil || mode.Idle() {
		a.inbox = Token{} // and no listening either
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
	a.inbox = result.inboxToken()
	if result.worked() {
		a.domain.idles.use(a)
	}
	a.state = accountState{begun: result.started, done: s.Clock.Now(), waiting: result.waiting, refused: result.refused, expunges: len(result.expunges)}
	return nil
}
