package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relais/internal/demo/traffic"
)

// How long each thing may take on a slow machine before the demo gives up.
const (
	timeToMirror = 5 * time.Minute
	timeToDetect = time.Minute
	timeToReturn = 10 * time.Minute
	timeToSettle = time.Minute
)

// tell tells the story from beginning to end.
func (s *stage) tell(ctx context.Context) error {
	s.tells.line("%s", s.tells.paint(bold, s.tells.in(title)))
	for _, act := range []func(context.Context) error{
		s.opening, s.mirror, s.outage, s.firstMail, s.carryOn, s.comeBack, s.giveBack, s.prove, s.betray,
	} {
		err := act(ctx)
		if ctx.Err() != nil {
			return ctx.Err() // what broke is what was stopped
		}
		if errors.Is(err, ErrDifferences) {
			s.sumUp()
		}
		if err != nil {
			return err
		}
	}
	s.sumUp()
	return nil
}

// since is the time since then in seconds, to the millisecond.
func since(then time.Time) float64 { return seconds(time.Since(then)) }

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// opening brings up the company's old server with its years of mail, and the standby beside it.
func (s *stage) opening(ctx context.Context) error {
	s.tells.heading(headOpening)
	step := s.tells.begin(startServers, nil)
	defer step.quit()
	var err error
	if s.old, err = s.newServer(ctx, "old", s.oldPorts.Base); err != nil {
		return err
	}
	if s.standby, err = s.newServer(ctx, "standby", s.standbyPorts.Base); err != nil {
		return err
	}
	if _, err := s.standby.run(ctx, "domain", "set", domainName, "--failover", "auto"); err != nil {
		return err
	}
	step.done(serversStarted, len(s.company.Staff))

	history := s.writer("history").History(s.Size.History, time.Now())
	step = s.tells.begin(loadHistory, func() (int, int) { return s.book.Messages(), len(history) })
	defer step.quit()
	if err := traffic.Load(s.book, s.old.imap(), history); err != nil {
		return err
	}
	step.done(historyLoaded, s.book.Messages())
	return nil
}

// mirror connects the standby, which copies everything, and lets people work.
func (s *stage) mirror(ctx context.Context) error {
	s.tells.heading(headMirror)
	loaded := time.Now()
	g := startGauge(s.standby.imap(), s.company.Staff)
	defer g.close()
	step := s.tells.begin(coldMirror, g.of(s.book))
	defer step.quit()
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.standby.inStep(ctx, domainName, timeToMirror); err != nil {
		return err
	}
	s.result.Cold = since(loaded)
	step.done(mirrored, s.book.Messages())

	s.inbound = startInbound(s.book, s.standby.mx(), s.writer("in"))
	step = s.tells.begin(normalDay, nil)
	defer step.quit()
	// What people touch here is history: a message deleted before the mirror saw it would be given back to a rebuilt server.
	did, err := s.workday(s.old, "office", s.Size.Sent/2, time.Since(loaded))
	if err != nil {
		return err
	}
	if err := s.comesFromOutside(ctx, s.Size.Outside/5); err != nil {
		return err
	}
	step.done(normalDayDone, did.Sent, s.inbound.count(), did.Moved+did.Flagged+did.Deleted)

	// What the old server alone has seen of this day must have been copied before it dies: that is the mirror's lag.
	step = s.tells.begin(catchingUp, nil)
	defer step.quit()
	worked := time.Now()
	if err := s.standbyAgrees(ctx); err != nil {
		return err
	}
	step.done(caughtUp, s.tells.seconds(time.Since(worked)))
	return nil
}

// outage kills the old server and waits until Relais has noticed by itself.
func (s *stage) outage(ctx context.Context) error {
	s.tells.heading(headOutage)
	s.killed, s.before = time.Now(), s.inbound.count()
	s.old.kill()
	s.tells.line("  %s %8s  %s", s.tells.paint(red, "✗"), s.tells.seconds(time.Since(s.tells.began)), s.tells.in(oldKilled))
	step := s.tells.begin(detecting, nil)
	defer step.quit()
	active, err := s.standby.await(ctx, domainName, "active", timeToDetect, func(d domain) bool { return d.State == "active" })
	if err != nil {
		return err
	}
	s.result.Detected = seconds(active.Since.Sub(s.killed))
	step.done(detected, s.tells.seconds(active.Since.Sub(s.killed)))
	return nil
}

// firstMail lets the outside write to somebody, who reads it on the standby and answers; it ends when the answer is outside.
func (s *stage) firstMail(ctx context.Context) error {
	step := s.tells.begin(firstMail, nil)
	defer step.quit()
	writer, reader := s.writer("first"), s.company.Staff[0]
	m := writer.Write(s.company.Outside[0], []traffic.Person{reader}, time.Now())
	mx := &traffic.Sender{Addr: s.standby.mx(), Helo: "outside.test"}
	defer mx.Close()
	if err := mx.Deliver(m, patience); err != nil {
		return err
	}
	s.book.Delivered(m)

	session, err := traffic.SignIn(s.book, s.standby.imap(), reader, s.Seed)
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := session.Read(m); err != nil {
		return err
	}
	answer := writer.Reply(m, reader, time.Now())
	desk := &traffic.Sender{Addr: s.standby.submission(), Helo: "desk", User: reader.Email, Password: reader.Password}
	defer desk.Close()
	if err := desk.Deliver(answer, patience); err != nil {
		return err
	}
	s.book.Submitted(answer)
	if err := s.arrived(ctx, answer); err != nil {
		return err
	}
	took := time.Since(s.killed)
	s.result.FirstMail, s.result.Received, s.result.Sent = seconds(took), 1, 1 // this message and its answer
	step.done(firstMailDone, reader.Name, s.tells.seconds(took))
	return nil
}

// carryOn is the outage: mail comes in and goes out, people work on the standby.
func (s *stage) carryOn(ctx context.Context) error {
	s.inbound.pace(busy)
	step := s.tells.begin(carryingOn, func() (int, int) { return min(s.inbound.count()-s.before, s.Size.Outside), s.Size.Outside })
	defer step.quit()
	did, err := s.workday(s.standby, "standby", s.Size.Sent, 0)
	if err != nil {
		return err
	}
	if err := s.comesFromOutside(ctx, s.before+s.Size.Outside); err != nil {
		return err
	}
	s.inbound.pace(quiet)
	s.result.Sent += did.Sent
	step.done(carriedOn, s.inbound.count()-s.before, did.Sent, did.Moved, did.Flagged, did.Deleted, did.Folders)
	return nil
}

// comesFromOutside waits until n messages have come from outside since the beginning.
func (s *stage) comesFromOutside(ctx context.Context, n int) error {
	return wait(ctx, timeToSettle, "mail from outside", func() (bool, error) { return s.inbound.count() >= n, s.inbound.failed() })
}

// arrived waits until the outside has received a message.
func (s *stage) arrived(ctx context.Context, m traffic.Message) error {
	return wait(ctx, timeToSettle, "the answer outside", func() (bool, error) { return s.outsideHas(m), nil })
}

// wait asks until ok says yes.
func wait(ctx context.Context, limit time.Duration, what string, ok func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := ok()
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s after %s", what, limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
