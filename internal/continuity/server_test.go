package continuity_test

import (
	"testing"
	"time"

	"relais/internal/continuity"
	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/test/faultymx"
	"relais/test/sink"
)

// period is of the probes of real servers: short, and long enough for a busy machine.
const period = 400 * time.Millisecond

func TestRealServerThatIsStopped(t *testing.T) {
	t.Parallel()
	mx := sink.Start(t)
	b := setup(t, primary{smtp: mx.Addr, every: period, mode: directory.Auto}, nil)
	b.awaitThat("well", func() bool { return b.status().Health == continuity.Well })
	mx.Stop()
	if took := b.await(continuity.Active); took > 3*period+period/2 {
		t.Errorf("relais takes over after %s, with a period of %s", took, period)
	}
	mx.Run()
	b.awaitThat("asked whether to return", func() bool {
		q := b.status().Questions
		return len(q) == 1 && q[0].Kind == continuity.AskBack
	})
	if st := b.status(); st.State != continuity.Active {
		t.Errorf("it returned by itself: %+v", st)
	}
}

func TestRealServerThatAcceptsAndNeverAnswers(t *testing.T) {
	t.Parallel()
	mx := faultymx.Start(t)
	b := setup(t, primary{smtp: mx.Addr, every: period, mode: directory.Auto}, nil)
	b.awaitThat("well", func() bool { return b.status().Health == continuity.Well })
	mx.Fail(faultymx.Connect, faultymx.Fault{Hang: true})
	if took := b.await(continuity.Active); took > 3*period+period/2 {
		t.Errorf("relais takes over after %s, with a period of %s", took, period)
	}
	var up, down int
	for _, g := range b.Gauges() {
		if g.Kind == string(probe.SMTP) && g.Domain == "example.org" {
			if g.Up {
				up++
			} else {
				down++
			}
		}
	}
	if up != 0 || down != 1 {
		t.Errorf("gauges: %+v", b.Gauges())
	}
}
