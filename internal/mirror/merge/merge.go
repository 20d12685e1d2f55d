// Package merge decides, for one message seen from three points (base, primary, standby), what each side must do.
//
// It is pure: no I/O, no clock. Each row of the table in docs/merge.md is a case
// of Decide and a row of its table test.
package merge

import "relais/internal/mail"

// State is how a message stands on one side: the mailbox that holds it (the
// primary's folders are named by the mailbox here that they are joined to) and its flags.
type State struct {
	Mailbox mail.MailboxID
	Flags   mail.Flags
}

// Lead says whose word counts when both sides moved a message: IMAP gives no time of a move.
type Lead int

// The leads: the primary's in the state standby, the standby's in active and returning.
const (
	PrimaryLeads Lead = iota
	StandbyLeads
)

// Loss says why a message that the base knows is not at the primary.
type Loss int

// The losses, in the order of their precedence.
const (
	Deleted    Loss = iota // expunged there, its folder intact
	Rebuilt                // a person declared the primary rebuilt: it never had the message
	Restored               // the primary was set back to a backup: freeze, a person decides
	Reset                  // UIDVALIDITY is new or the list of mailboxes is empty: nothing can be inferred
	FolderGone             // its folder vanished while the others are intact
)

// Input is what is known of one message. A nil side does not have it.
type Input struct {
	Base    *State
	Primary *State
	Standby *State
	// Lead matters only when both sides moved it.
	Lead Lead
	// Loss is read when Base is set and Primary is nil.
	Loss Loss
	// NewContent tells that the standby's copy has another content than the base (a draft's new version).
	NewContent bool
	// RelayOwns tells that an SMTP relay has claimed or handed over the message, so no append may compete with it.
	RelayOwns bool
	// Unkept are the flags that the primary's server can't keep: never read as removed there.
	Unkept mail.Flags
}

// Op is what is done about the message.
type Op int

// The operations.
const (
	Nothing       Op = iota // both sides agree already
	FileHere                // the primary has a message that is new here
	AppendThere             // the standby has a message that the primary must get
	Link                    // both have it: join them, then the flags and mailbox of Outcome
	Update                  // linked: the flags and mailbox of Outcome
	TombstoneHere           // deleted at the primary: a tombstone here
	DeleteThere             // deleted here: delete it at the primary
	Unlink                  // gone on both sides
	Wait                    // a relay owns it: look again
	Freeze                  // nothing may be inferred: a person decides
	Relink                  // nothing inferred: drop the link, match again by content
)

// Outcome is the decision. For Link and Update, Flags and Mailbox are what both
// sides shall have; the booleans say which side lacks them.
type Outcome struct {
	Op      Op
	Flags   mail.Flags
	Mailbox mail.MailboxID

	FlagsHere, FlagsThere bool // set Flags here / there
	MoveHere, MoveThere   bool // move to Mailbox here / there
	BothMoved             bool // noted in the ledger: one side's move was given up
}

// Decide reads the table of docs/merge.md from top to bottom.
func Decide(in Input) Outcome {
	switch {
	case in.Base == nil:
		return decideNew(in)
	case in.Primary == nil:
		return decideGoneThere(in)
	case in.Standby == nil:
		return decideGoneHere(in)
	}
	return settle(in, Update)
}

// decideNew handles a message that the base does not know.
func decideNew(in Input) Outcome {
	switch {
	case in.Primary == nil && in.Standby == nil:
		return Outcome{Op: Nothing}
	case in.Standby == nil:
		return Outcome{Op: FileHere, Flags: in.Primary.Flags, Mailbox: in.Primary.Mailbox}
	case in.Primary == nil && in.RelayOwns:
		return Outcome{Op: Wait}
	case in.Primary == nil:
		return Outcome{Op: AppendThere, Flags: in.Standby.Flags, Mailbox: in.Standby.Mailbox}
	}
	return settle(in, Link)
}

