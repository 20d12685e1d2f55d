package relais

import (
	"fmt"
	"time"

	"relais/test/proc"
)

// Domain is an entry of "domains" in status --json.
type Domain struct {
	Domain string    `json:"domain"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Mirror struct {
		InStep bool    `json:"in_step"`
		Lag    float64 `json:"lag_s"`
		Frozen bool    `json:"frozen"`
	} `json:"mirror"`
}

// Domain asks for the state of one domain; ok is false while the node gives no answer about it.
func (n *Node) Domain(name string) (d Domain, ok bool) {
	n.t.Helper()
	a := n.Run("status", "--json")
	var status struct {
		Domains []Domain `json:"domains"`
	}
	if a.Status != OK || a.Decode(&status) != nil {
		return Domain{}, false
	}
	for _, d := range status.Domains {
		if d.Domain == name {
			return d, true
		}
	}
	return Domain{}, false
}

// Await waits until a domain is as ok wants, and fails the test with its last state otherwise.
func (n *Node) Await(name, what string, limit time.Duration, ok func(Domain) bool) Domain {
	n.t.Helper()
	var last Domain
	found := proc.Poll(limit, func() bool {
		d, known := n.Domain(name)
		last = d
		return known && ok(d)
	})
	if !found {
		n.t.Fatalf("%s is not %s after %s: %s%s", name, what, limit, fmt.Sprintf("%+v", last), n.hint())
	}
	return last
}

// AwaitState waits for a state of the domain.
func (n *Node) AwaitState(name, state string, limit time.Duration) Domain {
	n.t.Helper()
	return n.Await(name, state, limit, func(d Domain) bool { return d.State == state })
}

// AwaitInStep waits until the mirror has nothing left to do.
func (n *Node) AwaitInStep(name string, limit time.Duration) {
	n.t.Helper()
	n.Await(name, "in step", limit, func(d Domain) bool { return d.Mirror.InStep })
}
