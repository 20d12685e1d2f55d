package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"relais/internal/demo/tamper"
	"relais/test/relais"
)

// Report is what reconcile --json prints, as far as the stories read it.
type Report struct {
	Report struct {
		Counts struct {
			Lost, Doubled, Extra, Flags, Folder, Date, Content, Refused int
		} `json:"counts"`
		Differences []struct {
			Account   string `json:"account"`
			Kind      string `json:"kind"`
			MessageID string `json:"message_id"`
		} `json:"differences"`
	} `json:"report"`
}

// lines names each difference the way that a tamper.Deed names what it did.
func (r Report) lines() []string {
	var out []string
	for _, d := range r.Report.Differences {
		out = append(out, fmt.Sprintf("%s %s %s", d.Kind, d.Account, strings.Trim(d.MessageID, "<>")))
	}
	slices.Sort(out)
	return out
}

// TellTampered tells how a primary that was altered while the mirror is frozen is reported: exactly.
func TellTampered(s *Stage, todo tamper.Kinds) {
	s.T.Helper()
	s.Node.Serve()
	s.Connect()
	s.Node.AwaitInStep(Domain, timeToMirror)
	s.Reconcile()
	s.Node.Must("mirror", "freeze", Domain)
	s.Node.Await(Domain, "frozen", 10*time.Second, func(d relais.Domain) bool { return d.Mirror.Frozen })
	deeds, err := tamper.Do(s.Dovecot.Addr, s.Company.Staff, todo)
	s.check(err)
	var want []string
	for _, d := range deeds {
		want = append(want, d.String())
	}
	slices.Sort(want)
	s.Say("behind a frozen mirror: %+v", todo)
	var report Report
	s.Node.JSON(&report, []int{relais.Differences}, "reconcile", Domain)
	got := report.lines()
	if !slices.Equal(got, want) {
		s.T.Fatalf("reconcile reports\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	s.Say("reconcile ends with 3 and names these %d messages and no other", len(got))
}
