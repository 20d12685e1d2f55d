package mirror_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror"
	"relais/internal/record"
)

var (
	modelTime = flag.Duration("model", 15*time.Second, "how long the model test runs")
	modelSeed = flag.Uint64("model-seed", 0, "seed of the model test's first round; 0: by chance")
)

// TestModel does random things on both sides, merges at random moments with
// failures injected before and after calls to the primary, and lets both sides
// come to rest: then they agree, nothing is lost that nobody deleted, and nothing is doubled.
func TestModel(t *testing.T) {
	t.Parallel()
	t.Run("full", func(t *testing.T) {
		t.Parallel()
		testModel(t, setup(t, people("model", 2000)))
	})
	t.Run("bare", func(t *testing.T) { // a server that can't do what came after IMAP4rev1
		t.Parallel()
		testModel(t, setup(t, people("model", 2000), without(bare...)))
	})
}

func testModel(t *testing.T, b *bundle) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	end := time.Now().Add(*modelTime)
	rounds := 0
	for ; time.Now().Before(end) && !t.Failed() && rounds < 2000; rounds++ {
		m := &model{bundle: b.another(fmt.Sprintf("model%d", rounds)), seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)),
			made: map[string]int{}, deleted: map[string]int{}}
		m.tryRound()
		seed++
	}
	t.Logf("%d rounds", rounds)
}

// model is one account that random things happen to.
type model struct {
	*bundle
	seed  uint64
	rnd   *rand.Rand
	trail []string // what was done

	renames  int
	twoNames bool // both sides gave a name to another folder: a pair goes on under two

	raws    map[string][]byte
	made    map[string]int // copies of a message that people made, by its name
	deleted map[string]int // acts of deletion that may concern it
}

func (m *model) logf(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf(format, args...))
}

func (m *model) chance(percent int) bool { return m.rnd.IntN(100) < percent }

func pick[T any](m *model, list []T) T { return list[m.rnd.IntN(len(list))] }

var modelFolders = []string{"INBOX", "A", "B", "A/C", "Été", "B/D"}

// tryRound is a round, which a bug of the server ends early.
func (m *model) tryRound() {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case serverBug:
			m.t.Logf("seed %d: the server failed, the round is left: %v", m.seed, r.err)
			m.client = nil
		default:
			panic(r)
		}
	}()
	m.round()
}

func (m *model) round() {
	m.t.Helper()
	defer func() {
		if m.t.Failed() {
			m.t.Logf("seed %d (run with -model-seed %d)\n%s", m.seed, m.seed, strings.Join(m.trail, "\n"))
		}
	}()
	m.raws = map[string][]byte{}
	for range 10 + m.rnd.IntN(25) {
		m.Clock.Advance(3 * time.Minute)
		switch n := m.rnd.IntN(10); {
		case n < 4:
			m.there1()
		case n < 8:
			m.here1()
		default:
			m.pass(pick(m, []mirror.Mode{standby, standby, standby, active, returning}), m.chance(50))
		}
		if m.t.Failed() {
			return
		}
	}
	m.rest(pick(m, []mirror.Mode{standby, returning}))
}

// pass merges once; with failing set some call to the primary fails, or the pass is killed there.
func (m *model) pass(mode mirror.Mode, failing bool) (waiting int, err error) {
	m.t.Helper()
	var far mirror.Primary = m.primary
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	f := &failingPrimary{Primary: far, left: 1 << 30}
	if failing {
		f.left, f.after = m.rnd.IntN(14), m.chance(50)
		if m.chance(40) {
			f.kill = cancel
		}
	}
	far = f
	waiting, refused, err := m.service.Merge(ctx, far, m.ann, mode)
	if refused > 0 {
		m.See(func(ctx context.Context, tx *record.Tx) error {
			rows, err := tx.Link.Refusals(ctx, m.ann.Account)
			for _, r := range rows {
				if m.twoNames = m.twoNames || r.Operation == "rename folder" && r.Code == "ALREADYEXISTS"; !m.twoNames {
					m.t.Errorf("refused: %+v", r)
				}
			}
			return err
		})
	}
	m.logf("pass %+v, failing %v: %s: waiting %d, %v", mode, failing, strings.Join(f.calls, " "), waiting, err)
	if err != nil && !failing && !fault.Is(err, fault.Unavailable) { // Dovecot ends sessions whose folder went away
		if strings.Contains(err.Error(), "SERVERBUG") {
			panic(serverBug{err})
		}
		m.t.Errorf("pass: %v", err)
	}
	return waiting, err
}

