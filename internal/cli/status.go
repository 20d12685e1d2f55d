package cli

import (
	"fmt"
	"time"

	"relais/internal/adminapi"
)

type statusCmd struct{}

// Help is the long help.
func (statusCmd) Help() string {
	return `Example:
  relais status --json`
}

// Run shows the status.
func (statusCmd) Run(s *session) error {
	var st adminapi.Status
	if err := s.get("/status", &st); err != nil {
		return err
	}
	s.answer(st, func(t *table) {
		t.line("relais %s, running since %s", st.Version, when(st.Since))
		t.line("mail for elsewhere: %d waiting, %d being sent, %d held, %d failed", st.Queue["waiting"], st.Queue["sending"], st.Queue["held"], st.Queue["failed"])
		if len(st.Domains) == 0 {
			return
		}
		t.line("")
		t.row("DOMAIN", "STATE", "SINCE", "PRIMARY", "MIRROR", "OWED")
		for _, d := range st.Domains {
			t.row(d.Domain, d.State, when(d.Since), d.Health, mirrorWord(d.Mirror), d.Queue)
		}
		for _, d := range st.Domains {
			for _, q := range d.Questions {
				t.line("")
				t.line("%s waits for you: %s", d.Domain, oneLine(q.Text))
			}
		}
	})
	return nil
}

// mirrorWord is a mirror's state in a word or two.
func mirrorWord(m adminapi.MirrorStatus) string {
	switch {
	case m.Frozen:
		return "frozen"
	case m.InStep:
		return "in step"
	}
	return fmt.Sprintf("%s behind", time.Duration(m.LagS*float64(time.Second)).Round(time.Second))
}
