package continuity

import (
	"context"
	"fmt"
	"time"

	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/internal/fault"
)

// health is the whole primary's: dead when one kind is, well when all are. known
// tells whether a kind that is dead was well before.
func (w *watcher) health(now time.Time) (h Health, known bool) {
	steady := w.steady(now)
	h = Well
	for _, t := range w.trackers {
		one := t.health(now, steady)
		if one == Dead {
			known = known || t.known
		}
		if h != Dead && (one == Dead || one < h) {
			h = one
		}
	}
	return h, known
}

const (
	steadyRounds = 2 // successes of each kind in a row that make a primary well again
	flapWindow   = time.Hour
	flapsCounted = 5
)

// steady is how many successes in a row are believed. Each recovery within the
// last hour doubles it, so that a flapping primary does not go back and forth.
func (w *watcher) steady(now time.Time) int {
	flaps := 0
	for _, at := range w.recovers {
		if now.Sub(at) < flapWindow {
			flaps++
		}
	}
	return steadyRounds << min(flaps, flapsCounted)
}

// decide passes to the next states if what is seen asks for it.
func (w *watcher) decide() error {
	now, target := w.s.Clock.Now(), w.aim()
	c, _, _, err := w.s.standing(w.ctx, target.Domain.ID)
	if err != nil {
		return err
	}
	health, known := w.health(now)
	if !c.State.primaryLeads() {
		return w.noticeBack(c, health)
	}
	w.sawDead, w.told = false, false
	v := Sight{Health: health, Known: known, Auto: target.Domain.Failover == directory.Auto, Outside: Unchecked, Quorum: true}
	switch {
	case health == Dead:
		since := w.failing()
		if c.State == Blind {
			since = now.Add(-w.soonest()) // what was silent then may answer now
		}
		v.Outside = w.s.outside.look(w.ctx, since, w.soonest())
		if w.s.Quorum != nil {
			if v.Quorum, err = w.s.Quorum.Agree(w.ctx, target.Domain.ID); err != nil {
				return err
			}
		}
	case !w.failing().IsZero():
		w.foresee()
	}
	way := Next(c.State, v)
	if len(way) == 0 || w.ctx.Err() != nil {
		return nil //nolint:nilerr // the end was asked for
	}
	err = w.s.pass(w.ctx, target.Domain, c.State, way, reasons{
		cause: w.cause(way[0]), actor: Self, evidence: w.evidence(v), outage: w.failing(),
	})
	if fault.Is(err, fault.Conflict) {
		return nil // another node, or a person, was first
	}
	if err == nil && way[0] == Standby {
		w.recovers = append(w.recovers, now)
		w.recovers = w.recovers[max(0, len(w.recovers)-flapsCounted):]
	}
	return err
}

// foresee begins the look at the references while a primary is only in doubt,
// so that the answer is there when it counts as dead.
func (w *watcher) foresee() {
	ctx, cancel := context.WithCancel(w.ctx)
	cancel() // begins the look, waits for nothing
	w.s.outside.look(ctx, w.failing(), w.soonest())
}

// failing is when the first of the failures in a row began; zero: none.
func (w *watcher) failing() time.Time {
	var first time.Time
	for _, t := range w.trackers {
		if t.failures > 0 && (first.IsZero() || t.failing.Before(first)) {
			first = t.failing
		}
	}
	return first
}

func (w *watcher) cause(to State) string {
	switch to {
	case Standby:
		return "the primary answers again"
	case Blind:
		return "neither the primary nor the references outside answer"
	}
	now := w.s.Clock.Now()
	for _, kind := range w.kinds {
		if t := w.trackers[kind]; t.health(now, 1) == Dead {
			return fmt.Sprintf("the primary fails the %s probe: %s", kind, t.last.Words)
		}
	}
	return "the primary fails"
}

// evidence is what a passage was decided on.
func (w *watcher) evidence(v Sight) map[string]any {
	return map[string]any{
		"node": w.s.Node, "health": v.Health.String(), "outside": v.Outside.String(), "known": v.Known, "probes": w.statuses(),
	}
}

// noticeBack tells people once that a primary which had died answers again.
// What to do then is theirs to decide.
func (w *watcher) noticeBack(c Current, h Health) error {
	d := w.aim().Domain
	switch {
	case h == Dead:
		w.sawDead = true
		if !w.told {
			return nil
		}
		w.told = false
		return w.s.Store.UpdateContinuity(w.ctx, func(ctx context.Context, work *Work) error {
			return work.Settle(ctx, c.Domain, "it does not answer any more", Self, AskBack)
		})
	case h != Well || w.told || c.State != Active || c.Actor != Self && !w.sawDead:
		return nil
	}
	err := w.s.Store.UpdateContinuity(w.ctx, func(ctx context.Context, work *Work) error {
		return w.s.ask(ctx, work, d, inquiry{AskBack,
			fmt.Sprintf("the primary of %s answers again; relais stays in charge until you return the domain", d.Name),
			map[string]any{"since": c.Since, "probes": w.statuses()}})
	})
	w.told = err == nil
	return err
}

// doubts makes the question about what is odd at a primary that answers; nil when nothing is.
func (w *watcher) doubts(r probe.Result, had stored) *inquiry {
	name := w.aim().Domain.Name
	evidence := map[string]any{"probe": r.Kind, "words": r.Words}
	switch {
	case r.Doubt == probe.Certificate:
		evidence["pin"] = r.Pin
		return &inquiry{AskCertificate, fmt.Sprintf("the primary of %s shows another certificate by %s, key %s: renewed, or another server?", name, r.Kind, r.Pin), evidence}
	case r.Doubt == probe.SignIn:
		return &inquiry{AskSignIn, fmt.Sprintf("the primary of %s refuses the master user: %s", name, r.Words), evidence}
	case r.Banner != "" && had.banner != "" && r.Banner != had.banner:
		evidence["before"], evidence["now"] = had.banner, r.Banner
		return &inquiry{AskBanner, fmt.Sprintf("the primary of %s called itself %q, now %q", name, had.banner, r.Banner), evidence}
	}
	return nil
}
