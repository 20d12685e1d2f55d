package imapd

import (
	"context"
	"slices"
	"strings"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// listing is what a LIST asks for (RFC 5258 §3, RFC 5819, RFC 6154 §2).
type listing struct {
	patterns []string // reference and pattern joined, INBOX in capitals
	// Which are listed.
	subscribed, specialUse, recursive bool
	// What is told of them besides.
	tellSubscribed, tellStatus bool
	status                     []imap.StatusItem
}

const maxPatterns = 100

// list is LIST, plain and extended.
func (c *conn) list(ctx context.Context, _ *request) (imap.Status, error) {
	var l listing
	c.dec.SP()
	extended := false
	if c.dec.Peek() == '(' {
		extended = true
		c.selection(&l)
		c.dec.SP()
	}
	reference := c.dec.Mailbox()
	c.dec.SP()
	patterns := 0
	add := func() {
		p := reference + c.dec.ListPattern()
		if patterns++; patterns > maxPatterns {
			c.dec.Want("fewer patterns")
			return
		}
		l.patterns = append(l.patterns, p)
	}
	if c.dec.Peek() == '(' {
		extended = true
		c.dec.List(add)
	} else {
		add()
	}
	if c.dec.Accept(' ') {
		extended = true
		if c.dec.Command() != "RETURN" {
			c.dec.Want("RETURN")
		}
		c.dec.SP()
		c.returns(&l)
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if l.recursive && !l.subscribed {
		return imap.Status{}, bad("RECURSIVEMATCH needs SUBSCRIBED")
	}
	if err := checkStatusItems(l.status); err != nil {
		return imap.Status{}, err
	}
	if !extended && l.patterns[0] == reference { // LIST "" "" asks for the separator (RFC 3501 §6.3.8)
		c.enc.Raw("* LIST (\\Noselect) \"/\" \"\"\r\n")
		return imap.Status{}, nil
	}
	return imap.Status{}, c.tellList(ctx, "LIST", &l)
}

// selection reads the options before the reference.
func (c *conn) selection(l *listing) {
	c.dec.List(func() {
		switch c.dec.Command() {
		case "SUBSCRIBED":
			l.subscribed, l.tellSubscribed = true, true
		case "RECURSIVEMATCH":
			l.recursive = true
		case "SPECIAL-USE":
			l.specialUse = true
		case "REMOTE": // there are none
		default:
			c.dec.Want("a known selection option")
		}
	})
}

// returns reads the options after RETURN.
func (c *conn) returns(l *listing) {
	c.dec.List(func() {
		switch c.dec.Command() {
		case "SUBSCRIBED":
			l.tellSubscribed = true
		case "CHILDREN", "SPECIAL-USE": // told anyway
		case "STATUS":
			c.dec.SP()
			l.tellStatus, l.status = true, c.dec.StatusItems()
		default:
			c.dec.Want("a known return option")
		}
	})
}

// lsub is LSUB: a subscribed name below a level that "%" stops at is told by the
// level above, with \Noselect if that is not subscribed itself (RFC 3501 §6.3.9).
func (c *conn) lsub(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	reference := c.dec.Mailbox()
	c.dec.SP()
	l := listing{patterns: []string{reference + c.dec.ListPattern()}, subscribed: true, recursive: true}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	return imap.Status{}, c.tellList(ctx, "LSUB", &l)
}

func (c *conn) tellList(ctx context.Context, word string, l *listing) error {
	var all []mailbox.Mailbox
	err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		all, err = tx.Mailbox.Mailboxes(ctx, c.person.Account)
		return err
	})
	if err != nil {
		return err
	}
	// INBOX comes first; clients show it so, and Dovecot does.
	slices.SortStableFunc(all, func(a, b mailbox.Mailbox) int {
		return boolInt(b.Role == mail.Inbox) - boolInt(a.Role == mail.Inbox)
	})
	for i := range l.patterns {
		l.patterns[i] = capitalInbox(l.patterns[i])
	}
	children := func(name string, want func(*mailbox.Mailbox) bool) bool {
		return slices.ContainsFunc(all, func(b mailbox.Mailbox) bool {
			return strings.HasPrefix(b.Name, name+mailbox.Separator) && want(&b)
		})
	}
	subscribed := func(b *mailbox.Mailbox) bool { return b.Subscribed }
	for i := range all {
		b := &all[i]
		if !slices.ContainsFunc(l.patterns, func(p string) bool { return matchPattern(p, b.Name) }) {
			continue
		}
		below := l.recursive && children(b.Name, subscribed)
		if l.subscribed && !b.Subscribed && !below || l.specialUse && b.Role.Attribute() == "" {
			continue
		}
		data := imap.ListData{Delim: mailbox.Separator[0], Mailbox: b.Name}
		if word == "LSUB" {
			if !b.Subscribed {
				data.Attrs = append(data.Attrs, imap.AttrNoSelect)
			}
			c.enc.ListData(word, data)
			continue
		}
		if children(b.Name, func(*mailbox.Mailbox) bool { return true }) {
			data.Attrs = append(data.Attrs, imap.AttrHasChildren)
		} else {
			data.Attrs = append(data.Attrs, imap.AttrHasNoChildren)
		}
		if l.tellSubscribed && b.Subscribed {
			data.Attrs = append(data.Attrs, imap.AttrSubscribed)
		}
		if use := b.Role.Attribute(); use != "" {
			data.Attrs = append(data.Attrs, use)
		}
		c.listOne(data, below && !b.Subscribed)
		if l.tellStatus {
			c.tellStatus(b, l.status)
		}
	}
	return c.enc.Err()
}

// listOne writes a LIST response, with CHILDINFO where only a child matched (RFC 5258 §3.5).
func (c *conn) listOne(data imap.ListData, childInfo bool) {
	if !childInfo {
		c.enc.ListData("LIST", data)
		return
	}
	c.enc.Raw("* LIST ").Flags(data.Attrs).Raw(" \"/\" ").Mailbox(data.Mailbox).Raw(" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n")
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// capitalInbox writes a pattern's first level INBOX in capitals: names are kept so.
func capitalInbox(pattern string) string {
	if n := len("INBOX"); len(pattern) >= n && strings.EqualFold(pattern[:n], "INBOX") &&
		(len(pattern) == n || strings.ContainsRune("/%*", rune(pattern[n]))) {
		return "INBOX" + pattern[n:]
	}
	return pattern
}

// matchPattern matches a name by "*", any characters, and "%", any but the
// separator, in time bounded by the product of the lengths.
func matchPattern(pattern, name string) bool {
	// The set of pattern positions reachable after each byte of the name.
	at := make([]bool, len(pattern)+1)
	reach := func(set []bool, i int) {
		for ; ; i++ {
			set[i] = true
			if i == len(pattern) || pattern[i] != '*' && pattern[i] != '%' {
				return
			}
		}
	}
	reach(at, 0)
	for j := range len(name) {
		next := make([]bool, len(pattern)+1)
		for i, on := range at {
			if !on || i == len(pattern) {
				continue
			}
			switch p := pattern[i]; {
			case p == '*' || p == '%' && name[j] != mailbox.Separator[0]:
				reach(next, i)
			case p == name[j] && p != '%':
				reach(next, i+1)
			}
		}
		at = next
	}
	return at[len(pattern)]
}
