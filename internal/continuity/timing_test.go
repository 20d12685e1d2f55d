package continuity_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relais/internal/continuity"
	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/internal/record"
)

// server is a primary in virtual time, where no real one can be.
type server struct{ state atomic.Int32 }

const (
	up int32 = iota
	refuses
	hangs
	odd // answers, with another key
)

func (s *server) probe(ctx context.Context, _ probe.Target) probe.Result {
	switch s.state.Load() {
	case up:
		time.Sleep(5 * time.Millisecond)
		return probe.Result{OK: true, Banner: "mx.example.org ESMTP Postfix", Words: "250 ok"}
	case refuses:
		return probe.Result{Words: "connection refused"}
	case odd:
		return probe.Result{Answers: true, Doubt: probe.Certificate, Pin: "ab", Words: "another key"}
	}
	<-ctx.Done()
	return probe.Result{Words: "no answer"}
}

// virtual runs fn with a bundle whose primary is a server in virtual time.
func virtual(t *testing.T, mode directory.Failover, change func(*continuity.Config), fn func(t *testing.T, b *bundle, s *server)) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		b := setup(t, primary{smtp: "primary.test:25", every: time.Second, mode: mode}, func(c *continuity.Config) {
			c.Probers = map[probe.Kind]probe.Prober{probe.SMTP: s.probe}
			if change != nil {
				change(c)
			}
		})
		time.Sleep(10 * time.Second)
		if st := b.status(); st.State != continuity.Standby || st.Health != continuity.Well {
			t.Fatalf("%s, %s before anything happens", st.State, st.Health)
		}
		fn(t, b, s)
		b.end()
	})
}

func TestDetectionTakesTwoToThreePeriods(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]int32{"refuses": refuses, "accepts and never answers": hangs} {
		// At any moment of the period the primary may die.
		for _, phase := range []time.Duration{0, 150 * time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
			t.Run(fmt.Sprint(name, " ", phase), func(t *testing.T) {
				t.Parallel()
				virtual(t, directory.Auto, nil, func(t *testing.T, b *bundle, s *server) {
					time.Sleep(phase)
					s.state.Store(how)
					took := b.await(continuity.Active)
					if took < 1900*time.Millisecond-phase || took > 3*time.Second {
						t.Errorf("relais takes over after %s, want 1.9 s to 3 s", took)
					}
					if got := b.passages(); !slices.Equal(got, []continuity.State{continuity.Failing, continuity.Active}) {
						t.Errorf("passes %v", got)
					}
				})
			})
		}
	}
}

func TestShortInterruptionSwitchesNothing(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Auto, nil, func(t *testing.T, b *bundle, s *server) {
		for range 20 {
			s.state.Store(refuses)
			time.Sleep(1500 * time.Millisecond) // a restart
			s.state.Store(up)
			time.Sleep(1500 * time.Millisecond)
		}
		if got := b.passages(); len(got) != 0 {
			t.Errorf("passes %v", got)
		}
	})
}

func TestAskWaitsForAPersonAndRecoversByItself(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Ask, nil, func(t *testing.T, b *bundle, s *server) {
		s.state.Store(refuses)
		b.await(continuity.Failing)
		time.Sleep(time.Hour)
		st := b.status()
		if st.State != continuity.Failing || len(st.Questions) != 1 || st.Questions[0].Kind != continuity.AskFailover {
			t.Fatalf("after an hour: %+v", st)
		}
		s.state.Store(up)
		if took := b.await(continuity.Standby); took > 2*time.Second {
			t.Errorf("believed well after %s", took)
		}
		if st := b.status(); len(st.Questions) != 0 {
			t.Errorf("still asks %v", st.Questions)
		}

		s.state.Store(refuses)
		b.await(continuity.Failing)
		if err := b.Answer(t.Context(), b.status().Questions[0].ID, "perhaps", "root"); err == nil {
			t.Error("any answer is taken")
		}
		if err := b.Answer(t.Context(), b.status().Questions[0].ID, "switch", "root"); err != nil {
			t.Fatal(err)
		}
		b.await(continuity.Active)
		if st := b.status(); st.Actor != "root" || st.OutageAt.IsZero() || len(st.Questions) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestFlappingPrimaryIsBelievedLater(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Ask, nil, func(t *testing.T, b *bundle, s *server) {
		var last time.Duration
		for i := range 4 {
			s.state.Store(refuses)
			b.await(continuity.Failing)
			s.state.Store(up)
			took := b.await(continuity.Standby)
			if i > 0 && took <= last {
				t.Errorf("recovery %d is believed after %s, the one before after %s", i, took, last)
			}
			last = took
		}
	})
}

func TestChangedCertificateAsksAndNeverSwitches(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Auto, nil, func(t *testing.T, b *bundle, s *server) {
		s.state.Store(odd)
		time.Sleep(time.Hour)
		st := b.status()
		if st.State != continuity.Standby || len(st.Questions) != 1 || st.Questions[0].Kind != continuity.AskCertificate {
			t.Fatalf("%+v", st)
		}
		if err := b.Answer(t.Context(), st.Questions[0].ID, "trust", "root"); err != nil {
			t.Fatal(err)
		}
		var pin string
		err := b.store.ViewContinuity(t.Context(), func(ctx context.Context, w *continuity.Work) error {
			p, err := w.Directory.Primary(ctx, b.domain.ID)
			pin = p.PinSMTP
			return err
		})
		if err != nil || pin != "ab" {
			t.Errorf("the pin is %q (%v)", pin, err)
		}
	})
}

