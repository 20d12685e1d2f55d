package cli

import (
	"fmt"
	"net/url"
	"strings"

	"relais/internal/adminapi"
)

type ledgerCmd struct {
	Of    string `arg:"" help:"Address of a person: the events of her account. Domain: what its primary is owed." placeholder:"EMAIL|DOMAIN"`
	After uint64 `help:"Events with a higher modseq." placeholder:"N"`
	Limit int    `default:"100" help:"At most so many events." placeholder:"N"`
}

// Help is the long help.
func (ledgerCmd) Help() string {
	return `Example:
  relais ledger ann@exemple.fr --after 1200
  relais ledger exemple.fr`
}

// Run shows it.
func (c *ledgerCmd) Run(s *session) error {
	if !strings.Contains(c.Of, "@") {
		return c.duties(s)
	}
	var l adminapi.Ledger
	if err := s.get(fmt.Sprintf("%s/ledger?after=%d&limit=%d", personURL(c.Of), c.After, c.Limit), &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("MODSEQ", "AT", "EVENT", "BY", "MESSAGE", "WHERE", "FLAGS")
		for _, e := range l.Entries {
			by := e.Origin
			if e.Actor != "" && e.Actor != e.Origin {
				by += " " + e.Actor
			}
			where := e.Mailbox
			if e.From != "" {
				where = e.From + " → " + e.Mailbox
			}
			t.row(e.Modseq, when(e.At), e.Kind, by, e.Message, where, strings.Join(e.After, " "))
		}
		t.line("")
		t.line("%s is at modseq %d.", l.Email, l.Modseq)
	})
	return nil
}

func (c *ledgerCmd) duties(s *session) error {
	var d adminapi.Duties
	if err := s.get("/domains/"+url.PathEscape(c.Of)+"/duties", &d); err != nil {
		return err
	}
	s.answer(d, func(t *table) {
		t.line("%s: %d owed, %d handed over and not seen yet, %d seen, %d refused, %d never seen", d.Domain,
			d.Counts["owed"]+d.Counts["claimed"], d.Counts["handed"], d.Counts["seen"], d.Counts["refused"], d.Counts["unseen"])
		if len(d.Open) == 0 {
			return
		}
		t.line("")
		t.row("STATE", "TO", "FROM", "SINCE", "TRIES", "LAST WORDS")
		for _, o := range d.Open {
			t.row(o.State, o.Recipient, sender(o.From), when(o.OwedAt), o.Attempts, o.Reply)
		}
	})
	return nil
}

type auditCmd struct {
	After int64 `help:"Entries with a higher number." placeholder:"N"`
	Limit int   `default:"100" help:"At most so many." placeholder:"N"`
}

// Help is the long help.
func (auditCmd) Help() string {
	return `Example:
  relais audit --after 40`
}

// Run lists administrative acts.
func (c *auditCmd) Run(s *session) error {
	var l adminapi.Audit
	if err := s.get(fmt.Sprintf("/audit?after=%d&limit=%d", c.After, c.Limit), &l); err != nil {
		return err
	}
	s.answer(l, func(t *table) {
		t.row("NUMBER", "AT", "WHO", "WHAT", "ON")
		for _, e := range l.Entries {
			t.row(e.ID, when(e.At), e.Actor, e.Action, e.Object)
		}
	})
	return nil
}
