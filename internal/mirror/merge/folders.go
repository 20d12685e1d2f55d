package merge

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"relais/internal/mail"
)

// FolderBase is a pair of folder and mailbox as it was when both sides last agreed.
type FolderBase struct {
	Key         int64  // the pair's lasting number
	Name        string // the primary's name for it
	Mailbox     mail.MailboxID
	BaseName    string // the mailbox's name here at that time
	ObjectID    string // MAILBOXID (RFC 8474), "" if unknown
	UIDValidity uint32
	UIDNext     uint32
	NoSelect    bool
}

// FolderThere is a folder that the primary lists now.
type FolderThere struct {
	Name        string
	Role        mail.Role
	ObjectID    string
	UIDValidity uint32
	UIDNext     uint32
	NoSelect    bool
}

// MailboxHere is a mailbox that the standby has now.
type MailboxHere struct {
	ID    mail.MailboxID
	Name  string
	Role  mail.Role
	Shown bool // false for one that Relais made itself and that holds nothing: the primary is not bothered with it
}

// FolderOp is what is done about a folder.
type FolderOp int

// The operations on folders, in the order in which a plan lists them.
const (
	Rejoin      FolderOp = iota // deleted and made again here: the pair goes on with the new mailbox
	RenameHere                  // renamed at the primary: rename the mailbox
	RenameThere                 // renamed here: rename the folder
	ResetFolder                 // UIDVALIDITY is new: no deletion inferred, match again by content
	LostFolder                  // gone, but so is much else: no deletion inferred
	GoneThere                   // deleted at the primary, the others intact
	GoneHere                    // deleted here
	Forget                      // gone on both sides
	Join                        // new to the base, there on both sides
	MakeHere                    // new at the primary
	MakeThere                   // new here
)

// FolderStep is one step of a plan. Which fields are set follows from Op.
type FolderStep struct {
	Op    FolderOp
	Base  FolderBase  // for the first eight
	There FolderThere // where the primary has it
	Here  MailboxHere // where the standby has it
	Name  string      // RenameHere, MakeHere: the mailbox's name; RenameThere, MakeThere: the folder's
}

// FolderPlan is what is to be done to bring both trees together.
type FolderPlan struct {
	Steps []FolderStep
	// Empty tells that the primary lists no folder at all although the base has some: nothing may be inferred.
	Empty bool
}

// PlanFolders compares three trees of folders. sameUIDs answers whether a
// folder that looks like a renamed one also holds its UIDs (asked only without
// MAILBOXID). foldCase says that the server takes names that differ by case for the same.
func PlanFolders(base []FolderBase, there []FolderThere, here []MailboxHere, lead Lead, foldCase bool,
	sameUIDs func(FolderBase, FolderThere) bool) FolderPlan {
	if len(there) == 0 && len(base) > 0 {
		return FolderPlan{Empty: true}
	}
	p := &planner{
		key:      func(s string) string { return nameKey(s, foldCase) },
		there:    map[string]FolderThere{},
		keys:     map[string]string{},
		renamed:  map[string]string{},
		here:     map[mail.MailboxID]MailboxHere{},
		sameUIDs: sameUIDs,
		lead:     lead,
	}
	for _, f := range there {
		key := p.key(f.Name)
		if _, twice := p.there[key]; twice {
			key = "\x00" + f.Name // reads like another, and stands for itself
		}
		p.there[key], p.keys[f.Name] = f, key
	}
	for _, m := range here {
		p.here[m.ID] = m
	}
	p.known(base)
	p.fresh(there, here)
	slices.SortStableFunc(p.steps, func(a, b FolderStep) int {
		if a.Op != b.Op {
			return cmp.Compare(a.Op, b.Op)
		}
		switch a.Op {
		case MakeHere, MakeThere, RenameHere, RenameThere: // parents first
			return cmp.Compare(strings.Count(a.Name, "/"), strings.Count(b.Name, "/"))
		case GoneThere, GoneHere: // children first
			return cmp.Compare(strings.Count(b.Base.Name, "/"), strings.Count(a.Base.Name, "/"))
		}
		return 0
	})
	return FolderPlan{Steps: p.steps}
}

