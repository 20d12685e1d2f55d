// Package mirror keeps every account of a company in step with its primary by a continuous two-way, three-way merge.
//
// One pass merges one account: folders are joined, what changed at the primary
// is read, what is new there is matched with what the ledger expects, and for
// every message that changed on either side package merge decides. The
// primary's side is written first and the base last, so a pass can be killed at
// any instruction and run again: nothing is lost, nothing doubled. There is no
// other way back: the return of a primary is the same pass with more to do.
package mirror

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// Mode says what the mirror may do for a domain at this moment. Without Pull it
// does nothing: who has not looked at the primary can't know what to write there.
type Mode struct {
	Pull bool // read the primary's changes
	Push bool // write ours there
	// Appends tells that messages still owed are appended by the mirror: the SMTP relay no longer takes them.
	Appends bool
	Lead    merge.Lead
}

// Idle tells that the mirror does nothing at all.
func (m Mode) Idle() bool { return !m.Pull }

// Gate tells the mode of a domain; continuity fills it.
type Gate interface {
	Mode(ctx context.Context, domain mail.DomainID) (Mode, error)
}

// Alarm tells people what waits for their decision.
type Alarm interface {
	Frozen(ctx context.Context, f Frozen)
}

// Frozen is a breaker that tripped.
type Frozen struct {
	Tenant  mail.TenantID
	Account mail.AccountID // 0: the whole tenant
	Email   string
	Reason  string
}

// Connector makes the Primary of a domain.
type Connector func(ctx context.Context, domain directory.Domain, p directory.Primary) (Primary, error)

// Config is what a Service needs. Zero values of the numbers take the defaults.
type Config struct {
	Store     *record.Store
	Gate      Gate
	Alarm     Alarm
	Connector Connector
	Breaker   Breaker
	// Every is the longest time between two looks at an account; changes here and
	// IDLE there wake it earlier. Default 5 s.
	Every time.Duration
	// Pause is the shortest time between two passes of an account that changes all
	// the time. Default 500 ms.
	Pause time.Duration
	// Sessions bounds the accounts of one primary that are merged at the same time. Default 8.
	Sessions int
	// Idles bounds the sessions of one primary that wait for its news by IDLE: those
	// of the accounts that changed last. Default 64, and never more than the
	// connector leaves beside Sessions.
	Idles int
	// DraftQuiet is how long a draft rests before it is pushed. Default 2 min.
	DraftQuiet time.Duration
	Clock      clock.Clock
	Log        *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Every <= 0 {
		c.Every = 5 * time.Second
	}
	if c.Pause <= 0 {
		c.Pause = 500 * time.Millisecond
	}
	if c.Sessions <= 0 {
		c.Sessions = 8
	}
	if c.Idles <= 0 {
		c.Idles = 64
	}
	if c.DraftQuiet <= 0 {
		c.DraftQuiet = 2 * time.Minute
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	c.Breaker = c.Breaker.withDefaults()
	return c
}

// Service mirrors all domains that have a primary. Safe for concurrent use.
type Service struct {
	Config
	mu      sync.Mutex
	domains map[mail.DomainID]*domainRunner
	turns   map[mail.AccountID]chan struct{} // see turn
}

// New makes a service; Run starts it.
func New(c Config) *Service {
	return &Service{Config: c.withDefaults(), domains: map[mail.DomainID]*domainRunner{}, turns: map[mail.AccountID]chan struct{}{}}
}

// turn waits until no other pass of the account is under way: one that was
// stopped (its person or its primary changed) may still be ending.
func (s *Service) turn(ctx context.Context, id mail.AccountID) (done func(), err error) {
	s.mu.Lock()
	ch := s.turns[id]
	if ch == nil {
		ch = make(chan struct{}, 1)
		s.turns[id] = ch
	}
	s.mu.Unlock()
	select {
	case ch <- struct{}{}:
		return func() { <-ch }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Run mirrors until ctx ends. Domains, primaries and people that come or go meanwhile are noticed.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	changed, stop := s.Store.WatchTopic(record.TopicDirectory)
	defer stop()
	primaries, stopPrimaries := s.Store.WatchTopic(record.TopicContinuity)
	defer stopPrimaries()
	// Changes are told; the ticker is for those that another process made, and for a connector that failed.
	look := time.NewTicker(directoryEvery)
	defer look.Stop()
	for {
		if err := s.refresh(ctx, &wg); err != nil && ctx.Err() == nil {
			s.Log.Error("list the domains to mirror", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-primaries:
		case <-look.C:
		}
	}
}

// directoryEvery is how often the domains and people are listed without a sign that they changed.
const directoryEvery = 15 * time.Second

// refresh starts a runner for each domain that has a primary and ends those of domains that have none any more.
func (s *Service) refresh(ctx context.Context, wg *sync.WaitGroup) error {
	type connected struct {
		domain  directory.Domain
		primary directory.Primary
		people  []directory.Person
	}
	var now []connected
	err := s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		now = now[:0]
		domains, err := tx.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			p, err := tx.Directory.Primary(ctx, d.ID)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			people, err := tx.Directory.PeopleOfDomain(ctx, d.ID)
			if err != nil {
				return err
			}
			now = append(now, connected{d, p, people})
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := map[mail.DomainID]bool{}
	for _, c := range now {
		keep[c.domain.ID] = true
		r := s.domains[c.domain.ID]
		if r != nil && !sameWay(r.primary, c.primary) {
			r.stop()
			r = nil
		}
		if r == nil {
			far, err := s.Connector(ctx, c.domain, c.primary)
			if err != nil {
				s.Log.Error("connect the primary", "domain", c.domain.Name, "err", err)
				continue
			}
			r = newDomainRunner(ctx, s, c.domain, c.primary, far, wg)
			s.domains[c.domain.ID] = r
		}
		r.setPeople(c.people)
	}
	for id, r := range s.domains {
		if !keep[id] {
			r.stop()
			delete(s.domains, id)
		}
	}
	return nil
}

// sameWay tells whether both are reached in the same way.
func sameWay(a, b directory.Primary) bool {
	return a.IMAPAddr == b.IMAPAddr && a.IMAPTLS == b.IMAPTLS && a.CAPEM == b.CAPEM && (a.PinIMAP == "" || a.PinIMAP == b.PinIMAP) &&
		a.MasterUser == b.MasterUser && a.Separator == b.Separator && bytes.Equal(a.SecretSealed, b.SecretSealed)
}

// runner is the domain's runner; nil when it has no primary or is not yet known.
func (s *Service) runner(id mail.DomainID) *domainRunner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.domains[id]
}