func TestPrimaryThatNeverAnsweredIsNoOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.state.Store(refuses)
		b := setup(t, primary{smtp: "wrong.test:25", every: time.Second, mode: directory.Auto}, func(c *continuity.Config) {
			c.Probers = map[probe.Kind]probe.Prober{probe.SMTP: s.probe}
		})
		b.await(continuity.Failing)
		time.Sleep(time.Hour)
		if st := b.status(); st.State != continuity.Failing || len(st.Questions) != 1 {
			t.Errorf("%+v", st)
		}
		b.end()
	})
}

func TestPrimaryMovedToAWrongAddressIsNoOutage(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Auto, nil, func(t *testing.T, b *bundle, s *server) {
		s.state.Store(refuses)
		b.do(func(ctx context.Context, tx *record.Tx) error {
			p, err := tx.Directory.Primary(ctx, b.domain.ID)
			if err != nil {
				return err
			}
			p.SMTPAddr = "mistyped.test:25"
			return tx.Directory.SetPrimary(ctx, p)
		})
		time.Sleep(time.Minute)
		if st := b.status(); st.State != continuity.Failing {
			t.Errorf("%+v", st)
		}
	})
}

func TestOutageDuringARestartIsStillAnOutage(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Auto, nil, func(_ *testing.T, b *bundle, s *server) {
		s.state.Store(refuses)
		b.restart()
		b.await(continuity.Active)
	})
}

func TestPrimaryThatIsBackIsToldOnceAndNotReturned(t *testing.T) {
	t.Parallel()
	virtual(t, directory.Auto, nil, func(t *testing.T, b *bundle, s *server) {
		s.state.Store(refuses)
		b.await(continuity.Active)
		s.state.Store(up)
		time.Sleep(time.Hour)
		st := b.status()
		if st.State != continuity.Active || len(st.Questions) != 1 || st.Questions[0].Kind != continuity.AskBack {
			t.Fatalf("%+v", st)
		}
		s.state.Store(refuses)
		time.Sleep(time.Minute)
		if st := b.status(); len(st.Questions) != 0 {
			t.Errorf("it is away again, and still asked is %v", st.Questions)
		}
	})
}

func TestProbesOfManyDomainsAreBounded(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, _ probe.Target) probe.Result {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-ctx.Done()
			return probe.Result{}
		}
		b := setup(t, primary{smtp: "a.test:25", every: time.Second, mode: directory.Auto}, func(c *continuity.Config) {
			c.Probers = map[probe.Kind]probe.Prober{probe.SMTP: slow}
			c.Concurrency = 2
		})
		time.Sleep(time.Minute)
		b.end()
	})
	if n := most.Load(); n != 2 {
		t.Errorf("%d probes ran at once, want 2", n)
	}
}

func TestBlindWhenTheReferencesAreSilentToo(t *testing.T) {
	t.Parallel()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		return l
	}
	one, two := listen(), listen()
	s := &server{}
	b := setup(t, primary{smtp: "primary.test:25", every: 60 * time.Millisecond, mode: directory.Auto}, func(c *continuity.Config) {
		c.Probers = map[probe.Kind]probe.Prober{probe.SMTP: s.probe}
		c.References = []string{one.Addr().String(), two.Addr().String()}
	})
	b.awaitThat("well", func() bool { return b.status().Health == continuity.Well })
	two.Close()
	s.state.Store(refuses)
	b.await(continuity.Blind)
	again, err := net.Listen("tcp", two.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	b.await(continuity.Active)
	if got := b.passages(); !slices.Equal(got, []continuity.State{continuity.Blind, continuity.Failing, continuity.Active}) {
		t.Errorf("passes %v", got)
	}
}
