package continuity_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"relais/internal/continuity"
	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/record"
)

// quiet is a bundle without probes: people alone switch it.
func quiet(t *testing.T) *bundle {
	t.Helper()
	return setup(t, primary{smtp: "primary.test:25", every: time.Second, mode: directory.Ask}, func(c *continuity.Config) {
		c.Probers = map[probe.Kind]probe.Prober{}
	})
}

func (b *bundle) calls() []string {
	b.mirror.mu.Lock()
	defer b.mirror.mu.Unlock()
	return slices.Clone(b.mirror.calls)
}

func TestReturnDrainsReconcilesAndEndsInStandby(t *testing.T) {
	t.Parallel()
	for rebuilt, want := range map[bool][]string{
		false: {"drain pushing"},
		true:  {"rebuilt by root resting", "drain pushing"},
	} {
		b := quiet(t)
		b.failover()
		if relays, err := b.Relays(t.Context(), b.domain.ID); err != nil || relays {
			t.Errorf("the relay is open while relais is in charge (%v)", err)
		}
		b.giveBack(rebuilt)
		b.await(continuity.Standby)
		if got := b.calls(); !slices.Equal(got, want) {
			t.Errorf("the mirror was told %q, want %q", got, want)
		}
		if len(b.walk.mirror) > 0 {
			t.Error(b.walk.mirror)
		}
		p := b.status().Return
		if p == nil || p.Outcome != continuity.Returned || p.Report == 0 || p.Rounds != 1 || p.Rebuilt != rebuilt {
			t.Errorf("%+v", p)
		}
		if relays, err := b.Relays(t.Context(), b.domain.ID); err != nil || !relays {
			t.Errorf("the relay is closed after the return (%v)", err)
		}
		// Asked again, as a script does that was interrupted: nothing happens.
		b.giveBack(rebuilt)
		if got := b.passages(); !slices.Equal(got, []continuity.State{continuity.Active, continuity.Returning, continuity.Standby}) {
			t.Errorf("passes %v", got)
		}
	}
}

func TestReturnGoesRoundUntilNothingDiffers(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	b.walk.finds = []int{2}
	b.failover()
	b.giveBack(false)
	b.await(continuity.Standby)
	if p := b.status().Return; p.Rounds != 2 || p.Differences != 0 {
		t.Errorf("%+v", p)
	}
}

func TestReturnWaitsForAcceptanceOfRefusals(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	b.walk.store, b.walk.account = b.store, b.person.Account
	b.refuse()
	b.failover()
	if err := b.AcceptReturn(t.Context(), b.domain.ID, "root"); !fault.Is(err, fault.Conflict) {
		t.Errorf("accepted before anything was refused: %v", err)
	}
	b.giveBack(false)
	b.awaitThat("waiting for a person", func() bool {
		st := b.status()
		return st.Return != nil && st.Return.AwaitsPerson() && len(st.Questions) == 1
	})
	b.awaitThat("mirrored while a person is asked", func() bool {
		m, err := b.Mode(t.Context(), b.domain.ID)
		return err == nil && m.Push && m.Pull
	})
	b.restart()
	if err := b.AcceptReturn(t.Context(), b.domain.ID, "root"); err != nil {
		t.Fatal(err)
	}
	b.await(continuity.Standby)
	b.do(func(ctx context.Context, tx *record.Tx) error {
		open, err := tx.Link.Refusals(ctx, b.person.Account)
		if len(open) != 1 || open[0].AcceptedBy != "root" {
			t.Errorf("%+v", open)
		}
		return err
	})
}

