package continuity

import (
	"testing"
	"time"

	"relais/internal/continuity/probe"
)

func TestTrackerJudges(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	ok := func(s float64) probe.Result { return probe.Result{Began: at(s), OK: true} }
	bad := func(s float64) probe.Result { return probe.Result{Began: at(s)} }
	odd := func(s float64) probe.Result { return probe.Result{Began: at(s), Answers: true} }
	for _, c := range []struct {
		name  string
		saw   []probe.Result
		now   float64
		want  Health
		known bool
	}{
		{"nothing yet", nil, 0, Unknown, false},
		{"one success is not steady", []probe.Result{ok(0)}, 0, Doubtful, true},
		{"two are", []probe.Result{ok(0), ok(1)}, 1, Well, true},
		{"two failures", []probe.Result{ok(0), bad(1), bad(1.5)}, 9, Doubtful, true},
		{"three failures at once", []probe.Result{ok(0), bad(1), bad(1.5), bad(2)}, 2, Doubtful, true},
		{"three failures for long enough", []probe.Result{ok(0), bad(1), bad(1.5), bad(2)}, 2.9, Dead, true},
		{"a success in between", []probe.Result{ok(0), bad(1), bad(1.5), ok(2), bad(3)}, 9, Doubtful, true},
		{"never well", []probe.Result{bad(1), bad(1.5), bad(2)}, 2.9, Dead, false},
		{"a hung probe ends after a later one succeeded", []probe.Result{ok(0), ok(1.5), bad(1)}, 9, Well, true},
		{"a slow success ends after a later one failed", []probe.Result{ok(0), bad(1.5), ok(1), bad(2), bad(2.5)}, 3.5, Dead, true},
		{"an odd answer is no outage", []probe.Result{ok(0), ok(1), bad(2), bad(2.5), odd(3), bad(3.5), bad(4)}, 9, Doubtful, true},
		{"odd answers leave it well", []probe.Result{ok(0), ok(1), odd(2), odd(3), odd(4)}, 9, Well, true},
	} {
		tr := tracker{Timing: newTiming(time.Second, 0, 3)}
		for _, r := range c.saw {
			tr.note(r)
		}
		if got := tr.health(at(c.now), steadyRounds); got != c.want || tr.known != c.known {
			t.Errorf("%s: %s known %v, want %s %v", c.name, got, tr.known, c.want, c.known)
		}
	}
}

func TestFlappingIsBelievedLess(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := &watcher{}
	for flaps, want := range []int{2, 4, 8, 16, 32, 64} {
		if got := w.steady(now); got != want {
			t.Errorf("after %d flaps %d successes are wanted, want %d", flaps, got, want)
		}
		w.recovers = append(w.recovers, now)
	}
	if got := w.steady(now.Add(flapWindow)); got != steadyRounds {
		t.Errorf("an hour later %d successes are wanted", got)
	}
}