type planner struct {
	key      func(string) string
	there    map[string]FolderThere // not yet accounted for
	keys     map[string]string      // of the names that are there
	renamed  map[string]string      // the base's names that go on under others
	here     map[mail.MailboxID]MailboxHere
	sameUIDs func(FolderBase, FolderThere) bool
	lead     Lead
	steps    []FolderStep
}

func (p *planner) add(s FolderStep) { p.steps = append(p.steps, s) }

// at is the key under which a folder of that name stands in there.
func (p *planner) at(name string) string {
	if key, ok := p.keys[name]; ok {
		return key
	}
	return p.key(name)
}

// known goes through the pairs of the base.
func (p *planner) known(base []FolderBase) {
	taken := map[string]bool{}
	joined := map[mail.MailboxID]bool{}
	intact := false
	for _, b := range base {
		joined[b.Mailbox] = true
		taken[p.at(b.Name)] = true
		if t, ok := p.there[p.at(b.Name)]; ok && !b.NoSelect && t.UIDValidity == b.UIDValidity {
			intact = true
		}
	}
	for _, b := range base {
		t, stillThere := p.there[p.at(b.Name)]
		renamed := false
		if !stillThere || (reset(b, t) && !b.NoSelect) {
			if r, ok := p.renamedTo(b, taken); ok {
				t, stillThere, renamed = r, true, true
				p.renamed[b.Name] = r.Name
			}
		}
		h, stillHere := p.here[b.Mailbox]
		if !stillHere {
			if again, ok := p.madeAgain(b, joined); ok {
				p.add(FolderStep{Op: Rejoin, Base: b, Here: again})
				b.Mailbox, b.BaseName = again.ID, again.Name
				h, stillHere = again, true
			}
		}
		if stillThere {
			delete(p.there, p.at(t.Name))
		}
		if t.NoSelect && !b.NoSelect {
			stillThere = false // deleted, and kept as a place for those below it
		}
		delete(p.here, b.Mailbox)
		p.pair(b, t, h, stillThere, stillHere, renamed, intact)
	}
}

// reset tells whether the folder has another UIDVALIDITY; one that is not known tells nothing.
func reset(b FolderBase, t FolderThere) bool {
	return b.UIDValidity != 0 && t.UIDValidity != 0 && t.UIDValidity != b.UIDValidity
}

// renamedTo finds the folder under whose new name the base's one goes on. Where
// several may be it (folders made in the same second and empty look alike), it is
// the one that went along with its parent, else the one whose name is nearest.
func (p *planner) renamedTo(b FolderBase, taken map[string]bool) (FolderThere, bool) {
	if b.NoSelect {
		return FolderThere{}, false
	}
	var candidates []FolderThere
	for name, t := range p.there {
		switch {
		case taken[name] || t.NoSelect:
		case b.ObjectID != "" || t.ObjectID != "":
			if b.ObjectID == t.ObjectID {
				return t, true
			}
		case t.UIDValidity == b.UIDValidity && t.UIDNext >= b.UIDNext:
			candidates = append(candidates, t)
		}
	}
	up, level := cutName(b.Name)
	distance := func(t FolderThere) int {
		tup, tlevel := cutName(t.Name)
		d := 0
		if to, ok := p.renamed[up]; !ok || to != tup || tlevel != level {
			d += 8
		}
		if tlevel != level {
			d += 4
		}
		if strings.Count(t.Name, "/") != strings.Count(b.Name, "/") {
			d += 2
		}
		if t.UIDNext != b.UIDNext {
			d++
		}
		return d
	}
	slices.SortFunc(candidates, func(t, u FolderThere) int {
		return cmp.Or(cmp.Compare(distance(t), distance(u)), cmp.Compare(t.Name, u.Name))
	})
	for _, t := range candidates {
		if p.sameUIDs(b, t) {
			return t, true
		}
	}
	return FolderThere{}, false
}

// cutName parts a name into what stands above its last level, and that.
func cutName(name string) (up, level string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}

// madeAgain finds the mailbox that has the name of the base's one, which was deleted.
func (p *planner) madeAgain(b FolderBase, joined map[mail.MailboxID]bool) (MailboxHere, bool) {
	for id, m := range p.here {
		if !joined[id] && p.key(m.Name) == p.key(b.BaseName) {
			return m, true
		}
	}
	return MailboxHere{}, false
}