func TestReturnGoesOnAfterACrashInAnyPhase(t *testing.T) {
	t.Parallel()
	t.Run("while it drains", func(t *testing.T) {
		t.Parallel()
		b := quiet(t)
		b.mirror.hold(true)
		b.failover()
		b.giveBack(true)
		b.awaitThat("draining", func() bool { r := b.status().Return; return r != nil && r.Drain.Waiting == 3 })
		b.restart()
		b.awaitThat("draining again", func() bool { r := b.status().Return; return r != nil && r.Drain.Waiting == 3 })
		b.mirror.hold(false)
		b.await(continuity.Standby)
		if got, want := b.calls(), []string{"rebuilt by root resting", "drain pushing", "drain pushing"}; !slices.Equal(got, want) {
			t.Errorf("the mirror was told %q, want %q", got, want)
		}
	})
	t.Run("while it reconciles", func(t *testing.T) {
		t.Parallel()
		b := quiet(t)
		b.walk.started = make(chan struct{}, 1)
		b.failover()
		b.giveBack(false)
		<-b.walk.started
		b.end()
		b.walk.started = nil
		b.restart()
		b.await(continuity.Standby)
		if p := b.status().Return; p.Rounds != 1 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("while the primary cannot be declared rebuilt", func(t *testing.T) {
		t.Parallel()
		b := quiet(t)
		b.mirror.fail = fault.New(fault.Unavailable, "not now")
		b.failover()
		b.giveBack(true)
		b.awaitThat("stuck", func() bool { r := b.status().Return; return r != nil && r.Words == "not now" })
		b.end()
		b.mirror.fail = nil
		b.restart()
		b.await(continuity.Standby)
	})
}

func TestFailoverBreaksAReturnOff(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	b.mirror.hold(true)
	b.failover()
	outage := b.status().OutageAt
	b.giveBack(false)
	b.await(continuity.Returning)
	b.failover()
	st := b.status()
	if st.State != continuity.Active || st.Return.Outcome != continuity.BrokenOff || !st.OutageAt.Equal(outage) {
		t.Errorf("%+v %+v", st, st.Return)
	}
	b.mirror.hold(false)
	b.giveBack(false)
	b.await(continuity.Standby)
}

func TestReturnNeedsASwitch(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	if _, err := b.Return(t.Context(), 999, continuity.ReturnOptions{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a domain that is none: %v", err)
	}
	b.giveBack(false)
	if got := b.passages(); len(got) != 0 {
		t.Errorf("passes %v", got)
	}
}

func TestIsolatedPrimaryIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	if _, err := b.Failover(t.Context(), b.domain.ID, continuity.FailoverOptions{Actor: "root", Isolate: true}); err != nil {
		t.Fatal(err)
	}
	b.awaitThat("isolated", func() bool {
		m, err := b.Mode(t.Context(), b.domain.ID)
		return err == nil && !m.Pull && !m.Push && b.status().Isolated
	})
	b.giveBack(true)
	b.await(continuity.Standby)
	if b.status().Isolated {
		t.Error("still isolated after the return")
	}
}

func TestPassagesAreLoggedAuditedAndToldInOneTransaction(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	b.end()
	b.config.Alarm.Webhook = "http://127.0.0.1:1/"
	b.restart()
	b.failover()
	b.do(func(ctx context.Context, tx *record.Tx) error {
		log, err := tx.Continuity.Log(ctx, b.domain.ID, 10)
		if err != nil || len(log) != 1 || log[0].Actor != "root" || !json.Valid([]byte(log[0].Evidence)) {
			t.Errorf("log %+v, %v", log, err)
		}
		acts, err := tx.Audit.Entries(ctx, 0, 0, 10)
		if err != nil || len(acts) != 1 || acts[0].Action != "continuity.active" || acts[0].Object != "example.org" {
			t.Errorf("audit %+v, %v", acts, err)
		}
		jobs, err := tx.Jobs.Claim(ctx, 10, time.Minute)
		var n continuity.Notice
		if err != nil || len(jobs) != 1 || jobs[0].Decode(&n) != nil || n.Kind != continuity.NoticeActive || n.Org != "example" {
			t.Errorf("jobs %+v, %v", jobs, err)
		}
		return nil
	})
}

func TestPlanTellsWhatAReturnWouldDo(t *testing.T) {
	t.Parallel()
	b := quiet(t)
	b.refuse()
	p, err := b.Plan(t.Context(), b.domain.ID, true)
	if err != nil || len(p.Accounts) != 1 || p.Accounts[0].Refused != 1 || len(p.Obstacles) != 1 {
		t.Errorf("%+v %v", p, err)
	}
}
