package merge

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"relais/internal/mail"
)

func TestPlanFolders(t *testing.T) {
	t.Parallel()
	base := func(key int64, name string, box mail.MailboxID, validity uint32) FolderBase {
		return FolderBase{Key: key, Name: name, Mailbox: box, BaseName: name, UIDValidity: validity, UIDNext: 5}
	}
	there := func(name string, validity uint32) FolderThere {
		return FolderThere{Name: name, UIDValidity: validity, UIDNext: 5}
	}
	here := func(id mail.MailboxID, name string) MailboxHere { return MailboxHere{ID: id, Name: name, Shown: true} }
	type step struct {
		Op   FolderOp
		Name string
	}
	for _, c := range []struct {
		name  string
		base  []FolderBase
		there []FolderThere
		here  []MailboxHere
		lead  Lead
		fold  bool
		want  []step
		empty bool
	}{
		{name: "agreed", base: []FolderBase{base(1, "INBOX", 1, 9)}, there: []FolderThere{there("INBOX", 9)}, here: []MailboxHere{here(1, "INBOX")}},
		{name: "list empty: nothing inferred", base: []FolderBase{base(1, "INBOX", 1, 9)}, here: []MailboxHere{here(1, "INBOX")}, empty: true},
		{name: "joined by special use before name",
			there: []FolderThere{{Name: "Éléments envoyés", Role: mail.Sent, UIDValidity: 3}, {Name: "Sent", UIDValidity: 4}},
			here:  []MailboxHere{{ID: 2, Name: "Sent", Role: mail.Sent}},
			want:  []step{{Join, "Sent"}, {MakeHere, "Sent"}}},
		{name: "joined by NFC name", there: []FolderThere{there("Re\u0301union", 3)}, here: []MailboxHere{here(2, "R\u00e9union")},
			want: []step{{Join, "R\u00e9union"}}},
		{name: "joined by folded name", there: []FolderThere{there("projects", 3)}, here: []MailboxHere{here(2, "Projects")}, fold: true,
			want: []step{{Join, "Projects"}}},
		{name: "new on either side, parents first",
			there: []FolderThere{there("A/B", 3), there("A", 4)}, here: []MailboxHere{here(7, "C/D"), here(8, "C")},
			want: []step{{MakeHere, "A"}, {MakeHere, "A/B"}, {MakeThere, "C"}, {MakeThere, "C/D"}}},
		{name: "an empty mailbox of our own making is not pushed", here: []MailboxHere{{ID: 4, Name: "Junk", Role: mail.Junk}}},
		{name: "renamed at the primary",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9), there("New", 10)}, here: []MailboxHere{here(1, "INBOX"), here(2, "Old")},
			want: []step{{RenameHere, "New"}}},
		{name: "renamed here",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9), there("Old", 10)}, here: []MailboxHere{here(1, "INBOX"), here(2, "New")},
			want: []step{{RenameThere, "New"}}},
		{name: "renamed on both, standby leads",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9), there("X", 10)}, here: []MailboxHere{here(1, "INBOX"), here(2, "Y")}, lead: StandbyLeads,
			want: []step{{RenameThere, "Y"}}},
		{name: "gone there, the others intact",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9)}, here: []MailboxHere{here(1, "INBOX"), here(2, "Old")},
			want: []step{{GoneThere, ""}}},
		{name: "wiped: INBOX anew, the rest lost",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 77)}, here: []MailboxHere{here(1, "INBOX"), here(2, "Old")},
			want: []step{{ResetFolder, ""}, {LostFolder, ""}}},
		{name: "gone here",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9), there("Old", 10)}, here: []MailboxHere{here(1, "INBOX")},
			want: []step{{GoneHere, ""}}},
		{name: "gone on both",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9)}, here: []MailboxHere{here(1, "INBOX")},
			want: []step{{Forget, ""}}},
		{name: "deleted and made again under the same name",
			base:  []FolderBase{base(1, "INBOX", 1, 9), base(2, "Old", 2, 10)},
			there: []FolderThere{there("INBOX", 9), there("Old", 11)}, here: []MailboxHere{here(1, "INBOX"), here(2, "Old")},
			want: []step{{ResetFolder, ""}}},
		{name: "a name that the server can't hold", here: []MailboxHere{here(3, "50% * done")}, want: []step{{MakeThere, "50=25 =2A done"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plan := PlanFolders(c.base, c.there, c.here, c.lead, c.fold, func(FolderBase, FolderThere) bool { return true })
			var got []step
			for _, s := range plan.Steps {
				got = append(got, step{s.Op, s.Name})
			}
			if diff := cmp.Diff(c.want, got); diff != "" || plan.Empty != c.empty {
				t.Errorf("empty %v, want -, got +:\n%s", plan.Empty, diff)
			}
		})
	}
}

func TestEscapeRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := Unescape(rapid.StringOf(rapid.SampledFrom([]rune(`aé=%*\"25AF/ `))).Draw(t, "name"))
		if got := Unescape(Escape(name)); got != name {
			t.Fatalf("%q became %q, then %q", name, Escape(name), got)
		}
	})
}
