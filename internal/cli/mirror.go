package cli

import (
	"net/url"

	"relais/internal/adminapi"
)

type mirrorCmd struct {
	Status mirrorStatusCmd `cmd:"" help:"Show how far a domain's mirror is."`
	Freeze mirrorFreezeCmd `cmd:"" help:"Stop a domain's mirror."`
	Resume mirrorResumeCmd `cmd:"" help:"Go on, and judge anew."`
	Accept mirrorAcceptCmd `cmd:"" help:"What was stopped is right: do it."`
	Refuse mirrorRefuseCmd `cmd:"" help:"What was stopped is wrong: undo it where it was done."`
}

func mirrorURL(domain string) string { return "/domains/" + url.PathEscape(domain) + "/mirror" }

type mirrorStatusCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (mirrorStatusCmd) Help() string {
	return `Example:
  relais mirror status exemple.fr`
}

// Run shows it.
func (c *mirrorStatusCmd) Run(s *session) error {
	var m adminapi.MirrorDetail
	if err := s.get(mirrorURL(c.Domain), &m); err != nil {
		return err
	}
	s.answer(m, func(t *table) { mirrorTable(t, m) })
	return nil
}

func mirrorTable(t *table, m adminapi.MirrorDetail) {
	t.line("%s: %s", m.Domain, mirrorWord(m.MirrorStatus))
	t.line("")
	t.row("ACCOUNT", "LAST PASS", "WAITING", "REFUSED", "")
	for _, a := range m.Accounts {
		t.row(a.Email, when(a.Done), a.Waiting, a.Refused, a.Error)
	}
	for _, f := range m.Freezes {
		who := f.Account
		if who == "" {
			who = "the whole organisation"
		}
		t.line("")
		t.line("Frozen since %s, %s: %s", when(f.At), who, oneLine(f.Reason))
		t.line("Decide with: relais mirror resume|accept|refuse %s", m.Domain)
	}
}

type mirrorFreezeCmd struct {
	Domain string `arg:"" help:"Domain name."`
	Reason string `help:"Why, for the log." placeholder:"TEXT"`
}

// Help is the long help.
func (mirrorFreezeCmd) Help() string {
	return `Example:
  relais mirror freeze exemple.fr --reason "the primary is being moved"`
}

// Run stops it.
func (c *mirrorFreezeCmd) Run(s *session) error {
	var m adminapi.MirrorDetail
	if err := s.post(mirrorURL(c.Domain)+"/freeze", adminapi.NewFreeze{Reason: c.Reason}, &m); err != nil {
		return err
	}
	s.answer(m, func(t *table) { t.line("The mirror of %s is stopped.", m.Domain) })
	return nil
}

// decide carries out a decision about what is frozen.
func (s *session) decide(domain, decision string) error {
	var d adminapi.Decided
	if err := s.post(mirrorURL(domain)+"/"+decision, nil, &d); err != nil {
		return err
	}
	s.answer(d, func(t *table) { t.line("The mirror of %s goes on; %d stops settled.", domain, d.Settled) })
	return nil
}

type mirrorResumeCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (mirrorResumeCmd) Help() string {
	return `Example:
  relais mirror resume exemple.fr`
}

// Run resumes it.
func (c *mirrorResumeCmd) Run(s *session) error { return s.decide(c.Domain, "resume") }

type mirrorAcceptCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (mirrorAcceptCmd) Help() string {
	return `Example:
  relais mirror accept exemple.fr`
}

// Run accepts.
func (c *mirrorAcceptCmd) Run(s *session) error { return s.decide(c.Domain, "accept") }

type mirrorRefuseCmd struct {
	Domain string `arg:"" help:"Domain name."`
}

// Help is the long help.
func (mirrorRefuseCmd) Help() string {
	return `Example:
  relais mirror refuse exemple.fr`
}

// Run refuses.
func (c *mirrorRefuseCmd) Run(s *session) error { return s.decide(c.Domain, "refuse") }
