package continuity

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"relais/internal/continuity/probe"
	"relais/internal/directory"
)

// watcher probes the primary of one domain and decides what follows. Everything
// but the probes runs on one goroutine.
type watcher struct {
	s       *Service
	ctx     context.Context
	stop    context.CancelFunc
	changed chan struct{}
	results chan probe.Result

	kinds    []probe.Kind // in the order of the list below
	fresh    bool         // the primary is at another address now: nothing is known of it
	trackers map[probe.Kind]*tracker
	stored   map[probe.Kind]stored
	recovers []time.Time // recent recoveries by themselves: flaps
	sawDead  bool        // since Relais is in charge
	told     bool        // that it answers again

	mu     sync.Mutex // of what follows
	target probe.Target
	shown  []ProbeStatus
	judged Health
}

// stored is what the record holds of a kind.
type stored struct {
	ok     bool
	at     time.Time
	banner string
	asked  string // the last question that a result of this kind gave rise to
}

// kindsOf lists how a primary can be probed.
func (s *Service) kindsOf(p directory.Primary) []probe.Kind {
	var out []probe.Kind
	for _, k := range []struct {
		kind probe.Kind
		can  bool
	}{{probe.SMTP, p.SMTPAddr != ""}, {probe.IMAP, p.IMAPAddr != ""}, {probe.Trip, p.SMTPAddr != "" && p.ProbeAddress != ""}} {
		if k.can && s.Probers[k.kind] != nil {
			out = append(out, k.kind)
		}
	}
	return out
}

func (s *Service) newWatcher(ctx context.Context, t probe.Target) *watcher {
	w := &watcher{
		s: s, target: t, changed: make(chan struct{}, 1), results: make(chan probe.Result, 3*maxRunning),
		trackers: map[probe.Kind]*tracker{}, stored: map[probe.Kind]stored{},
	}
	w.ctx, w.stop = context.WithCancel(ctx)
	period := t.Primary.ProbeEvery
	if period <= 0 {
		period = s.ProbeEvery
	}
	w.kinds = s.kindsOf(t.Primary)
	for _, kind := range w.kinds {
		timing := newTiming(period, s.ProbeTimeout, s.FailAfter)
		if kind == probe.Trip {
			timing = newTiming(max(s.RoundTripEvery, period), 0, s.FailAfter)
		}
		w.trackers[kind] = &tracker{Timing: timing}
	}
	return w
}

// set takes in changes that leave the trackers as they are: people, the domain's settings.
func (w *watcher) set(t probe.Target) {
	w.mu.Lock()
	w.target = t
	w.mu.Unlock()
	nudge(w.changed)
}

func (w *watcher) aim() probe.Target {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.target
}

// run probes until the watcher is stopped.
func (w *watcher) run() {
	var probes sync.WaitGroup
	defer probes.Wait()
	defer w.stop()
	if len(w.trackers) == 0 {
		return
	}
	w.recall()
	// Domains start at different moments, so that a thousand of them do not ask at once.
	wait := time.Duration(rand.Int64N(int64(w.soonest()/4) + 1)) //nolint:gosec // no secret
	for {
		timer := time.NewTimer(wait)
		select {
		case <-w.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-w.changed:
		case r := <-w.results:
			w.take(r)
		}
		timer.Stop()
		now := w.s.Clock.Now()
		for _, kind := range w.kinds {
			t := w.trackers[kind]
			if t.running < maxRunning && !t.due().After(now) {
				t.running++
				t.started = now
				probes.Go(func() { w.ask(kind, t.Limit) })
			}
		}
		if err := w.decide(); err != nil && w.ctx.Err() == nil {
			w.s.Log.Error("decide about a domain", "domain", w.aim().Domain.Name, "err", err)
		}
		w.show()
		wait = w.wait()
	}
}

func (w *watcher) soonest() time.Duration {
	soonest := time.Hour
	for _, t := range w.trackers {
		soonest = min(soonest, t.Period)
	}
	return soonest
}

// wait is how long nothing is to do unless a result comes.
func (w *watcher) wait() time.Duration {
	now := w.s.Clock.Now()
	wait := w.soonest()
	for _, t := range w.trackers {
		if t.running < maxRunning {
			wait = min(wait, t.due().Sub(now))
		}
		if at := t.verdictDue(); at.After(now) {
			wait = min(wait, at.Sub(now))
		}
	}
	return max(wait, time.Millisecond)
}