// rest merges until nothing is left to do, and looks at what is there.
func (m *model) rest(mode mirror.Mode) {
	m.t.Helper()
	m.do(m.service.Drain(m.t.Context(), m.Domain.ID))
	quiet := 0
	for n := 0; quiet < 2; n++ {
		if n > 15 {
			m.t.Error("does not come to rest")
			break
		}
		before := m.modseq()
		waiting, err := m.pass(mode, false)
		m.Clock.Advance(20 * time.Minute)
		if err == nil && waiting == 0 && m.modseq() == before {
			quiet++
		} else {
			quiet = 0
		}
		if m.t.Failed() {
			return
		}
	}
	here, there := m.here(), m.there()
	for _, side := range []map[string][]string{here, there} { // pending expunge, or moved while it was
		for f, lines := range side {
			side[f] = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `\Deleted`) })
			if len(side[f]) == 0 {
				delete(side, f)
			}
		}
	}
	if m.twoNames {
		here, there = flat(here), flat(there)
	}
	if diff := cmp.Diff(there, here); diff != "" {
		m.t.Errorf("at rest: primary -, standby +:\n%s", diff)
	}
	live := map[string]int{}
	for _, lines := range here {
		for _, l := range lines {
			name, _, _ := strings.Cut(l, " ")
			live[name]++
		}
	}
	for name, made := range m.made {
		if live[name] > made {
			m.t.Errorf("%s: %d copies, %d were made", name, live[name], made)
		}
		if live[name] < made-m.deleted[name] {
			m.t.Errorf("%s: %d copies of %d are left, %d were deleted", name, live[name], made, m.deleted[name])
		}
	}
	m.See(func(ctx context.Context, tx *record.Tx) error {
		open, err := tx.Link.OpenIntents(ctx, m.ann.Account)
		if slices.ContainsFunc(open, func(i link.Intent) bool { return i.Kind != link.ExpungeIntent }) {
			m.t.Errorf("intents are left open: %+v", open)
		}
		return err
	})
}

// flat leaves out in which folder a message is.
func flat(side map[string][]string) map[string][]string {
	var all []string
	for _, lines := range side {
		all = append(all, lines...)
	}
	slices.Sort(all)
	return map[string][]string{"": all}
}

func (m *model) modseq() (n uint64) {
	m.See(func(ctx context.Context, tx *record.Tx) error {
		a, err := tx.Mailbox.Account(ctx, m.ann.Account)
		n = a.Modseq
		return err
	})
	return n
}

// message gives a message to add on one side: a new one, one of the same
// Message-ID as another, or one of the same bytes as an earlier one of that side.
func (m *model) message(side string) (name string, raw []byte) {
	var mine []string
	for name := range m.raws {
		if strings.HasPrefix(name, side) {
			mine = append(mine, name)
		}
	}
	slices.Sort(mine)
	name = fmt.Sprintf("%s%d", side, len(m.raws))
	switch {
	case len(mine) > 0 && m.chance(25):
		name = pick(m, mine)
	case m.chance(15):
		m.raws[name] = fmt.Appendf(nil, "Message-ID: <reused@example.net>\r\nSubject: %s\r\n\r\nother content %s\r\n", name, name)
	default:
		m.raws[name] = m.Message(name)
	}
	m.made[name]++
	return name, m.raws[name]
}

var modelFlags = []string{`\Seen`, `\Flagged`, `\Answered`, "$Work", "junk"}

// there1 does something at the primary.
func (m *model) there1() {
	m.t.Helper()
	c := m.connect()
	list := m.there()
	var held []string
	for f := range list {
		held = append(held, f)
	}
	slices.Sort(held)
	folder, other := pick(m, modelFolders), pick(m, modelFolders)
	switch n := m.rnd.IntN(12); {
	case n < 4 || len(held) == 0:
		if folder != "INBOX" {
			_ = c.Create(folder, nil).Wait() // there already
		}
		name, raw := m.message("p")
		m.appendRaw(folder, raw, imap.Flag(pick(m, modelFlags)))
		m.logf("there: append %s to %s", name, folder)
	case n < 10:
		folder = pick(m, held)
		i := m.rnd.IntN(len(list[folder]))
		m.inFolder(folder, func(cl *imapClient) error {
			set := imap.SeqSetNum(uint32(i + 1))
			found, err := cl.Fetch(set, &imap.FetchOptions{Envelope: true}).Collect()
			if err != nil {
				return err
			}
			name := found[0].Envelope.Subject
			switch {
			case n < 6:
				op, fl := imap.StoreFlagsAdd, pick(m, modelFlags)
				if m.chance(40) {
					op = imap.StoreFlagsDel
				}
				m.logf("there: flags of %s in %s: %v %s", name, folder, op, fl)
				return cl.Store(set, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{imap.Flag(fl)}}, nil).Close()
			case n < 8:
				m.logf("there: move %s from %s to %s", name, folder, other)
				_, err := cl.Move(set, other).Wait()
				if err != nil { // the target is not there
					return nil
				}
				return nil
			}
			m.logf("there: delete %s in %s", name, folder)
			m.deleted[name]++
			if err := cl.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
				return err
			}
			return cl.Expunge().Close()
		})
	case n < 11 && folder != "INBOX":
		_ = c.Unselect().Wait()
		m.renames++
		to := fmt.Sprintf("%s-t%d", other, m.renames)
		err := c.Rename(folder, to, nil).Wait()
		m.logf("there: rename %s to %s: %v", folder, to, err)
	case folder != "INBOX":
		_ = c.Unselect().Wait()
		err := c.Delete(folder).Wait()
		m.logf("there: delete folder %s: %v", folder, err)
		if err == nil {
			m.forget(list[folder])
		}
	}
}

