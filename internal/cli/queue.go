package cli

import (
	"fmt"
	"net/url"
	"strconv"

	"relais/internal/adminapi"
)

type queueCmd struct {
	List  queueListCmd  `cmd:"" help:"List mail for elsewhere."`
	Show  queueShowCmd  `cmd:"" help:"Show one message."`
	Retry queueRetryCmd `cmd:"" help:"Try a message now."`
	Hold  queueHoldCmd  `cmd:"" help:"Keep a message back until retry or drop."`
	Drop  queueDropCmd  `cmd:"" help:"Give a message up, without a notice to its sender."`
}

type queueListCmd struct {
	State  string `enum:"waiting,sending,held,sent,failed,dropped," default:"" help:"In this state (default: all that are open)." placeholder:"STATE"`
	Domain string `help:"For this destination." placeholder:"DOMAIN"`
	After  int64  `help:"With a higher number than this." placeholder:"N"`
	Limit  int    `default:"100" help:"At most so many." placeholder:"N"`
}

// Help is the long help.
func (queueListCmd) Help() string {
	return `Example:
  relais queue list --state held`
}

// Run lists it.
func (c *queueListCmd) Run(s *session) error {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.State != "" {
		q.Set("state", c.State)
	}
	if c.Domain != "" {
		q.Set("domain", c.Domain)
	}
	if c.After > 0 {
		q.Set("after", strconv.FormatInt(c.After, 10))
	}
	var l adminapi.Queue
	if err := s.get("/queue?"+q.Encode(), &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("NUMBER", "STATE", "FROM", "TO", "SIZE", "TRIES", "NEXT", "LAST WORDS")
		for _, i := range l.Items {
			t.row(i.ID, i.State, sender(i.From), i.To, i.Size, i.Attempts, when(i.NextAt), i.LastReply)
		}
	})
	return nil
}

// sender shows the null reverse-path as what it is.
func sender(from string) string {
	if from == "" {
		return "<>"
	}
	return from
}

type queueShowCmd struct {
	ID int64 `arg:"" help:"Number, as list shows it."`
}

// Help is the long help.
func (queueShowCmd) Help() string {
	return `Example:
  relais queue show 17`
}

// Run shows it.
func (c *queueShowCmd) Run(s *session) error {
	var i adminapi.QueueItem
	if err := s.get(fmt.Sprintf("/queue/%d", c.ID), &i); err != nil {
		return err
	}
	s.answer(i, func(t *table) { queueRows(t, i) })
	return nil
}

func queueRows(t *table, i adminapi.QueueItem) {
	t.row("number", i.ID)
	t.row("state", i.State)
	t.row("from", sender(i.From))
	t.row("to", i.To)
	t.row("size", fmt.Sprint(i.Size, " bytes"))
	t.row("since", when(i.Created))
	t.row("tries", i.Attempts)
	t.row("next", when(i.NextAt))
	t.row("given up", when(i.Expires))
	t.row("last words", i.LastReply)
}

// queueAct does one thing to one message.
func (s *session) queueAct(id int64, what, done string) error {
	var i adminapi.QueueItem
	if err := s.post(fmt.Sprintf("/queue/%d/%s", id, what), nil, &i); err != nil {
		return err
	}
	s.answer(i, func(t *table) { t.line("Message %d to %s %s.", i.ID, i.To, done) })
	return nil
}

type queueRetryCmd struct {
	ID int64 `arg:"" help:"Number, as list shows it."`
}

// Help is the long help.
func (queueRetryCmd) Help() string {
	return `Example:
  relais queue retry 17`
}

// Run retries it.
func (c *queueRetryCmd) Run(s *session) error { return s.queueAct(c.ID, "retry", "is tried now") }

type queueHoldCmd struct {
	ID int64 `arg:"" help:"Number, as list shows it."`
}

// Help is the long help.
func (queueHoldCmd) Help() string {
	return `Example:
  relais queue hold 17`
}

// Run holds it.
func (c *queueHoldCmd) Run(s *session) error { return s.queueAct(c.ID, "hold", "is kept back") }

type queueDropCmd struct {
	ID int64 `arg:"" help:"Number, as list shows it."`
}

// Help is the long help.
func (queueDropCmd) Help() string {
	return `Example:
  relais queue drop 17`
}

// Run drops it.
func (c *queueDropCmd) Run(s *session) error { return s.queueAct(c.ID, "drop", "is given up") }
