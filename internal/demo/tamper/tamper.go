// Package tamper alters mailboxes over IMAP behind Relais's back and tells exactly what it did.
//
// A report is worth what it finds: whoever wants to see that, loses, doubles and
// changes a few messages with this, and compares.
package tamper

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
)

// Kinds says how many messages are treated in each way.
type Kinds struct{ Lost, Doubled, Flags, Folder int }

// Deed is one alteration. Kind is as a reconciliation calls it: lost, doubled, flags or folder.
type Deed struct {
	Kind, Account string
	ID            string // Message-ID without its brackets
}

func (d Deed) String() string { return d.Kind + " " + d.Account + " " + d.ID }

// way is how a message is treated.
type way struct {
	kind string
	do   func(*imapclient.Client, walker.Item) error
}

// Do alters messages of each of the staff in turn on the server at addr (plaintext). The deeds are in order of their String.
func Do(addr string, staff []traffic.Person, todo Kinds) ([]Deed, error) {
	ways := slices.Concat(
		slices.Repeat([]way{{"lost", lose}}, todo.Lost), slices.Repeat([]way{{"doubled", double}}, todo.Doubled),
		slices.Repeat([]way{{"flags", toggle}}, todo.Flags), slices.Repeat([]way{{"folder", displace}}, todo.Folder))
	var done []Deed
	for i, p := range staff {
		var mine []way
		for k := i; k < len(ways); k += len(staff) {
			mine = append(mine, ways[k])
		}
		if len(mine) == 0 {
			continue
		}
		deeds, err := account(addr, p, mine)
		if err != nil {
			return nil, fmt.Errorf("tamper with the mail of %s: %w", p.Email, err)
		}
		done = append(done, deeds...)
	}
	slices.SortFunc(done, func(a, b Deed) int { return strings.Compare(a.String(), b.String()) })
	return done, nil
}

func account(addr string, p traffic.Person, ways []way) ([]Deed, error) {
	targets, err := unmistakable(addr, p, len(ways))
	if err != nil {
		return nil, err
	}
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(p.Email, p.Password).Wait(); err != nil {
		return nil, err
	}
	var done []Deed
	for k, w := range ways {
		if _, err := c.Select(targets[k].Folder, nil).Wait(); err != nil {
			return nil, err
		}
		if err := w.do(c, targets[k]); err != nil {
			return nil, fmt.Errorf("%s: %w", targets[k].Title, err)
		}
		done = append(done, Deed{w.kind, p.Email, messageID(targets[k])})
	}
	return done, c.Logout().Wait()
}

// unmistakable finds n messages whose Message-ID and bytes occur once in the account.
func unmistakable(addr string, p traffic.Person, n int) ([]walker.Item, error) {
	found, err := walker.Walk(addr, p.Email, p.Password)
	if err != nil {
		return nil, err
	}
	ids, hashes := map[string]int{}, map[[32]byte]int{}
	for _, i := range found.Items {
		ids[messageID(i)]++
		hashes[i.Hash]++
	}
	var out []walker.Item
	for _, i := range found.Items {
		if id := messageID(i); id != "" && ids[id] == 1 && hashes[i.Hash] == 1 {
			out = append(out, i)
		}
	}
	if len(out) < n {
		return nil, fmt.Errorf("%d messages can be told from all others, want %d", len(out), n)
	}
	return out[:n], nil
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

// The ways work on the folder that is selected.

func lose(c *imapclient.Client, i walker.Item) error {
	uid := imap.UIDSetNum(imap.UID(i.UID))
	if err := c.Store(uid, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	return c.UIDExpunge(uid).Close()
}

func double(c *imapclient.Client, i walker.Item) error {
	got, err := c.Fetch(imap.UIDSetNum(imap.UID(i.UID)), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil {
		return err
	}
	if len(got) != 1 || len(got[0].BodySection) != 1 {
		return fmt.Errorf("the server gave no body of uid %d", i.UID)
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
	_, err := c.Move(imap.UIDSetNum(imap.UID(i.UID)), target).Wait()
	return err
}