// recall reads what was known before a restart, or drops it when it is of another server.
func (w *watcher) recall() {
	if w.fresh {
		err := w.s.Store.UpdateContinuity(w.ctx, func(ctx context.Context, work *Work) error {
			return work.ForgetProbes(ctx, w.aim().Domain.ID)
		})
		if err != nil && w.ctx.Err() == nil {
			w.s.Log.Error("forget the probes of another server", "domain", w.aim().Domain.Name, "err", err)
		}
		return
	}
	err := w.s.Store.ViewContinuity(w.ctx, func(ctx context.Context, work *Work) error {
		rows, err := work.Probes(ctx, w.aim().Domain.ID)
		for _, row := range rows {
			t := w.trackers[row.Kind]
			if t == nil || row.Node != w.s.Node || row.At.Before(w.aim().Primary.CreatedAt) {
				continue
			}
			t.known = !row.WellAt.IsZero()
			w.stored[row.Kind] = stored{ok: row.OK, at: row.At, banner: row.Banner}
		}
		return err
	})
	if err != nil && w.ctx.Err() == nil {
		w.s.Log.Error("read the last probes", "domain", w.aim().Domain.Name, "err", err)
	}
}

// ask runs one probe. One that finds no free slot in time is left out: it says
// nothing about the primary.
func (w *watcher) ask(kind probe.Kind, limit time.Duration) {
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	r := probe.Result{Kind: kind, Answers: true, Words: "not tried: too many probes are under way"}
	select {
	case w.s.slots <- struct{}{}:
		began := w.s.Clock.Now()
		r = w.s.Probers[kind](ctx, w.aim())
		r.Kind, r.Began, r.Took = kind, began, w.s.Clock.Now().Sub(began)
		<-w.s.slots
	case <-ctx.Done():
	}
	select {
	case w.results <- r:
	case <-w.ctx.Done():
	}
}

// keepEvery is how often a result that says nothing new is stored.
const keepEvery = time.Minute

// take judges a result, stores what is new in it, and asks people about its doubts.
func (w *watcher) take(r probe.Result) {
	t := w.trackers[r.Kind]
	t.running--
	if r.Began.IsZero() {
		return
	}
	t.note(r)
	had := w.stored[r.Kind]
	asks := w.doubts(r, had)
	news := asks != nil && asks.text != had.asked
	if r.OK == had.ok && r.Began.Sub(had.at) < keepEvery && !news {
		return
	}
	target := w.aim()
	row := ProbeRow{Domain: target.Domain.ID, Node: w.s.Node, Kind: r.Kind, At: r.Began, OK: r.OK, Took: r.Took, Words: r.Words}
	if r.OK {
		row.WellAt, row.Banner = r.Began, r.Banner
	}
	err := w.s.Store.UpdateContinuity(w.ctx, func(ctx context.Context, work *Work) error {
		if asks != nil {
			if err := w.s.ask(ctx, work, target.Domain, *asks); err != nil {
				return err
			}
		}
		return work.SaveProbe(ctx, row)
	})
	if err != nil {
		if w.ctx.Err() == nil {
			w.s.Log.Error("store a probe", "domain", target.Domain.Name, "err", err)
		}
		return
	}
	now := stored{ok: r.OK, at: r.Began, banner: row.Banner}
	if now.banner == "" {
		now.banner = had.banner
	}
	if asks != nil {
		now.asked = asks.text
	}
	w.stored[r.Kind] = now
}

// statuses are the trackers as they are told to people.
func (w *watcher) statuses() []ProbeStatus {
	now := w.s.Clock.Now()
	var out []ProbeStatus
	for _, kind := range w.kinds {
		t := w.trackers[kind]
		out = append(out, ProbeStatus{
			Kind: kind, Health: t.health(now, 1).String(), OK: t.last.OK, At: t.last.Began, Took: t.last.Took.Seconds(),
			Words: t.last.Words, Failures: t.failures,
		})
	}
	return out
}

func (w *watcher) show() {
	shown := w.statuses()
	judged, _ := w.health(w.s.Clock.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown, w.judged = shown, judged
}

// ProbeStatus is how a kind of probe went lately.
type ProbeStatus struct {
	Kind     probe.Kind `json:"kind"`
	Health   string     `json:"health"`
	OK       bool       `json:"ok"`
	At       time.Time  `json:"at,omitzero"`
	Took     float64    `json:"took_s"`
	Words    string     `json:"words"`
	Failures int        `json:"failures"`
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text)
}
