package story

import (
	"time"

	"relais/test/relais"
)

// Outage is how a primary goes away.
type Outage struct {
	Name string
	Fail func(*Stage) // makes the primary fail
	Back func(*Stage) // brings it back
	// Rebuilt is whether it comes back empty and is declared rebuilt.
	Rebuilt bool
}

// The outages.
var (
	// Wiped: both servers killed in the middle of their work, the mail storage lost. Postfix comes back with the queue
	// that it had: what Relais had relayed and Dovecot not yet taken arrives a second way.
	Wiped = Outage{
		Name: "killed, comes back empty",
		Fail: func(s *Stage) {
			s.Postfix.Kill()
			s.Dovecot.Kill()
		},
		Back: func(s *Stage) {
			s.Dovecot.Wipe()
			s.Dovecot.Run()
			s.Postfix.Run()
		},
		Rebuilt: true,
	}
	// Killed: the same with the mail storage intact. Postfix is killed between two messages, since otherwise it
	// doubles one itself.
	Killed = Outage{
		Name: "killed, comes back as it was",
		Fail: func(s *Stage) {
			s.Postfix.KillIdle(time.Minute)
			s.Dovecot.Kill()
		},
		Back: func(s *Stage) {
			s.Dovecot.Run()
			s.Postfix.Run()
		},
	}
	// HalfDead: both accept connections and never answer.
	HalfDead = Outage{
		Name: "half-dead: accepts connections, never answers",
		Fail: func(s *Stage) {
			s.Postfix.Freeze()
			s.Dovecot.Freeze()
		},
		Back: func(s *Stage) {
			s.Dovecot.Thaw()
			s.Postfix.Thaw()
		},
	}
)

// timeToMirror bounds a cold mirror.
const timeToMirror = 10 * time.Minute

// detection is what a busy machine may add to three probe periods: the probe in flight, the entry in the log.
const detection = time.Second

// relayTime is how long a message may be on its way from Relais through Postfix into Dovecot.
const relayTime = 5 * time.Second

// Tell tells the whole story of one outage.
func Tell(s *Stage, o Outage) {
	s.T.Helper()
	s.Node.Serve()
	s.Connect()
	cold := time.Now()
	s.Node.AwaitInStep(Domain, timeToMirror)
	s.Say("the cold mirror is in step: %.0f messages/s", float64(s.Book.Messages())/time.Since(cold).Seconds())
	s.StandbyIs(time.Minute)

	s.Inbound(50 * time.Millisecond)
	s.OfficeHours(1)
	s.Postfix.Drained(time.Minute)
	s.Node.AwaitInStep(Domain, 2*time.Minute)
	// What people did at the primary in the last moment before its end is lost with it: the mirror's lag, which the
	// topology states. The story waits it out, to be exact about everything else. Mail from outside has no such lag.
	s.StandbyIs(time.Minute)

	before := s.Received()
	o.Fail(s)
	failed := time.Now()
	s.Say("the primary is %s", o.Name)
	s.Node.AwaitState(Domain, "active", time.Minute)
	took := time.Since(failed)
	s.Book.InFlight(failed.Add(-relayTime), time.Now().Add(relayTime))
	s.Say("relais stands in after %.2f s", took.Seconds())
	_, err := s.stint(0, 1, 0, s.Writer("first"))
	s.check(err)
	s.Say("somebody has signed in there and answered after %.2f s", time.Since(failed).Seconds())
	if took > 3*ProbePeriod+detection {
		s.T.Errorf("detection took %s, more than three probe periods of %s", took, ProbePeriod)
	}

	s.Standby(s.Size.Sent)
	s.AwaitReceived(before+s.Size.Outside, 10*time.Minute)
	s.Say("%d messages came from outside during the outage", s.Received()-before)
	s.StandbyIs(time.Minute)

	o.Back(s)
	s.Say("the primary is back")
	s.Return(o)
	s.Silence()
	s.Say("the outside stopped sending after %d messages", s.Received())
	// Only what the outside sent in the last seconds is still on its way through Postfix.
	s.Postfix.Drained(time.Minute)
	s.PrimaryIs(2 * time.Minute)
	s.StandbyIs(time.Minute)
	s.Reconcile()
	s.OutsideHas(0, time.Minute)
	s.Node.Stop()
	s.Node.Must("check", "--store")
	s.Say("relais check --store finds nothing wrong")
}

// Return gives the domain back and waits until it is standby again.
func (s *Stage) Return(o Outage) {
	s.T.Helper()
	began := time.Now()
	args := []string{"return", Domain, "--wait", "10m"}
	if o.Rebuilt {
		args = append(args, "--rebuilt")
	}
	s.Node.Must(args...)
	s.Node.AwaitState(Domain, "standby", time.Minute)
	s.Say("everything is returned after %.2f s", time.Since(began).Seconds())
}

// Reconcile has the ledger compared with the primary, which must agree, and the signed report verified offline.
func (s *Stage) Reconcile() {
	s.T.Helper()
	s.Node.AwaitInStep(Domain, 5*time.Minute)
	report := s.Node.Must("reconcile", Domain, "--json")
	s.Node.Must("verify", s.file("report.json", report))
	altered := []byte(report)
	for i, b := range altered {
		if b >= '1' && b <= '8' {
			altered[i]++
			break
		}
	}
	if a := s.Node.Run("verify", s.file("altered.json", string(altered))); a.Status != relais.Failed && a.Status != relais.Differences {
		s.T.Errorf("an altered report is taken for true: %s", a)
	}
	s.Say("the reconciliation finds no difference; its signature holds, and not for an altered report")
}
