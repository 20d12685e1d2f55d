package outbound

import (
	"context"
	"sync"
	"time"

	"relais/internal/crashpoint"
	"relais/internal/mail"
)

const (
	claimAtOnce = 500
	maxClaimed  = 20_000 // rows in memory
	maxTo       = 100    // recipients of one transaction: what every server must take (RFC 5321 §4.5.3.1.8)
	maxInARow   = 100    // messages on one connection
	putOff      = 10 * time.Second
)

// Runner empties the queue.
type Runner struct {
	config   Config
	store    Store
	resolver Resolver
	returner Returner
	health   health
	slots    chan struct{} // one per connection
	freed    chan struct{} // rows were finished; capacity 1

	mu      sync.Mutex
	lanes   map[route]*lane
	claimed map[mail.QueueID]struct{}
	workers sync.WaitGroup
}

// lane is what waits in memory for one route.
type lane struct {
	route   route
	batches []*batch
	rows    int // of batches
	workers int
}

// batch is one SMTP transaction: a message from one sender to some recipients.
type batch struct {
	items []Item
}

// NewRunner makes a runner.
func NewRunner(config Config, store Store, resolver Resolver, returner Returner) *Runner {
	config = config.withDefaults()
	return &Runner{
		config: config, store: store, resolver: resolver, returner: returner,
		slots: make(chan struct{}, config.Connections), freed: make(chan struct{}, 1),
		lanes: make(map[route]*lane), claimed: make(map[mail.QueueID]struct{}),
	}
}

// life is the three ends of a run: of taking up new work, of dialogues, and of
// writing down what came of them.
type life struct {
	work, talk, keep context.Context
}

