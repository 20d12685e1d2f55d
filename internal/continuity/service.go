package continuity

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Quorum tells whether enough nodes see a primary dead. A node alone is one.
type Quorum interface {
	Agree(ctx context.Context, domain mail.DomainID) (bool, error)
}

// Config is what a Service needs. Zero values of the numbers take the defaults.
type Config struct {
	Store      Store
	Node       string // this node's name in stored probes
	Probers    map[probe.Kind]probe.Prober
	Mirror     Mirror
	Reconciler Reconciler
	Quorum     Quorum // nil: this node decides alone
	References []string

	ProbeEvery     time.Duration // unless the primary has its own; default 10 s
	ProbeTimeout   time.Duration // the longest that a probe may take; default 10 s
	RoundTripEvery time.Duration // default 1 min
	FailAfter      int           // failures in a row; default 3
	Concurrency    int           // probes at once, of all domains; default 64
	PollEvery      time.Duration // how often a drain is looked at; default 250 ms

	Alarm Alarm
	Clock clock.Clock
	Log   *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&c.ProbeEvery, 10 * time.Second}, {&c.ProbeTimeout, 10 * time.Second},
		{&c.RoundTripEvery, time.Minute}, {&c.PollEvery, 250 * time.Millisecond},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if c.FailAfter <= 0 {
		c.FailAfter = 3
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 64
	}
	if c.Node == "" {
		c.Node = "node"
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Service watches all domains that have a primary and carries out what is
// decided. Safe for concurrent use.
type Service struct {
	Config
	outside *references
	slots   chan struct{} // one per probe that may run

	loading sync.Mutex // held from a read of the record to its note below, so that an older read does not overwrite a newer one

	mu       sync.RWMutex
	loaded   bool
	current  map[mail.DomainID]Current
	returns  map[mail.DomainID]Return
	isolated map[mail.DomainID]bool
	draining map[int64]draining // by return

	running  sync.Mutex // of what follows
	watchers map[mail.DomainID]*watcher
	givers   map[int64]chan struct{} // by return: its signal
}

// New makes a service; Run starts it.
func New(c Config) *Service {
	c = c.withDefaults()
	return &Service{
		Config: c, slots: make(chan struct{}, c.Concurrency), outside: newReferences(c.References, c.ProbeTimeout),
		watchers: map[mail.DomainID]*watcher{}, givers: map[int64]chan struct{}{}, draining: map[int64]draining{},
	}
}

// refreshEvery is how soon a node notices what another one did.
const refreshEvery = 5 * time.Second

// Run watches until ctx ends. A return that a restart interrupted goes on.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	changed, stop := s.Store.WatchTopic(Topic)
	defer stop()
	people, stopPeople := s.Store.WatchTopic("directory")
	defer stopPeople()
	look := time.NewTicker(refreshEvery)
	defer look.Stop()
	for {
		if err := s.follow(ctx, &wg); err != nil && ctx.Err() == nil {
			s.Log.Error("list the domains to watch", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-people:
		case <-look.C:
		}
	}
}

// follow starts and ends watchers and returns as the record says.
func (s *Service) follow(ctx context.Context, wg *sync.WaitGroup) error {
	targets, err := s.refresh(ctx)
	if err != nil {
		return err
	}
	s.running.Lock()
	defer s.running.Unlock()
	moved := map[mail.DomainID]bool{}
	for id, w := range s.watchers {
		t, still := targets[id]
		if still && samePrimary(w.target.Primary, t.Primary) {
			w.set(t)
			delete(targets, id)
			continue
		}
		w.stop()
		delete(s.watchers, id)
		moved[id] = still && !samePlace(w.target.Primary, t.Primary)
	}
	for id, t := range targets {
		w := s.newWatcher(ctx, t)
		w.fresh = moved[id]
		s.watchers[id] = w
		wg.Go(w.run)
	}
	for _, r := range s.openReturns() {
		if signal, ok := s.givers[r.ID]; ok {
			nudge(signal)
			continue
		}
		signal := make(chan struct{}, 1)
		s.givers[r.ID] = signal
		wg.Go(func() {
			s.giveBack(ctx, r.Domain, signal)
			s.running.Lock()
			defer s.running.Unlock()
			delete(s.givers, r.ID)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.draining, r.ID)
		})
	}
	return nil
}

