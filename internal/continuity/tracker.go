package continuity

import (
	"time"

	"relais/internal/continuity/probe"
)

// Timing is how fast a kind of probe goes and when it is believed.
//
// With a period P and FailAfter N, a round starts every P, in doubt every P/2, and
// may take 0.9 P. The primary is dead once N rounds in a row have failed, over at
// least Span = 0.95 (N-1) P since the first of them began. With N = 3 that is
// 1.9 P to 2.9 P after the primary's end, whether it refuses or never answers.
type Timing struct {
	Period time.Duration
	Limit  time.Duration // of one round
	After  int           // failures in a row
	Span   time.Duration
}

func newTiming(period, longest time.Duration, after int) Timing {
	limit := period * 9 / 10
	if longest > 0 {
		limit = min(limit, longest)
	}
	return Timing{Period: period, Limit: limit, After: after, Span: period * time.Duration(after-1) * 95 / 100}
}

// tracker judges one kind of probe of one primary by its results.
type tracker struct {
	Timing
	failures, successes int       // in a row
	failing             time.Time // start of the first of the failures in a row
	good                time.Time // start of the latest round that succeeded
	known               bool      // it succeeded at some time, perhaps before a restart
	any                 bool      // a round has ended
	running             int
	started             time.Time // of the latest round
	last                probe.Result
}

// note takes a result in. Rounds overlap in doubt: a failure says nothing when a
// later round succeeded, nor a success when a later round failed.
func (t *tracker) note(r probe.Result) {
	t.any = true
	switch {
	case r.OK:
		if t.failures > 0 && r.Began.Before(t.failing) {
			return
		}
		t.known = true
		if r.Began.After(t.good) {
			t.good = r.Began
		}
		t.failures, t.failing = 0, time.Time{}
		t.successes++
	case r.Answers: // no outage, and no recovery either
		t.failures, t.failing = 0, time.Time{}
	default:
		if r.Began.Before(t.good) {
			return
		}
		if t.failures == 0 || r.Began.Before(t.failing) {
			t.failing = r.Began
		}
		t.failures++
		t.successes = 0
	}
	t.last = r
}

// health judges at a moment. steady is how many successes in a row make it well.
func (t *tracker) health(now time.Time, steady int) Health {
	switch {
	case !t.any:
		return Unknown
	case t.failures >= t.After && now.Sub(t.failing) >= t.Span:
		return Dead
	case t.failures == 0 && t.successes >= steady:
		return Well
	}
	return Doubtful
}

// maxRunning bounds the rounds of one kind that overlap.
const maxRunning = 3

// settled is how many verdicts' worth of failures end the doubt: the server is
// away, and asking it twice as often tells nothing more.
const settled = 3

// due is when the next round starts; the zero time: at once. In doubt, and while
// a round has no answer yet, it is sooner.
func (t *tracker) due() time.Time {
	if t.started.IsZero() {
		return time.Time{}
	}
	if t.failures < settled*t.After && (t.failures > 0 || t.running > 0) {
		return t.started.Add(t.Period / 2)
	}
	return t.started.Add(t.Period)
}

// verdictDue is when the failures so far will have lasted long enough; zero: not in sight.
func (t *tracker) verdictDue() time.Time {
	if t.failures < t.After {
		return time.Time{}
	}
	return t.failing.Add(t.Span)
}
