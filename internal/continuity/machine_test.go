package continuity

import (
	"slices"
	"testing"
)

func TestPassagesByThemselves(t *testing.T) {
	t.Parallel()
	dead := Sight{Health: Dead, Known: true, Auto: true, Quorum: true}
	with := func(change func(*Sight)) Sight { v := dead; change(&v); return v }
	well := Sight{Health: Well, Quorum: true}
	for _, c := range []struct {
		name string
		from State
		see  Sight
		want []State
	}{
		{"well", Standby, well, nil},
		{"not known yet after a start", Standby, Sight{Quorum: true}, nil},
		{"in doubt", Standby, with(func(v *Sight) { v.Health = Doubtful }), nil},
		{"dead, automatic", Standby, dead, []State{Failing, Active}},
		{"dead, people are asked", Standby, with(func(v *Sight) { v.Auto = false }), []State{Failing}},
		{"dead, but never seen well: a wrong address", Standby, with(func(v *Sight) { v.Known = false }), []State{Failing}},
		{"dead, but the other nodes see it well", Standby, with(func(v *Sight) { v.Quorum = false }), nil},
		{"dead, and the references answer", Standby, with(func(v *Sight) { v.Outside = Reached }), []State{Failing, Active}},
		{"dead, and so is the rest of the world", Standby, with(func(v *Sight) { v.Outside = Silent }), []State{Blind}},

		{"still dead, people are asked", Failing, with(func(v *Sight) { v.Auto = false }), nil},
		{"set to automatic meanwhile", Failing, dead, []State{Active}},
		{"recovers", Failing, well, []State{Standby}},
		{"recovering, not yet believed", Failing, with(func(v *Sight) { v.Health = Doubtful }), nil},
		{"cut off while failing", Failing, with(func(v *Sight) { v.Outside, v.Auto = Silent, false }), []State{Blind}},

		{"still blind", Blind, with(func(v *Sight) { v.Outside = Silent }), nil},
		{"sees again that it is dead", Blind, with(func(v *Sight) { v.Outside = Reached }), []State{Failing, Active}},
		{"sees again that it is dead, people are asked", Blind, with(func(v *Sight) { v.Outside, v.Auto = Reached, false }), []State{Failing}},
		{"sees again that it is well", Blind, well, []State{Standby}},

		{"a return is never automatic", Active, well, nil},
		{"dead for long", Active, dead, nil},
		{"dies while returning", Returning, dead, nil},
		{"well while returning", Returning, well, nil},
	} {
		if got := Next(c.from, c.see); !slices.Equal(got, c.want) {
			t.Errorf("%s, %s: passes to %v, want %v", c.from, c.name, got, c.want)
		}
	}
}

func TestModesOfTheMirror(t *testing.T) {
	t.Parallel()
	both := Mode{Pull: true, Push: true}
	back := Mode{Pull: true, Push: true, Appends: true, StandbyLeads: true}
	rest := Mode{StandbyLeads: true}
	for _, c := range []struct {
		state State
		phase Phase
		want  Mode
	}{
		{Standby, "", both}, {Failing, "", both}, {Blind, "", both},
		{Active, "", Mode{Pull: true, StandbyLeads: true}},
		{Returning, Declare, rest}, {Returning, Drain, back}, {Returning, Reconcile, rest}, {Returning, Accept, back},
	} {
		if got := modeOf(c.state, c.phase); got != c.want {
			t.Errorf("%s %s: %+v, want %+v", c.state, c.phase, got, c.want)
		}
	}
}