func nudge(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// samePrimary tells whether a watcher may go on: nothing changed of how the primary is reached and judged.
func samePrimary(a, b directory.Primary) bool {
	a.RebuiltAt, b.RebuiltAt = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// samePlace tells whether it is the same server, as far as addresses tell.
func samePlace(a, b directory.Primary) bool {
	return a.SMTPAddr == b.SMTPAddr && a.IMAPAddr == b.IMAPAddr
}

// knownPeople is how many people of a domain its probes may name.
const knownPeople = 3

// refresh reads where every domain stands, and lists what is to be probed.
func (s *Service) refresh(ctx context.Context) (map[mail.DomainID]probe.Target, error) {
	var current map[mail.DomainID]Current
	var returns map[mail.DomainID]Return
	var isolated map[mail.DomainID]bool
	var targets map[mail.DomainID]probe.Target
	s.loading.Lock()
	defer s.loading.Unlock()
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) error {
		current, returns = map[mail.DomainID]Current{}, map[mail.DomainID]Return{}
		isolated, targets = map[mail.DomainID]bool{}, map[mail.DomainID]probe.Target{}
		all, err := w.All(ctx)
		if err != nil {
			return err
		}
		for _, c := range all {
			current[c.Domain] = c
		}
		open, err := w.OpenReturns(ctx)
		if err != nil {
			return err
		}
		for _, r := range open {
			returns[r.Domain] = r
		}
		domains, err := w.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			p, err := w.Directory.Primary(ctx, d.ID)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if isolated[d.ID] = p.Isolated; p.Isolated {
				continue
			}
			people, err := w.Directory.PeopleOfDomain(ctx, d.ID)
			if err != nil {
				return err
			}
			targets[d.ID] = probe.Target{Domain: d, Primary: p, People: people[:min(knownPeople, len(people))]}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.current, s.returns, s.isolated = true, current, returns, isolated
	return targets, nil
}

// update runs a transaction about a domain and has what it changed known here before it returns.
func (s *Service) update(ctx context.Context, domain mail.DomainID, fn func(ctx context.Context, w *Work) error) error {
	if err := s.Store.UpdateContinuity(ctx, fn); err != nil {
		return err
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	var c Current
	var r Return
	var open bool
	err := s.Store.ViewContinuity(ctx, func(ctx context.Context, w *Work) (err error) {
		if c, err = w.Current(ctx, domain); err != nil {
			return err
		}
		r, open, err = w.OpenReturn(ctx, domain)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		return nil // whoever asks first reads all
	}
	s.current[domain] = c
	delete(s.returns, domain)
	if open {
		s.returns[domain] = r
	}
	return nil
}

func (s *Service) openReturns() []Return {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Return, 0, len(s.returns))
	for r := range maps.Values(s.returns) {
		out = append(out, r)
	}
	return out
}

// standing is where a domain stands as this node knows it, and its return under way.
func (s *Service) standing(ctx context.Context, domain mail.DomainID) (c Current, r Return, isolated bool, err error) {
	s.mu.RLock()
	loaded := s.loaded
	s.mu.RUnlock()
	if !loaded {
		if _, err := s.refresh(ctx); err != nil {
			return c, r, false, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.current[domain]
	if !ok {
		c = Current{Domain: domain, State: Standby}
	}
	return c, s.returns[domain], s.isolated[domain], nil
}

// State is the state of a domain and since when.
func (s *Service) State(ctx context.Context, domain mail.DomainID) (State, time.Time, error) {
	c, _, _, err := s.standing(ctx, domain)
	return c.State, c.Since, err
}

// Relays tells whether the SMTP relay may hand mail over to the domain's primary.
func (s *Service) Relays(ctx context.Context, domain mail.DomainID) (bool, error) {
	c, _, isolated, err := s.standing(ctx, domain)
	return err == nil && !isolated && c.State.primaryLeads(), err
}

// Away is since when the domain's primary can't be asked, because it fails or
// Relais is in charge; zero while the primary is.
func (s *Service) Away(ctx context.Context, domain mail.DomainID) (time.Time, error) {
	c, _, _, err := s.standing(ctx, domain)
	switch {
	case err != nil || c.State == Standby:
		return time.Time{}, err
	case c.State.primaryLeads():
		return c.Since, nil
	}
	return c.OutageAt, nil
}

// Mode says what the mirror may do for a domain.
type Mode struct {
	Pull         bool // read the primary's changes
	Push         bool // write ours there
	Appends      bool // append what is still owed: the relay no longer does
	StandbyLeads bool // the standby's word counts when both sides moved a message
}

// Mode is the mirror's mode of a domain at this moment.
func (s *Service) Mode(ctx context.Context, domain mail.DomainID) (Mode, error) {
	c, r, isolated, err := s.standing(ctx, domain)
	if err != nil || isolated {
		return Mode{StandbyLeads: !c.State.primaryLeads()}, err
	}
	return modeOf(c.State, r.Phase), nil
}

// modeOf is the table of modes. While both sides are compared neither may move.
func modeOf(s State, p Phase) Mode {
	switch {
	case s.primaryLeads():
		return Mode{Pull: true, Push: true}
	case s == Active:
		return Mode{Pull: true, StandbyLeads: true}
	case p == Drain, p == Accept:
		return Mode{Pull: true, Push: true, Appends: true, StandbyLeads: true}
	}
	return Mode{StandbyLeads: true}
}
