package imapconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/fault"
	"relais/internal/imap"
)

// PoolConfig says how many connections a primary may get. Conn and SignIn are required.
type PoolConfig struct {
	Conn Config
	// SignIn tells how to sign in to an account.
	SignIn func(ctx context.Context, login string) (Credentials, error)

	Max        int           // connections in all; default 20
	PerAccount int           // connections of one account; default 4 (Dovecot's own limit is 10 for a user and address)
	IdleAge    time.Duration // a connection unused for longer is closed; default 3 minutes
	BackOff    time.Duration // first pause after a refusal, doubled by each further; default 1 second
	MaxBackOff time.Duration // default 1 minute
	Clock      clock.Clock   // default the system's
}

func (cfg *PoolConfig) setDefaults() {
	for _, n := range []struct {
		field   *int
		initial int
	}{{&cfg.Max, 20}, {&cfg.PerAccount, 4}} {
		if *n.field <= 0 {
			*n.field = n.initial
		}
	}
	for _, d := range []struct {
		field   *time.Duration
		initial time.Duration
	}{{&cfg.IdleAge, 3 * time.Minute}, {&cfg.BackOff, time.Second}, {&cfg.MaxBackOff, time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.initial
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
}

// A Pool holds the connections to one primary, signed in, and lends them by
// account. Safe for concurrent use.
type Pool struct {
	cfg PoolConfig

	mu       sync.Mutex
	accounts map[string]*account
	open     int // connections, leased, idle or being made
	whole    pause
	changed  chan struct{} // closed and renewed when something becomes free
	closed   bool
}

type account struct {
	open  int
	limit int // PerAccount, or fewer when the server said so
	idle  []*Lease
	pause pause
}

// A pause is the back-off after refusals.
type pause struct {
	until time.Time
	next  time.Duration
	err   error
}

// A Lease is a connection lent for one account's work.
type Lease struct {
	*Conn
	Login string

	pool *Pool
	used time.Time // when it was given back
}

// A BackOffError says that the server refused lately and is left alone until a
// moment. It wraps the refusal.
type BackOffError struct {
	Until time.Time
	Err   error
}

func (e *BackOffError) Error() string {
	return fmt.Sprintf("waiting until %s after: %v", e.Until.Format(time.TimeOnly), e.Err)
}

// Unwrap is the refusal.
func (e *BackOffError) Unwrap() error { return e.Err }

// NewPool makes an empty pool: connections are made when asked for.
func NewPool(cfg PoolConfig) *Pool {
	cfg.setDefaults()
	return &Pool{cfg: cfg, accounts: map[string]*account{}, changed: make(chan struct{})}
}

// Max is how many connections there may be in all.
func (p *Pool) Max() int { return p.cfg.Max }

// Lease gives a signed-in connection of the account: one that was given back,
// else a new one. It waits while all that are allowed are lent. While the
// server is left alone after a refusal it fails at once with a *BackOffError.
func (p *Pool) Lease(ctx context.Context, login string) (*Lease, error) {
	for {
		l, wait, err := p.reserve(login)
		if err != nil {
			return nil, err
		}
		if l != nil {
			if p.alive(ctx, l) {
				return l, nil
			}
			l.Release() // which drops it
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			continue
		}
		if wait == nil {
			l, err := p.connect(ctx, login)
			if l == nil && err == nil {
				continue // the server allows fewer than we thought: wait for one
			}
			return l, err
		}
		select {
		case <-wait:
		case <-time.After(limitHolds):
			p.relax(login)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// limitHolds is how long a lowered limit is believed while somebody waits: the
// server may have counted a connection that was just ending.
const limitHolds = 5 * time.Second

// relax lets an account's lowered limit rise by one.
func (p *Pool) relax(login string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(login)
	a.limit = min(a.limit+1, p.cfg.PerAccount)
}

// A connection unused for longer than freshFor is asked whether it lives, and has checkTime to answer.
const (
	freshFor  = 15 * time.Second
	checkTime = 10 * time.Second
)

// alive tells whether an idle connection still has a server at its other end:
// one that lost its power, or a firewall that forgot, says nothing.
func (p *Pool) alive(ctx context.Context, l *Lease) bool {
	if p.cfg.Clock.Now().Sub(l.used) < freshFor {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return l.Noop(ctx) == nil
}

// reserve takes an idle connection, or counts one to be made (all three
// results nil), or tells what to wait for.
func (p *Pool) reserve(login string) (l *Lease, wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	a := p.account(login)
	now := p.cfg.Clock.Now()
	for len(a.idle) > 0 {
		l := a.idle[len(a.idle)-1]
		a.idle = a.idle[:len(a.idle)-1]
		if l.Err() == nil && now.Sub(l.used) < p.cfg.IdleAge {
			return l, nil, nil
		}
		p.drop(a, l)
	}
	for _, pause := range []*pause{&p.whole, &a.pause} {
		if now.Before(pause.until) {
			return nil, nil, &BackOffError{pause.until, pause.err}
		}
	}
	if a.open >= a.limit {
		return nil, p.changed, nil
	}
	if p.open >= p.cfg.Max && !p.evict() {
		return nil, p.changed, nil
	}
	a.open++
	p.open++
	return nil, nil, nil
}

func (p *Pool) account(login string) *account {
	a := p.accounts[login]
	if a == nil {
		a = &account{limit: p.cfg.PerAccount}
		p.accounts[login] = a
	}
	return a
}

// evict closes the idle connection that was used longest ago.
func (p *Pool) evict() bool {
	var oldest *account
	for _, a := range p.accounts {
		if len(a.idle) > 0 && (oldest == nil || a.idle[0].used.Before(oldest.idle[0].used)) {
			oldest = a
		}
	}
	if oldest == nil {
		return false
	}
	l := oldest.idle[0]
	oldest.idle = oldest.idle[1:]
	p.drop(oldest, l)
	return true
}

// drop forgets a connection and closes it behind the caller's back, since that may take a moment.
func (p *Pool) drop(a *account, l *Lease) {
	p.forget(a)
	go func() { _ = l.Close() }()
}

// forget gives back the place of one connection and wakes those who wait.
func (p *Pool) forget(a *account) {
	a.open--
	p.open--
	p.wake()
}

func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// connect makes the connection that reserve counted. nil, nil: the server
// refused one more for this account, and the limit was lowered to what it has.
func (p *Pool) connect(ctx context.Context, login string) (*Lease, error) {
	conn, err := p.dial(ctx, login)
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(login)
	if err == nil && p.closed {
		go func() { _ = conn.Close() }()
		err = errClosed
	}
	if err == nil {
		p.whole, a.pause = pause{}, pause{}
		return &Lease{Conn: conn, Login: login, pool: p}, nil
	}
	p.forget(a)
	switch {
	case ctx.Err() != nil || p.closed:
	case errors.Is(err, WithCode(imap.CodeLimit)) && a.open > 0:
		a.limit = a.open
		return nil, nil
	case fault.Is(err, fault.Unavailable):
		p.refused(&p.whole, err)
	default: // of this account: a wrong secret, its limit
		p.refused(&a.pause, err)
	}
	return nil, err
}

// refused makes the next pause. Each is twice the last until something succeeds.
func (p *Pool) refused(s *pause, err error) {
	s.next = min(max(2*s.next, p.cfg.BackOff), p.cfg.MaxBackOff)
	s.until, s.err = p.cfg.Clock.Now().Add(s.next), err
}

func (p *Pool) dial(ctx context.Context, login string) (*Conn, error) {
	credentials, err := p.cfg.SignIn(ctx, login)
	if err != nil {
		return nil, err
	}
	conn, err := Dial(ctx, p.cfg.Conn)
	if err != nil {
		return nil, err
	}
	if err := conn.SignIn(ctx, credentials); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// Release gives the connection back for the next one to use; one that broke is
// dropped. The mailbox it has open is left, without expunging, at the next Select.
func (l *Lease) Release() {
	l.mu.Lock()
	l.handler = Handler{}
	l.mu.Unlock()
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(l.Login)
	if p.closed || l.Err() != nil {
		p.drop(a, l)
		return
	}
	l.used = p.cfg.Clock.Now()
	a.idle = append(a.idle, l)
	p.wake()
}

// Trim closes connections that were unused for longer than IdleAge, forgets
// accounts without any, and lets lowered limits rise again. To be called now and then.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Clock.Now()
	for login, a := range p.accounts {
		for len(a.idle) > 0 && (a.idle[0].Err() != nil || now.Sub(a.idle[0].used) >= p.cfg.IdleAge) {
			l := a.idle[0]
			a.idle = a.idle[1:]
			p.drop(a, l)
		}
		a.limit = min(a.limit+1, p.cfg.PerAccount)
		if a.open == 0 && now.Sub(a.pause.until) > p.cfg.MaxBackOff { // later, or each pause would be a first one
			delete(p.accounts, login)
		}
	}
	p.wake()
}

// Reset forgets back-offs: a person says that the server, or a secret, is in order again.
func (p *Pool) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole = pause{}
	for _, a := range p.accounts {
		a.pause = pause{}
	}
	p.wake()
}

// Close closes the idle connections, and those lent when they are given back. It never fails.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var idle []*Lease
	for _, a := range p.accounts {
		idle = append(idle, a.idle...)
		a.open -= len(a.idle)
		p.open -= len(a.idle)
		a.idle = nil
	}
	p.wake()
	p.mu.Unlock()
	for _, l := range idle {
		_ = l.Close()
	}
	return nil
}
