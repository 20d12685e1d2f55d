package story

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
	"relais/test/dovecot"
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

// lines names each difference the way that Tamper names what it did.
func (r Report) lines() []string {
	var out []string
	for _, d := range r.Report.Differences {
		out = append(out, fmt.Sprintf("%s %s %s", d.Kind, d.Account, strings.Trim(d.MessageID, "<>")))
	}
	slices.Sort(out)
	return out
}

// Tampering is how many messages are treated in each way, behind Relais's back.
type Tampering struct{ Lost, Doubled, Flags, Folder int }

// Tamper alters the primary, a few messages of each of the staff in turn, and tells exactly what it did.
func (s *Stage) Tamper(todo Tampering) []string {
	s.T.Helper()
	deeds := slices.Concat(
		slices.Repeat([]tamper{{"lost", lose}}, todo.Lost), slices.Repeat([]tamper{{"doubled", double}}, todo.Doubled),
		slices.Repeat([]tamper{{"flags", toggle}}, todo.Flags), slices.Repeat([]tamper{{"folder", displace}}, todo.Folder))
	var done []string
	staff := s.Company.Staff
	for i, p := range staff {
		var mine []tamper
		for k := i; k < len(deeds); k += len(staff) {
			mine = append(mine, deeds[k])
		}
		if len(mine) == 0 {
			continue
		}
		targets := s.unmistakable(p, len(mine))
		c := s.Dovecot.Client(s.T, p.Email, p.Password)
		for k, d := range mine {
			if err := d.do(c, targets[k]); err != nil {
				s.T.Fatalf("tamper with %s: %v", targets[k].Title, err)
			}
			done = append(done, fmt.Sprintf("%s %s %s", d.kind, p.Email, messageID(targets[k])))
		}
	}
	slices.Sort(done)
	return done
}

type tamper struct {
	kind string // as the report calls it
	do   func(*imapclient.Client, walker.Item) error
}

// unmistakable finds n messages on the primary whose Message-ID and bytes occur once in the account.
func (s *Stage) unmistakable(p traffic.Person, n int) []walker.Item {
	s.T.Helper()
	items := Walk(s.T, s.Dovecot.Addr, p.Email+"*"+dovecot.MasterUser, dovecot.MasterPassword).Items
	ids, hashes := map[string]int{}, map[[32]byte]int{}
	for _, i := range items {
		ids[messageID(i)]++
		hashes[i.Hash]++
	}
	var out []walker.Item
	for _, i := range items {
		if id := messageID(i); id != "" && ids[id] == 1 && hashes[i.Hash] == 1 && len(out) < n {
			out = append(out, i)
		}
	}
	if len(out) < n {
		s.T.Fatalf("%s has %d messages that can be told from all others, want %d", p.Email, len(out), n)
	}
	return out
}

// messageID reads it from an item's title, without its brackets.
func messageID(i walker.Item) string {
	_, after, found := strings.Cut(i.Title, "Message-ID: <")
	if !found {
		return ""
	}
	id, _, _ := strings.Cut(after, ">")
	return id
}

func lose(c *imapclient.Client, i walker.Item) error {
	uid := imap.UIDSetNum(imap.UID(i.UID))
	if _, err := c.Select(i.Folder, nil).Wait(); err != nil {
		return err
	}
	if err := c.Store(uid, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	return c.UIDExpunge(uid).Close()
}

func double(c *imapclient.Client, i walker.Item) error {
	if _, err := c.Select(i.Folder, nil).Wait(); err != nil {
		return err
	}
	got, err := c.Fetch(imap.UIDSetNum(imap.UID(i.UID)), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil {
		return err
	}
	body := got[0].BodySection[0].Bytes
	var flags []imap.Flag
	for f := range strings.FieldsSeq(i.Flags) {
		flags = append(flags, imap.Flag(f))
	}
	cmd := c.Append(i.Folder, int64(len(body)), &imap.AppendOptions{Flags: flags, Time: i.Date})
	if _, err := cmd.Write(body); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	_, err = cmd.Wait()
	return err
}

func toggle(c *imapclient.Client, i walker.Item) error {
	if _, err := c.Select(i.Folder, nil).Wait(); err != nil {
		return err
	}
	op := imap.StoreFlagsAdd
	if strings.Contains(i.Flags, `\flagged`) {
		op = imap.StoreFlagsDel
	}
	return c.Store(imap.UIDSetNum(imap.UID(i.UID)), &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close()
}

func displace(c *imapclient.Client, i walker.Item) error {
	target := "Junk"
	if i.Folder == target {
		target = "INBOX"
	}
	if _, err := c.Select(i.Folder, nil).Wait(); err != nil {
		return err
	}
	_, err := c.Move(imap.UIDSetNum(imap.UID(i.UID)), target).Wait()
	return err
}

// TellTampered tells how a primary that was altered while the mirror is frozen is reported: exactly.
func TellTampered(s *Stage, todo Tampering) {
	s.T.Helper()
	s.Node.Serve()
	s.Connect()
	s.Node.AwaitInStep(Domain, timeToMirror)
	s.Reconcile()
	s.Node.Must("mirror", "freeze", Domain)
	if d, ok := s.Node.Domain(Domain); !ok || !d.Mirror.Frozen {
		s.T.Fatalf("after mirror freeze the status is %+v", d)
	}
	want := s.Tamper(todo)
	s.Say("behind a frozen mirror: %+v", todo)
	var report Report
	s.Node.JSON(&report, []int{relais.Differences}, "reconcile", Domain)
	got := report.lines()
	if !slices.Equal(got, want) {
		s.T.Fatalf("reconcile reports\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	s.Say("reconcile ends with 3 and names these %d messages and no other", len(got))
}