// decideGoneThere handles a message that the base knows and the primary lacks.
func decideGoneThere(in Input) Outcome {
	switch in.Loss {
	case Rebuilt:
		if in.Standby == nil {
			return Outcome{Op: Unlink}
		}
		if in.RelayOwns {
			return Outcome{Op: Wait}
		}
		return Outcome{Op: AppendThere, Flags: in.Standby.Flags, Mailbox: in.Standby.Mailbox}
	case Restored:
		return Outcome{Op: Freeze}
	case Reset:
		return Outcome{Op: Relink}
	}
	switch {
	case in.Standby == nil:
		return Outcome{Op: Unlink}
	case in.NewContent || in.Standby.Mailbox != in.Base.Mailbox:
		// The change wins over the deletion.
		return Outcome{Op: AppendThere, Flags: in.Standby.Flags, Mailbox: in.Standby.Mailbox}
	case important(in.Base.Flags, in.Standby.Flags):
		return Outcome{Op: AppendThere, Flags: in.Standby.Flags, Mailbox: in.Standby.Mailbox}
	}
	return Outcome{Op: TombstoneHere}
}

// decideGoneHere handles a linked message that was deleted on the standby.
func decideGoneHere(in Input) Outcome {
	if in.Primary.Mailbox != in.Base.Mailbox || important(in.Base.Flags, in.Primary.Flags) {
		// The change at the primary wins: the message comes back here.
		return Outcome{Op: FileHere, Flags: in.Primary.Flags, Mailbox: in.Primary.Mailbox}
	}
	return Outcome{Op: DeleteThere}
}

// important tells whether a change of flags weighs more than a deletion on the
// other side: only \Flagged and \Draft do, since \Seen, \Answered and keywords
// are set by clients in passing, and \Deleted agrees with the deletion.
func important(base, now mail.Flags) bool {
	const weak = mail.Seen | mail.Answered | mail.Deleted
	return (now.System&^weak)&^(base.System&^weak) != 0
}

// settle merges flags and mailbox of a message that both sides have.
func settle(in Input, op Op) Outcome {
	out := Outcome{Op: op}
	there := in.Primary.Flags.Union(common(in.Unkept, in.Standby.Flags))
	if in.Base != nil {
		out.Flags = mergeFlags(in.Base.Flags, there, in.Standby.Flags)
	} else {
		out.Flags = there.Union(in.Standby.Flags)
	}
	out.FlagsHere = !out.Flags.Equal(in.Standby.Flags)
	out.FlagsThere = !out.Flags.Without(in.Unkept).Equal(in.Primary.Flags.Without(in.Unkept))

	movedThere := in.Base == nil || in.Primary.Mailbox != in.Base.Mailbox
	movedHere := in.Base == nil || in.Standby.Mailbox != in.Base.Mailbox
	switch {
	case in.Primary.Mailbox == in.Standby.Mailbox:
		out.Mailbox = in.Primary.Mailbox
	case movedThere && movedHere:
		out.BothMoved = in.Base != nil
		out.Mailbox = in.Primary.Mailbox
		if in.Lead == StandbyLeads {
			out.Mailbox = in.Standby.Mailbox
		}
	case movedThere:
		out.Mailbox = in.Primary.Mailbox
	default:
		out.Mailbox = in.Standby.Mailbox
	}
	out.MoveHere = out.Mailbox != in.Standby.Mailbox
	out.MoveThere = out.Mailbox != in.Primary.Mailbox
	if op == Update && !out.FlagsHere && !out.FlagsThere && !out.MoveHere && !out.MoveThere &&
		in.Base.Mailbox == out.Mailbox && in.Base.Flags.Equal(out.Flags) {
		out.Op = Nothing
	}
	return out
}

// mergeFlags merges each flag on its own: two booleans that both differ from the base agree.
func mergeFlags(base, primary, standby mail.Flags) mail.Flags {
	added := primary.Without(base).Union(standby.Without(base))
	removed := base.Without(primary).Union(base.Without(standby))
	return base.Union(added).Without(removed)
}

// common has the flags that both have.
func common(f, g mail.Flags) mail.Flags { return f.Without(f.Without(g)) }
