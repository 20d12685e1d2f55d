package cli

import (
	"bufio"
	"fmt"
	"net/url"
	"strings"
	"time"

	"relais/internal/adminapi"
	"relais/internal/fault"
)

type returnCmd struct {
	Start  returnStartCmd  `cmd:"" default:"withargs" help:"Give a domain back to its primary."`
	Accept returnAcceptCmd `cmd:"" help:"Accept what the primary refuses, so that the return can end."`
}

type returnStartCmd struct {
	Domain  string        `arg:"" help:"Domain name."`
	Rebuilt bool          `help:"The primary begins anew, with nothing of what it held."`
	DryRun  bool          `help:"Tell what would be done, and do nothing."`
	Wait    time.Duration `help:"Wait until the primary is in charge again, at most so long." placeholder:"DUR"`
}

// Help is the long help.
func (returnStartCmd) Help() string {
	return `Brings the primary everything that happened meanwhile, compares both sides, and
puts the primary in charge again. It may be broken off at any moment and goes on by
itself after a restart. On a terminal it asks for the domain's name first.

Exit status 5: it waits for a decision of yours, see relais status.

Example:
  relais return exemple.fr --rebuilt --wait 2h`
}

// Run gives the domain back. A return under way is joined; a domain whose primary
// is in charge already needs none.
func (c *returnStartCmd) Run(s *session) error {
	path := "/domains/" + url.PathEscape(c.Domain)
	if c.DryRun {
		return c.plan(s, path)
	}
	var st adminapi.Standing
	if err := s.get(path+"/continuity", &st); err != nil {
		return err
	}
	if st.State == "standby" {
		s.answer(st, func(t *table) { t.line("Nothing to give back: the primary of %s is in charge.", st.Domain) })
		return nil
	}
	if st.State != "returning" {
		if err := s.confirm(st.Domain); err != nil {
			return err
		}
		if err := s.post(path+"/return", adminapi.NewReturn{Rebuilt: c.Rebuilt}, &st); err != nil {
			return err
		}
	}
	if c.Wait > 0 {
		if err := c.await(s, &st); err != nil {
			return err
		}
	}
	s.answer(st, func(t *table) { t.line("%s is %s since %s.", st.Domain, st.State, when(st.Since)) })
	return nil
}

// await waits for the end, with a bar of what is left.
func (c *returnStartCmd) await(s *session, st *adminapi.Standing) error {
	deadline := time.Now().Add(c.Wait)
	bar := s.progress("Giving back", 1)
	defer bar.end()
	for st.State == "returning" {
		if r := st.Return; r != nil && r.Accounts > 0 {
			bar.total, bar.label = r.Accounts, fmt.Sprintf("Giving back (%s, %d messages wait), accounts", r.Phase, r.Waiting)
			bar.at(r.Drained)
		}
		for _, q := range st.Questions {
			if q.Kind == "refused" || q.Kind == "differences" {
				return fault.New(fault.AwaitsPerson, "the return of %s waits for you: %s", st.Domain, q.Text)
			}
		}
		if err := s.again(c.Domain, st, deadline); err != nil {
			return err
		}
	}
	if st.State != "standby" {
		return fmt.Errorf("the return was broken off: %s is %s", st.Domain, st.State)
	}
	return nil
}

// confirm asks on a terminal for the domain's name. In a script the name in the
// command is the confirmation.
func (s *session) confirm(domain string) error {
	if !s.Terminal {
		return nil
	}
	fmt.Fprintf(s.Stderr, "Everything goes back to the primary of %s, which is then in charge.\nType the domain's name to begin: ", domain)
	line, _ := bufio.NewReader(s.Stdin).ReadString('\n')
	if strings.TrimSpace(line) != domain {
		return usagef("not confirmed, nothing was done")
	}
	return nil
}

func (c *returnStartCmd) plan(s *session, path string) error {
	var p adminapi.ReturnPlan
	if err := s.get(fmt.Sprintf("%s/return/plan?rebuilt=%v", path, c.Rebuilt), &p); err != nil {
		return err
	}
	s.answer(p, func(t *table) {
		t.line("A return of %s, now %s, would:", p.Domain, p.State)
		t.row("  accounts", p.Accounts)
		t.row("  messages to bring", p.Append)
		t.row("  of these, never handed over", p.Owed)
		t.row("  events to carry out", p.Changes)
		for _, o := range p.Obstacles {
			t.line("In the way: %s", oneLine(o))
		}
	})
	return nil
}

type returnAcceptCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (returnAcceptCmd) Help() string {
	return `What the primary refuses stays here, listed with the server's words in the report.

Example:
  relais return accept exemple.fr`
}

// Run accepts.
func (c *returnAcceptCmd) Run(s *session) error {
	var st adminapi.Standing
	if err := s.post("/domains/"+url.PathEscape(c.Domain)+"/return/accept", nil, &st); err != nil {
		return err
	}
	s.answer(st, func(t *table) { t.line("Accepted. %s is %s.", st.Domain, st.State) })
	return nil
}
