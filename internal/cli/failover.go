package cli

import (
	"fmt"
	"net/url"
	"time"

	"relais/internal/adminapi"
)

type failoverCmd struct {
	Domain  string        `arg:"" help:"Domain name."`
	Isolate bool          `help:"The primary works and is hostile: cut it off."`
	Wait    time.Duration `help:"Wait until Relais is in charge, at most so long." placeholder:"DUR"`
}

// Help is the long help.
func (failoverCmd) Help() string {
	return `People then read, send and receive on the standby. What is owed to the primary
waits, however long it takes.

Example:
  relais failover exemple.fr --wait 30s`
}

// Run switches.
func (c *failoverCmd) Run(s *session) error {
	var st adminapi.Standing
	if err := s.post("/domains/"+url.PathEscape(c.Domain)+"/failover", adminapi.NewFailover{Isolate: c.Isolate}, &st); err != nil {
		return err
	}
	deadline := time.Now().Add(c.Wait)
	for c.Wait > 0 && st.State != "active" {
		if err := s.again(c.Domain, &st, deadline); err != nil {
			return err
		}
	}
	s.answer(st, func(t *table) { t.line("%s is %s since %s.", st.Domain, st.State, when(st.Since)) })
	return nil
}

// again asks after a pause where a domain stands; past the deadline it is an error.
func (s *session) again(domain string, st *adminapi.Standing, deadline time.Time) error {
	if time.Now().After(deadline) {
		return fmt.Errorf("%s is still %s; it goes on, see relais status", domain, st.State)
	}
	if err := s.wait(pollEvery); err != nil {
		return err
	}
	return s.get("/domains/"+url.PathEscape(domain)+"/continuity", st)
}
