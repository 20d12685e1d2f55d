package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
)

// counted is what the walks found to differ from the book.
type counted struct {
	old, standby walker.Diff
	found        int // messages on the old server that the book knows
	unsent       int // messages to the outside that did not arrive there
	twice        int // that arrived there more often than they were sent
}

func (c counted) empty() bool {
	return c.old.Empty() && c.standby.Empty() && c.unsent == 0 && c.twice == 0
}

func (c counted) String() string {
	return fmt.Sprintf("the old server: %s\nthe standby: %s\nthe outside: %d messages missing, %d twice", c.old, c.standby, c.unsent, c.twice)
}

// count walks everyone's mailboxes on both servers and looks outside.
func (s *stage) count() (counted, error) {
	var c counted
	for _, p := range s.company.Staff {
		want := s.book.Account(p.Email)
		old, err := walker.Walk(s.old.imap(), p.Email, p.Password)
		if err != nil {
			return c, err
		}
		diff := walker.Compare(want, old)
		c.found += len(want.Items) - len(diff.Lost)
		c.old.Add(diff)
		here, err := walker.Walk(s.standby.imap(), p.Email, p.Password)
		if err != nil {
			return c, err
		}
		c.standby.Add(walker.Compare(want, here))
	}
	got := s.outside()
	for hash, n := range s.book.Outside() {
		c.unsent += max(0, n-got[hash])
		c.twice += max(0, got[hash]-n)
	}
	return c, nil
}

// settle counts until nothing differs, since mail that was accepted may be on its way and a probe lie in a mailbox at
// the moment of the walk. What still differs after a while is what differs.
func (s *stage) settle(ctx context.Context) (counted, error) {
	var c counted
	var walk error
	err := wait(ctx, timeToSettle, "agreement", func() (bool, error) {
		c, walk = s.count()
		return walk == nil && c.empty(), nil
	})
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	return c, walk
}

// standbyAgrees waits until everyone's mailbox on the standby was once as the book has it, while mail goes on arriving.
func (s *stage) standbyAgrees(ctx context.Context) error {
	for _, p := range s.company.Staff {
		var diff walker.Diff
		var walk error
		err := wait(ctx, timeToSettle, "agreement", func() (bool, error) {
			var got walker.Account
			// A walk breaks where the mirror takes a message out of a folder at that moment.
			if got, walk = walker.Walk(s.standby.imap(), p.Email, p.Password); walk != nil {
				return false, nil
			}
			diff = walker.Compare(s.book.Account(p.Email), got)
			return diff.Empty(), nil
		})
		if err != nil {
			return fmt.Errorf("the standby's copy: %w\n%s", errors.Join(err, walk), diff)
		}
	}
	return nil
}

// outside counts the copies of each message that the outside received.
func (s *stage) outside() map[[32]byte]int {
	got := map[[32]byte]int{}
	for _, m := range s.world.Messages() {
		got[walker.Hash(m.Data)] += len(m.To)
	}
	return got
}

func (s *stage) outsideHas(m traffic.Message) bool { return s.outside()[walker.Hash(m.Raw)] > 0 }

// enter puts what was counted into the result.
func (s *stage) enter(c counted) {
	s.result.Returned = c.found
	s.result.Lost = len(c.old.Lost) + len(c.standby.Lost) + c.unsent
	s.result.Doubled = len(c.old.Doubled) + len(c.standby.Doubled) + c.twice
	s.result.Differences = c.old.Count() + c.standby.Count() - len(c.old.Lost) - len(c.standby.Lost) - len(c.old.Doubled) - len(c.standby.Doubled)
}

// sumUp completes the figures and prints them.
func (s *stage) sumUp() {
	s.result.Messages, s.result.Total = s.book.Messages(), since(s.tells.began)
	r, t := s.result, s.tells
	t.heading(headSum)
	row := func(what text, value string) {
		name := t.in(what)
		t.line("  %s %s %s", name, t.paint(dim, strings.Repeat(".", max(3, 58-len([]rune(name))))), t.paint(bold, value))
	}
	row(sumDetected, t.seconds(duration(r.Detected)))
	row(sumFirst, t.seconds(duration(r.FirstMail)))
	row(sumReceived, fmt.Sprint(r.Received))
	row(sumSent, fmt.Sprint(r.Sent))
	row(sumReturned, fmt.Sprintf("%d / %d", r.Returned, r.Messages))
	row(sumLost, fmt.Sprint(r.Lost))
	row(sumDoubled, fmt.Sprint(r.Doubled))
	row(sumDifferences, fmt.Sprint(r.Differences))
	row(sumTotal, t.seconds(duration(r.Total)))
}

// tellWhere says where to sign in while the demo stays up.
func (s *stage) tellWhere() {
	t := s.tells
	t.heading(headStay)
	t.line("  %-22s  IMAP %s  SMTP %s", t.in(whereOld), s.old.imap(), s.old.submission())
	t.line("  %-22s  IMAP %s  SMTP %s  MX %s", t.in(whereStandby), s.standby.imap(), s.standby.submission(), s.standby.mx())
	t.line("")
	for _, p := range s.company.Staff {
		t.line("  %-36s %s", p.Email, p.Password)
	}
	t.line("")
	t.line("  "+t.in(whereCommands), s.Binary, s.standby.dir)
	t.line("  %s", t.in(whereEnd))
}