// forget notes that all these messages were deleted.
func (m *model) forget(lines []string) {
	for _, l := range lines {
		name, _, _ := strings.Cut(l, " ")
		m.deleted[name]++
	}
}

// here1 does something on the standby.
func (m *model) here1() {
	m.t.Helper()
	folder, other := pick(m, modelFolders), pick(m, modelFolders)
	n := m.rnd.IntN(13)
	var name string
	var raw []byte
	if n < 3 {
		name, raw = m.message("s")
	}
	err := m.Update(m.t.Context(), func(ctx context.Context, tx *record.Tx) error {
		box, err := tx.Mailbox.MailboxByName(ctx, m.ann.Account, folder)
		if fault.Is(err, fault.NotFound) && n < 3 {
			box, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: m.ann.Account, Name: folder, Origin: mail.ByPerson})
		}
		if err != nil {
			return err
		}
		var inside []mailbox.Placement
		if err := tx.Mailbox.Placements(ctx, box.ID, 1, 0, func(p mailbox.Placement) error {
			inside = append(inside, p)
			return nil
		}); err != nil {
			return err
		}
		switch {
		case n < 3:
			return nil
		case n == 3:
			m.renames++
			to := fmt.Sprintf("%s-s%d", other, m.renames)
			m.logf("here: rename %s to %s", folder, to)
			_, err := tx.Mailbox.RenameMailbox(ctx, box.ID, to, mail.ByPerson)
			return err
		case n == 4 && m.chance(50):
			if err := tx.Mailbox.DeleteMailbox(ctx, box.ID, mail.ByPerson); err != nil {
				return err
			}
			m.logf("here: delete mailbox %s", folder)
			for _, p := range inside {
				m.deleted[m.nameOf(ctx, tx, p)]++
			}
			return nil
		case len(inside) == 0:
			return nil
		}
		return m.edit(ctx, tx, n, pick(m, inside), other)
	})
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Invalid) {
		m.t.Error(err)
	}
	if n < 3 && err == nil {
		f := m.Filing(raw, m.ann)
		f.Places[0].Mailbox = m.Box(m.ann.Account, folder).ID
		f.Origin = mail.ByPerson
		if _, err := m.File(m.t.Context(), f); err != nil {
			m.t.Error(err)
		}
		m.logf("here: place %s in %s", name, folder)
	}
}

func (m *model) nameOf(ctx context.Context, tx *record.Tx, p mailbox.Placement) string {
	e, err := tx.Mailbox.Email(ctx, p.Email)
	if err != nil {
		m.t.Error(err)
	}
	return e.BaseSubject
}

// edit does something to one message of the standby.
func (m *model) edit(ctx context.Context, tx *record.Tx, n int, p mailbox.Placement, other string) error {
	name := m.nameOf(ctx, tx, p)
	to, err := tx.Mailbox.MailboxByName(ctx, m.ann.Account, other)
	switch {
	case n < 8:
		flags := mail.ParseFlags(pick(m, modelFlags))
		m.logf("here: flags of %s: toggle %s", name, flags)
		_, err := tx.Mailbox.SetFlags(ctx, p.ID, p.Flags.Union(flags).Without(common(p.Flags, flags)), mail.ByPerson)
		return err
	case n < 10 && err == nil:
		m.logf("here: move %s to %s", name, other)
		_, err := tx.Mailbox.Move(ctx, p.ID, to.ID, mail.ByPerson)
		return err
	case n < 11 && err == nil && strings.HasPrefix(name, "s"):
		m.logf("here: copy %s to %s", name, other)
		m.made[name]++
		_, err := tx.Mailbox.Copy(ctx, p.ID, to.ID, mail.ByPerson)
		return err
	}
	m.logf("here: delete %s", name)
	m.deleted[name]++
	_, err = tx.Mailbox.Expunge(ctx, p.ID, mail.ByPerson)
	return err
}

func common(f, g mail.Flags) mail.Flags { return f.Without(f.Without(g)) }