// Run sends what becomes due, until ctx ends; then dialogues under way get the
// grace time, and what was not begun is given back.
func (r *Runner) Run(ctx context.Context) {
	signal, stop := r.store.WatchTopic(Topic)
	defer stop()
	keep, endKeep := context.WithCancel(context.WithoutCancel(ctx))
	defer endKeep()
	talk, endTalk := context.WithCancel(keep)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(r.config.Grace, endTalk)
		time.AfterFunc(2*r.config.Grace+time.Second, endKeep)
	})()
	lives := life{work: ctx, talk: talk, keep: keep}
	defer r.workers.Wait()
	if r.config.Sole {
		if err := r.store.Queue(ctx, func(ctx context.Context, tx *Tx) error { return tx.Recover(ctx) }); err != nil {
			r.config.Log.Error("take up the queue", "err", err)
		}
	}
	r.workers.Go(func() { r.renew(lives) })
	for ctx.Err() == nil {
		wait := r.round(lives)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-signal:
		case <-r.freed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// round claims what is due and hands it to the lanes. It returns how long
// nothing more is to be done.
func (r *Runner) round(l life) time.Duration {
	r.mu.Lock()
	room := min(claimAtOnce, maxClaimed-len(r.claimed))
	r.mu.Unlock()
	if room <= 0 {
		return time.Minute // until rows are freed
	}
	var items []Item
	wait := time.Minute
	err := r.store.Queue(l.work, func(ctx context.Context, tx *Tx) (err error) {
		wait = time.Minute
		if items, err = tx.Claim(ctx, room, r.config.Lease); err != nil || len(items) > 0 {
			return err
		}
		next, err := tx.NextDue(ctx)
		if err == nil && !next.IsZero() {
			wait = min(wait, max(next.Sub(tx.Now), time.Millisecond))
		}
		return err
	})
	if err != nil {
		if l.work.Err() == nil {
			r.config.Log.Error("claim mail to the outside", "err", err)
		}
		return time.Second
	}
	if len(items) == 0 {
		return wait
	}
	crashpoint.Hit(crashpoint.OutboundClaimed)
	if over := r.dispatch(l, items); len(over) > 0 {
		r.putOff(l.keep, over)
	}
	return 0
}

// dispatch gives the rows to their lanes, grouped into transactions, and returns
// those that a full lane does not take: no lane takes more than half of the room
// that is left, so however many destinations hang there is some for the others.
func (r *Runner) dispatch(lives life, items []Item) (over []Item) {
	type key struct {
		route  route
		intake string
		hash   mail.Hash
		tenant mail.TenantID
		from   string
	}
	groups := map[key]*batch{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, it := range items {
		k := key{r.config.routeOf(it), it.Intake, it.Hash, it.Tenant, it.From}
		l := r.lanes[k.route]
		if l == nil {
			l = &lane{route: k.route}
			r.lanes[k.route] = l
		}
		if l.rows > (maxClaimed-len(r.claimed))/2 {
			over = append(over, it)
			continue
		}
		b := groups[k]
		if b == nil || len(b.items) == maxTo {
			b = &batch{}
			groups[k] = b
			l.batches = append(l.batches, b)
		}
		b.items = append(b.items, it)
		l.rows++
		r.claimed[it.ID] = struct{}{}
	}
	for _, l := range r.lanes {
		// Those at work may hang: what waits does not wait for them.
		for range min(r.config.PerDestination-l.workers, len(l.batches)) {
			l.workers++
			r.workers.Go(func() { r.work(lives, l) })
		}
	}
	return over
}

// putOff gives rows back, and puts off what else waits for the same domains.
func (r *Runner) putOff(ctx context.Context, items []Item) {
	err := r.store.Queue(ctx, func(ctx context.Context, tx *Tx) error {
		until := tx.Now.Add(putOff)
		done := map[string]bool{}
		for _, it := range items {
			if err := tx.Release(ctx, []mail.QueueID{it.ID}, until); err != nil {
				return err
			}
			if !done[it.Domain] {
				done[it.Domain] = true
				if err := tx.Postpone(ctx, it.Domain, until); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		r.config.Log.Error("put mail to the outside off", "err", err)
	}
}

// work sends the batches of a lane, one after the other, over one connection as
// long as it holds.
func (r *Runner) work(lives life, l *lane) {
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	s := &session{runner: r, route: l.route}
	defer s.end()
	for {
		b := r.next(l)
		if b == nil {
			return
		}
		if lives.work.Err() != nil {
			r.giveBack(lives.keep, append(r.rest(l), b))
			continue
		}
		r.settle(lives.keep, b, s.deliver(lives.talk, b))
		r.finished(b)
	}
}

// next takes a batch off the lane; nil ends the worker, and the last one ends the lane.
func (r *Runner) next(l *lane) *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(l.batches) == 0 {
		if l.workers--; l.workers == 0 {
			delete(r.lanes, l.route)
		}
		return nil
	}
	b := l.batches[0]
	l.batches = l.batches[1:]
	l.rows -= len(b.items)
	return b
}

// rest takes all that waits in a lane.
func (r *Runner) rest(l *lane) []*batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := l.batches
	l.batches, l.rows = nil, 0
	return all
}

func (r *Runner) finished(b *batch) {
	r.mu.Lock()
	for _, it := range b.items {
		delete(r.claimed, it.ID)
	}
	r.mu.Unlock()
	select {
	case r.freed <- struct{}{}:
	default:
	}
}

func (r *Runner) giveBack(ctx context.Context, batches []*batch) {
	var ids []mail.QueueID
	for _, b := range batches {
		for _, it := range b.items {
			ids = append(ids, it.ID)
		}
	}
	err := r.store.Queue(ctx, func(ctx context.Context, tx *Tx) error { return tx.Release(ctx, ids, tx.Now) })
	if err != nil {
		r.config.Log.Warn("give mail to the outside back", "err", err) // the lease brings it back
	}
}

// renew lengthens the leases of what is in memory.
func (r *Runner) renew(l life) {
	tick := time.NewTicker(r.config.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-l.work.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		ids := make([]mail.QueueID, 0, len(r.claimed))
		for id := range r.claimed {
			ids = append(ids, id)
		}
		r.mu.Unlock()
		if len(ids) == 0 {
			continue
		}
		err := r.store.Queue(l.keep, func(ctx context.Context, tx *Tx) error { return tx.Renew(ctx, ids, r.config.Lease) })
		if err != nil {
			r.config.Log.Error("renew leases of mail to the outside", "err", err)
		}
	}
}
