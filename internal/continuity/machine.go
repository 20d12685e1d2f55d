package continuity

// Health is what the probes of one node say of a primary.
type Health int

// The healths, from the least known to the surest.
const (
	Unknown  Health = iota // no probe has ended yet
	Doubtful               // some fail, or it has not been well for long enough
	Well                   // every kind of probe succeeds, steadily
	Dead                   // one kind fails, for long enough
)

// String is the word for people and logs.
func (h Health) String() string { return [...]string{"unknown", "doubtful", "well", "dead"}[h] }

// Outside is whether Relais itself reaches the world.
type Outside int

// The answers of the references.
const (
	Unchecked Outside = iota // no references are configured
	Reached                  // two of them answer
	Silent                   // fewer do: it may be Relais that is cut off
)

// String is the word for people and logs.
func (o Outside) String() string { return [...]string{"unchecked", "reached", "silent"}[o] }

// Sight is all that a passage is decided on.
type Sight struct {
	Health  Health
	Known   bool // what is dead was well before: it is an outage, not a wrong address
	Auto    bool // the domain switches by itself
	Outside Outside
	Quorum  bool // enough nodes see the same
}

// Next tells through which states a domain goes from s by itself, given what is
// seen; none when it stays. Only a person takes it out of Active and Returning.
func Next(s State, v Sight) []State {
	switch s {
	case Standby, Failing, Blind:
	default:
		return nil
	}
	switch {
	case v.Health == Well && s != Standby:
		return []State{Standby}
	case v.Health != Dead || !v.Quorum:
		return nil
	case v.Outside == Silent && s != Blind:
		return []State{Blind}
	case v.Outside == Silent:
		return nil
	}
	var way []State
	if s != Failing {
		way = append(way, Failing)
	}
	if v.Auto && v.Known {
		way = append(way, Active)
	}
	return way
}
