package walker

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Diff is how an account differs from what it should be. Each line names one message or folder.
type Diff struct {
	Lost    []string // wanted, nowhere in the account
	Doubled []string // known content, more copies than wanted
	Strange []string // content that nobody wanted
	Moved   []string // in another folder than wanted
	Flags   []string
	Dates   []string // INTERNALDATE
	Bytes   []string // the author's bytes are there, but a header was added where none may be
	Folders []string // missing, or not wanted
}

// Empty tells whether there is no difference.
func (d Diff) Empty() bool { return d.Count() == 0 }

// Count is the number of differences.
func (d Diff) Count() int {
	n := 0
	for _, k := range d.kinds() {
		n += len(k.lines)
	}
	return n
}

type kind struct {
	name  string
	lines []string
}

func (d Diff) kinds() []kind {
	return []kind{
		{"lost", d.Lost}, {"doubled", d.Doubled}, {"strange", d.Strange}, {"in another folder", d.Moved},
		{"flags", d.Flags}, {"date", d.Dates}, {"bytes", d.Bytes}, {"folder", d.Folders},
	}
}

// Add puts the differences of another account to these.
func (d *Diff) Add(o Diff) {
	d.Lost = append(d.Lost, o.Lost...)
	d.Doubled = append(d.Doubled, o.Doubled...)
	d.Strange = append(d.Strange, o.Strange...)
	d.Moved = append(d.Moved, o.Moved...)
	d.Flags = append(d.Flags, o.Flags...)
	d.Dates = append(d.Dates, o.Dates...)
	d.Bytes = append(d.Bytes, o.Bytes...)
	d.Folders = append(d.Folders, o.Folders...)
}

// String counts each kind and shows the first few of it.
func (d Diff) String() string {
	if d.Empty() {
		return "no difference"
	}
	var b strings.Builder
	for _, k := range d.kinds() {
		if len(k.lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%d %s\n", len(k.lines), k.name)
		for i, line := range k.lines {
			if i == 8 {
				b.WriteString("    …\n")
				break
			}
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// defaults may be there or not while they are empty: servers make them by themselves.
var defaults = []string{"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"}

// Compare tells how got differs from want. Messages are matched by content as a multiset: two identical ones stay two.
func Compare(want, got Account) Diff {
	var d Diff
	wants, gots := byHash(want.Items), byHash(got.Items)
	for hash, ws := range wants {
		d.match(want.Login, ws, gots[hash])
	}
	for hash, gs := range gots {
		if _, ok := wants[hash]; !ok {
			for _, g := range gs {
				d.Strange = append(d.Strange, describe(want.Login, *g))
			}
		}
	}
	d.folders(want, got)
	for _, k := range d.kinds() {
		slices.Sort(k.lines)
	}
	return d
}

func byHash(items []Item) map[[sha256.Size]byte][]*Item {
	m := map[[sha256.Size]byte][]*Item{}
	for i := range items {
		m[items[i].Hash] = append(m[items[i].Hash], &items[i])
	}
	return m
}

// match pairs copies of one content, the most alike first, and notes what is different in each pair.
func (d *Diff) match(login string, wants, gots []*Item) {
	wants, gots = slices.Clone(wants), slices.Clone(gots)
	rules := []func(w, g *Item) bool{
		func(w, g *Item) bool {
			return sameFolder(w, g) && w.Flags == g.Flags && sameDate(w, g) && sameRaw(w, g)
		},
		func(w, g *Item) bool { return sameFolder(w, g) && sameDate(w, g) },
		sameFolder,
		func(w, g *Item) bool { return w.Flags == g.Flags && sameDate(w, g) },
		func(_, _ *Item) bool { return true },
	}
	for _, alike := range rules {
		for i := 0; i < len(wants); i++ {
			j := slices.IndexFunc(gots, func(g *Item) bool { return alike(wants[i], g) })
			if j < 0 {
				continue
			}
			d.pair(login, wants[i], gots[j])
			wants, gots = slices.Delete(wants, i, i+1), slices.Delete(gots, j, j+1)
			i--
		}
	}
	for _, w := range wants {
		d.Lost = append(d.Lost, describe(login, *w))
	}
	for _, g := range gots {
		d.Doubled = append(d.Doubled, describe(login, *g))
	}
}

func (d *Diff) pair(login string, w, g *Item) {
	if !sameFolder(w, g) {
		d.Moved = append(d.Moved, fmt.Sprintf("%s: is in %s", describe(login, *w), g.Folder))
	}
	if w.Flags != g.Flags {
		d.Flags = append(d.Flags, fmt.Sprintf("%s: (%s), not (%s)", describe(login, *w), g.Flags, w.Flags))
	}
	if !sameDate(w, g) {
		d.Dates = append(d.Dates, fmt.Sprintf("%s: %s, not %s", describe(login, *w), g.Date.UTC().Format(time.RFC3339), w.Date.UTC().Format(time.RFC3339)))
	}
	if !sameRaw(w, g) {
		d.Bytes = append(d.Bytes, describe(login, *w))
	}
}

func sameFolder(w, g *Item) bool { return w.Folder == g.Folder }

// sameDate compares to the second, which is what IMAP carries (RFC 9051 §2.3.3).
func sameDate(w, g *Item) bool {
	apart := time.Duration(w.Date.Unix()-g.Date.Unix()) * time.Second
	return w.Date.IsZero() || apart.Abs() <= w.Within
}

func sameRaw(w, g *Item) bool { return w.Raw == [sha256.Size]byte{} || w.Raw == g.Raw }

func (d *Diff) folders(want, got Account) {
	for _, f := range want.Folders {
		if !slices.Contains(got.Folders, f) && !slices.Contains(defaults, f) {
			d.Folders = append(d.Folders, fmt.Sprintf("%s: %s is missing", want.Login, f))
		}
	}
	for _, f := range got.Folders {
		if !slices.Contains(want.Folders, f) && !slices.Contains(defaults, f) {
			d.Folders = append(d.Folders, fmt.Sprintf("%s: %s is not wanted", want.Login, f))
		}
	}
}

func describe(login string, i Item) string {
	return fmt.Sprintf("%s %s uid %d %x %s", login, i.Folder, i.UID, i.Hash[:4], i.Title)
}
