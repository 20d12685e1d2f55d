package cli

import (
	"io"
	"maps"
	"slices"
	"strings"
)

type demoCmd struct {
	Once     bool           `help:"End after the story instead of staying up."`
	Sabotage map[string]int `mapsep:"," help:"After the return, delete, double and flag so many messages behind Relais's back." placeholder:"lose=N,double=N,flag=N"`
}

// Help is the long help.
func (demoCmd) Help() string {
	return `Two nodes on this machine, in a directory that goes with the demo: a company's mail
server with its people, and the standby beside it. The first is killed, the second
stands in and gives everything back to an empty server. No root, no ports below 1024.

With --json standard output holds one line with what was measured.

Exit status 3: messages differ; after --sabotage that is right.

Example:
  relais demo
  relais demo --once --json
  relais demo --once --sabotage lose=3,double=2,flag=4`
}

// DemoChoices are what the demo is asked for.
type DemoChoices struct {
	Once               bool
	Lose, Double, Flag int       // messages altered behind Relais's back
	Story              io.Writer // hears the story
	Data               io.Writer // gets the result; nil: nobody asked
}

// Run runs the demo.
func (c *demoCmd) Run(s *session) error {
	d := DemoChoices{Once: c.Once, Story: s.Stdout}
	if s.root.JSON {
		d.Story, d.Data = s.Stderr, s.Stdout
	}
	known := map[string]*int{"lose": &d.Lose, "double": &d.Double, "flag": &d.Flag}
	for word, n := range c.Sabotage {
		to := known[word]
		if to == nil || n < 0 || n > maxSabotage {
			return usagef("--sabotage %s=%d: want %s=0 to %d", word, n, strings.Join(slices.Sorted(maps.Keys(known)), ", "), maxSabotage)
		}
		*to = n
	}
	return s.Local.Demo(s.ctx, d)
}

// maxSabotage is how many messages each kind of sabotage may alter.
const maxSabotage = 100
