package kill_test

import (
	"flag"
	"testing"
	"time"

	"relais/test/kill"
	"relais/test/story"
)

var fixed = flag.Uint64("seed", 0, "seed of the kills; 0 takes the time")

// drawSeed gives the seed of the command line, or a new one, and prints how to run the same again.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *fixed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("again: go test ./test/kill -run %s -args -seed %d", t.Name(), seed)
	return seed
}

// TestKillsWhileCarryingAlone kills a node without a primary while the outside sends, and people send and work.
func TestKillsWhileCarryingAlone(t *testing.T) {
	seed := drawSeed(t)
	s := story.OpenAlone(t, story.Options{Size: story.Tiny, Seed: seed})
	s.Patience = 2 * time.Minute
	c := kill.New(s, seed)
	s.Inbound(50 * time.Millisecond)
	s.KeepBusy(300 * time.Millisecond)
	c.Spend(8, 5)
	s.Silence()
	stopIfFailed(t)
	s.StandbyIs(time.Minute)
	s.OutsideHas(c.Deaths, time.Minute)
	s.Node.Stop()
	s.Node.Must("check", "--store")
}

// TestTwentyKillsLoseAndDoubleNothing tells the wiped story as one continuing run while Relais itself is killed twenty
// times: in its cold mirror, in the daily traffic, during the outage and during the return.
func TestTwentyKillsLoseAndDoubleNothing(t *testing.T) {
	seed := drawSeed(t)
	size := story.Short
	if testing.Short() {
		size = story.Tiny
	}
	s := story.Open(t, story.Options{Size: size, Seed: seed})
	s.Patience = 5 * time.Minute
	s.Age = 10 * time.Second // the mirror is away for longer here
	c := kill.New(s, seed)
	s.Node.Serve()
	s.Connect()

	s.Inbound(100 * time.Millisecond)
	c.Spend(4, 2)
	s.Say("four kills in the cold mirror")
	s.Node.AwaitInStep(story.Domain, 10*time.Minute)

	office := make(chan struct{})
	go func() {
		defer close(office)
		s.OfficeHours(1)
	}()
	c.Spend(5, 3)
	<-office
	stopIfFailed(t)
	s.Postfix.Drained(time.Minute)
	s.Node.AwaitInStep(story.Domain, 5*time.Minute)
	s.StandbyIs(2 * time.Minute)
	s.Say("five kills in the daily traffic")

	failed := time.Now()
	story.Wiped.Fail(s)
	active := s.Node.AwaitState(story.Domain, "active", 5*time.Minute)
	s.Book.InFlight(failed.Add(-30*time.Second), active.Since.Add(30*time.Second))
	s.Say("the primary is dead, relais stands in")
	rest := s.KeepBusy(500 * time.Millisecond)
	c.Spend(6, 3)
	rest()
	s.Standby(s.Size.Sent)
	s.StandbyIs(2 * time.Minute)

	story.Wiped.Back(s)
	returned := make(chan error, 1)
	go func() { returned <- c.Insist(10*time.Minute, "return", story.Domain, "--rebuilt", "--wait", "10m") }()
	c.Spend(5, 2)
	if err := <-returned; err != nil {
		t.Fatal(err)
	}
	s.Node.AwaitState(story.Domain, "standby", 5*time.Minute)
	s.Say("everything is returned, with five kills in between")
	s.Silence()

	s.Postfix.Drained(time.Minute)
	s.PrimaryIs(5 * time.Minute)
	s.StandbyIs(time.Minute)
	s.Reconcile()
	s.OutsideHas(c.Deaths, time.Minute)
	s.Node.Stop()
	s.Node.Must("check", "--store")
	if c.Struck != 20 || c.AtPoints != 10 {
		t.Errorf("%d kills, %d at crash points; want 20 and 10", c.Struck, c.AtPoints)
	}
}

// stopIfFailed ends the story when one of its other goroutines has failed.
func stopIfFailed(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.FailNow()
	}
}