// pair decides about one pair of the base.
func (p *planner) pair(b FolderBase, t FolderThere, h MailboxHere, stillThere, stillHere, renamedThere, intact bool) {
	step := FolderStep{Base: b, There: t, Here: h}
	renamedHere := stillHere && h.Name != b.BaseName
	switch {
	case !stillThere && !stillHere:
		step.Op = Forget
	case !stillThere && (intact || b.NoSelect):
		step.Op = GoneThere
	case !stillThere:
		step.Op = LostFolder
	case !stillHere:
		step.Op = GoneHere
	case renamedThere && (!renamedHere || p.lead == PrimaryLeads):
		step.Op, step.Name = RenameHere, Unescape(t.Name)
	case renamedHere:
		step.Op, step.Name = RenameThere, Escape(h.Name)
		if p.key(step.Name) == p.key(t.Name) {
			step.Name = t.Name // renamed alike there, or by a pass that was killed: only the base is behind
		}
	case reset(b, t) && !b.NoSelect && !t.NoSelect:
		step.Op = ResetFolder
	default:
		return
	}
	p.add(step)
}

// fresh goes through what the base does not know: joined by special use, then by name.
func (p *planner) fresh(there []FolderThere, here []MailboxHere) {
	join := func(t FolderThere, m MailboxHere) {
		p.add(FolderStep{Op: Join, There: t, Here: m, Name: m.Name})
		delete(p.there, p.at(t.Name))
		delete(p.here, m.ID)
	}
	for _, t := range there {
		if _, open := p.there[p.at(t.Name)]; !open || t.Role == "" {
			continue
		}
		for _, m := range here {
			if _, open := p.here[m.ID]; open && m.Role == t.Role {
				join(t, m)
				break
			}
		}
	}
	for _, t := range there {
		if _, open := p.there[p.at(t.Name)]; !open {
			continue
		}
		for _, m := range here {
			if _, open := p.here[m.ID]; open && p.key(m.Name) == p.key(Unescape(t.Name)) {
				join(t, m)
				break
			}
		}
	}
	for _, t := range there {
		if _, open := p.there[p.at(t.Name)]; open {
			p.add(FolderStep{Op: MakeHere, There: t, Name: Unescape(t.Name)})
		}
	}
	for _, m := range here {
		if _, open := p.here[m.ID]; open && m.Shown {
			p.add(FolderStep{Op: MakeThere, Here: m, Name: Escape(m.Name)})
		}
	}
}

// nameKey is the form in which names of folders are compared: NFC, INBOX
// without regard to case (RFC 9051 §5.1).
func nameKey(s string, foldCase bool) string {
	s = norm.NFC.String(s)
	if strings.EqualFold(s, "INBOX") {
		return "INBOX"
	}
	if foldCase {
		return strings.ToLower(s)
	}
	return s
}

// The wildcards of LIST, which servers refuse in a name (RFC 9051 §6.3.4), become "=" and two
// hexadecimal digits there; "=" is escaped only where it would read as such. Quotes and
// backslashes stay: a quoted string holds them, and a name that comes back altered is a difference.
const forbidden = "%*"

// Escape makes a mailbox's name one that the primary can hold; Unescape reads it back.
func Escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if strings.IndexByte(forbidden, c) >= 0 || (c == '=' && escaped(name[i:])) {
			b.WriteByte('=')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Unescape reads back what Escape wrote, and gives the NFC form.
func Unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if escaped(name[i:]) {
			b.WriteByte(unhex(name[i+1])<<4 | unhex(name[i+2]))
			i += 2
			continue
		}
		b.WriteByte(name[i])
	}
	return norm.NFC.String(b.String())
}

// escaped tells whether s begins with an escape that Escape could have written.
func escaped(s string) bool {
	if len(s) < 3 || s[0] != '=' || !ishex(s[1]) || !ishex(s[2]) {
		return false
	}
	c := unhex(s[1])<<4 | unhex(s[2])
	return c == '=' || strings.IndexByte(forbidden, c) >= 0
}

func ishex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}
