package merge

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"relais/internal/mail"
)

const (
	inbox   mail.MailboxID = 1
	archive mail.MailboxID = 2
	project mail.MailboxID = 3
)

func at(box mail.MailboxID, flags ...string) *State {
	return &State{Mailbox: box, Flags: mail.ParseFlags(flags...)}
}

// The rows of docs/merge.md, in its order.
func TestDecideTable(t *testing.T) {
	t.Parallel()
	flags := func(names ...string) mail.Flags { return mail.ParseFlags(names...) }
	for _, c := range []struct {
		row  string
		in   Input
		want Outcome
	}{
		{"absent absent absent", Input{}, Outcome{Op: Nothing}},
		{"absent present absent: file it here",
			Input{Primary: at(inbox, `\Seen`, "$Work")},
			Outcome{Op: FileHere, Mailbox: inbox, Flags: flags(`\Seen`, "$Work")}},
		{"absent absent present: append there",
			Input{Standby: at(inbox, `\Flagged`)},
			Outcome{Op: AppendThere, Mailbox: inbox, Flags: flags(`\Flagged`)}},
		{"absent absent present, a relay owns it: wait",
			Input{Standby: at(inbox), RelayOwns: true}, Outcome{Op: Wait}},
		{"absent present present: link and merge flags",
			Input{Primary: at(inbox, `\Seen`), Standby: at(inbox, `\Flagged`)},
			Outcome{Op: Link, Mailbox: inbox, Flags: flags(`\Seen`, `\Flagged`), FlagsHere: true, FlagsThere: true}},
		{"absent present present elsewhere in standby: the primary's folder",
			Input{Primary: at(archive), Standby: at(inbox)},
			Outcome{Op: Link, Mailbox: archive, MoveHere: true}},
		{"absent present present elsewhere in returning: the standby's folder",
			Input{Primary: at(inbox), Standby: at(archive), Lead: StandbyLeads},
			Outcome{Op: Link, Mailbox: archive, MoveThere: true}},
		{"present unchanged unchanged", Input{Base: at(inbox, `\Seen`), Primary: at(inbox, `\Seen`), Standby: at(inbox, `\Seen`)},
			Outcome{Op: Nothing, Mailbox: inbox, Flags: flags(`\Seen`)}},
		{"present unchanged changed: push flags",
			Input{Base: at(inbox, `\Flagged`), Primary: at(inbox, `\Flagged`), Standby: at(inbox, `\Seen`)},
			Outcome{Op: Update, Mailbox: inbox, Flags: flags(`\Seen`), FlagsThere: true}},
		{"present unchanged moved: push the move",
			Input{Base: at(inbox), Primary: at(inbox), Standby: at(archive)},
			Outcome{Op: Update, Mailbox: archive, MoveThere: true}},
		{"present unchanged deleted: push the deletion",
			Input{Base: at(inbox), Primary: at(inbox)}, Outcome{Op: DeleteThere}},
		{"present changed unchanged: take flags",
			Input{Base: at(inbox), Primary: at(inbox, `\Answered`), Standby: at(inbox)},
			Outcome{Op: Update, Mailbox: inbox, Flags: flags(`\Answered`), FlagsHere: true}},
		{"present moved unchanged: take the move",
			Input{Base: at(inbox), Primary: at(archive), Standby: at(inbox)},
			Outcome{Op: Update, Mailbox: archive, MoveHere: true}},
		{"present deleted unchanged: tombstone",
			Input{Base: at(inbox), Standby: at(inbox)}, Outcome{Op: TombstoneHere}},
		{"flags changed on both: three-way per flag",
			Input{Base: at(inbox, `\Flagged`, "a"), Primary: at(inbox, `\Flagged`, "a", `\Seen`), Standby: at(inbox, "b")},
			Outcome{Op: Update, Mailbox: inbox, Flags: flags(`\Seen`, "b"), FlagsHere: true, FlagsThere: true}},
		{"both set the same flag: the base alone is behind",
			Input{Base: at(inbox), Primary: at(inbox, `\Seen`), Standby: at(inbox, `\Seen`)},
			Outcome{Op: Update, Mailbox: inbox, Flags: flags(`\Seen`)}},
		{"moved and moved elsewhere in standby: the primary's folder wins",
			Input{Base: at(inbox), Primary: at(archive), Standby: at(project)},
			Outcome{Op: Update, Mailbox: archive, MoveHere: true, BothMoved: true}},
		{"moved and moved elsewhere in active: the standby's folder wins",
			Input{Base: at(inbox), Primary: at(archive), Standby: at(project), Lead: StandbyLeads},
			Outcome{Op: Update, Mailbox: project, MoveThere: true, BothMoved: true}},
		{"deleted there, only seen here: deletion wins",
			Input{Base: at(inbox), Standby: at(inbox, `\Seen`, `\Answered`, "k")}, Outcome{Op: TombstoneHere}},
		{"deleted here, only seen there: deletion wins",
			Input{Base: at(inbox), Primary: at(inbox, `\Seen`, "k")}, Outcome{Op: DeleteThere}},
		{"deleted there, moved here: the change wins",
			Input{Base: at(inbox), Standby: at(archive)}, Outcome{Op: AppendThere, Mailbox: archive}},
		{"deleted there, new content here: the change wins",
			Input{Base: at(inbox), Standby: at(inbox), NewContent: true}, Outcome{Op: AppendThere, Mailbox: inbox}},
		{"deleted there, flagged here: the change wins",
			Input{Base: at(inbox), Standby: at(inbox, `\Flagged`)},
			Outcome{Op: AppendThere, Mailbox: inbox, Flags: flags(`\Flagged`)}},
		{"deleted here, moved there: the change wins",
			Input{Base: at(inbox), Primary: at(archive)}, Outcome{Op: FileHere, Mailbox: archive}},
		{"deleted on both: unlink", Input{Base: at(inbox)}, Outcome{Op: Unlink}},
		{"folder gone there: tombstone", Input{Base: at(inbox), Standby: at(inbox), Loss: FolderGone}, Outcome{Op: TombstoneHere}},
		{"UIDVALIDITY new: match again, no deletion inferred",
			Input{Base: at(inbox), Standby: at(inbox), Loss: Reset}, Outcome{Op: Relink}},
		{"UIDVALIDITY new, deleted here: match again",
			Input{Base: at(inbox), Loss: Reset}, Outcome{Op: Relink}},
		{"restored from a backup: freeze", Input{Base: at(inbox), Standby: at(inbox), Loss: Restored}, Outcome{Op: Freeze}},
		{"declared rebuilt: append there",
			Input{Base: at(inbox), Standby: at(archive, `\Seen`), Loss: Rebuilt},
			Outcome{Op: AppendThere, Mailbox: archive, Flags: flags(`\Seen`)}},
		{"declared rebuilt, deleted here: unlink", Input{Base: at(inbox), Loss: Rebuilt}, Outcome{Op: Unlink}},
		{"declared rebuilt, the old queue still owns it: wait",
			Input{Base: at(inbox), Standby: at(inbox), Loss: Rebuilt, RelayOwns: true}, Outcome{Op: Wait}},
		{"a keyword the server can't keep is not read as removed",
			Input{Base: at(inbox, "$Label1"), Primary: at(inbox), Standby: at(inbox, "$Label1"), Unkept: flags("$Label1")},
			Outcome{Op: Nothing, Mailbox: inbox, Flags: flags("$Label1")}},
		{"an unkept keyword removed here is not pushed",
			Input{Base: at(inbox, "$Label1"), Primary: at(inbox), Standby: at(inbox), Unkept: flags("$Label1")},
			Outcome{Op: Update, Mailbox: inbox}},
	} {
		t.Run(c.row, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, Decide(c.in)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}
