package walker

import (
	"crypto/sha256"
	"testing"
	"time"
)

func item(folder, body, flags string) Item {
	return Item{Folder: folder, Hash: sha256.Sum256([]byte(body)), Flags: flags, Date: time.Unix(1000, 0)}
}

func TestCompareNamesEachDifferenceOnce(t *testing.T) {
	t.Parallel()
	base := []Item{item("INBOX", "a", ""), item("INBOX", "twin", ""), item("INBOX", "twin", ""), item("Work", "b", `\seen`)}
	with := func(change func([]Item) []Item) Account {
		return Account{Folders: []string{"INBOX", "Work"}, Items: change(append([]Item(nil), base...))}
	}
	same := func(i []Item) []Item { return i }
	for name, c := range map[string]struct {
		got  func([]Item) []Item
		want func(Diff) int
		n    int
	}{
		"same":    {same, Diff.Count, 0},
		"lost":    {func(i []Item) []Item { return i[1:] }, func(d Diff) int { return len(d.Lost) }, 1},
		"twin":    {func(i []Item) []Item { return append(i[:1], i[2:]...) }, func(d Diff) int { return len(d.Lost) }, 1},
		"doubled": {func(i []Item) []Item { return append(i, i[0], i[1]) }, func(d Diff) int { return len(d.Doubled) }, 2},
		"strange": {func(i []Item) []Item { return append(i, item("INBOX", "x", "")) }, func(d Diff) int { return len(d.Strange) }, 1},
		"flag":    {func(i []Item) []Item { i[3].Flags = ""; return i }, func(d Diff) int { return len(d.Flags) }, 1},
		"moved":   {func(i []Item) []Item { i[3].Folder = "INBOX"; return i }, func(d Diff) int { return len(d.Moved) }, 1},
		"date":    {func(i []Item) []Item { i[3].Date = time.Unix(9, 0); return i }, func(d Diff) int { return len(d.Dates) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Compare(with(same), with(c.got))
			if c.want(d) != c.n || d.Count() != c.n {
				t.Errorf("want %d of this kind and no other:\n%s", c.n, d)
			}
		})
	}
}

func TestStripTakesOnlyTheTraceAtTheTop(t *testing.T) {
	t.Parallel()
	author := "From: a@x\r\nReceived: kept, it is below\r\nSubject: s\r\n\r\nReceived: body\r\n"
	added := "Return-Path: <a@x>\r\nDelivered-To: b@y\r\nReceived: from z\r\n\tby y; now\r\nAuthentication-Results: y;\r\n dkim=none\r\n"
	if got := string(Strip([]byte(added + author))); got != author {
		t.Errorf("left %q", got)
	}
	if Hash([]byte(author)) == Hash([]byte(author+" ")) {
		t.Error("the body does not count")
	}
}
