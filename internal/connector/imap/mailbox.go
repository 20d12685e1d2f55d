package imapconn

import (
	"context"
	"slices"
	"strings"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
)

// A Mailbox is one folder of an account as LIST and STATUS tell it.
type Mailbox struct {
	Name       string
	Delim      byte // 0: flat
	Attrs      []string
	Role       mail.Role // by special use, or the inbox; "" where not told
	Subscribed bool
	NoSelect   bool             // holds no messages: only a place in the hierarchy
	Status     *imap.StatusData // nil when not asked, or refused for this one
	StatusErr  error            // the server's words when refused
}

// ListOptions say which mailboxes and what of each.
type ListOptions struct {
	Reference string
	Pattern   string            // default "*"
	Status    []imap.StatusItem // those that the server does not know are left out
	// Max bounds how many mailboxes are taken; default 100,000.
	Max int
}

// List tells the mailboxes, with attributes, special use, subscription and, if
// asked, status: in one round trip where LIST-EXTENDED and LIST-STATUS are
// offered, else with LSUB and one pipelined STATUS for each.
func (c *Conn) List(ctx context.Context, o ListOptions) ([]*Mailbox, error) {
	if o.Pattern == "" {
		o.Pattern = "*"
	}
	if o.Max == 0 {
		o.Max = 100_000
	}
	leave, err := c.enter(ctx, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	o.Status = c.known(o.Status)
	extended := c.Has(imap.CapListExtended)
	withStatus := extended && c.Has(imap.CapListStatus) && len(o.Status) > 0

	var boxes []*Mailbox
	byName := map[string]*Mailbox{}
	subscribed := map[string]bool{}
	cmd := &command{name: "LIST", list: func(l imap.ListData) {
		if len(boxes) >= o.Max || byName[l.Mailbox] != nil {
			return
		}
		b := describe(l)
		boxes, byName[l.Mailbox] = append(boxes, b), b
	}}
	cmd.statusData = func(s imap.StatusData) bool {
		b := byName[s.Mailbox]
		if b != nil {
			b.Status = &s
		}
		return b != nil
	}
	list := imap.ListCommand{Reference: o.Reference, Patterns: []string{o.Pattern}}
	if extended {
		list.Return = []string{"SUBSCRIBED", "CHILDREN"}
		if c.Has(imap.CapSpecialUse) {
			list.Return = append(list.Return, imap.CapSpecialUse)
		}
	}
	if withStatus {
		list.Status = o.Status
	}
	calls := []*call{c.start(ctx, cmd, func(e *imap.Encoder) { e.SP().ListCommand(list) })}
	if !extended {
		lsub := &command{name: "LSUB", lsub: func(l imap.ListData) {
			if len(subscribed) < o.Max {
				subscribed[l.Mailbox] = true
			}
		}}
		calls = append(calls, c.start(ctx, lsub, func(e *imap.Encoder) { e.SP().ListCommand(list) }))
	}
	var first error
	for _, cl := range calls {
		if _, err := cl.wait(); first == nil {
			first = err
		}
	}
	if first != nil {
		return nil, first
	}
	if len(boxes) >= o.Max {
		return nil, fault.New(fault.OverLimit, "the primary lists more than %d folders", o.Max)
	}
	for _, b := range boxes {
		b.Subscribed = b.Subscribed || subscribed[b.Name]
	}
	if len(o.Status) > 0 && !withStatus {
		return boxes, c.statusEach(ctx, boxes, o.Status)
	}
	return boxes, nil
}

func describe(l imap.ListData) *Mailbox {
	b := &Mailbox{Name: l.Mailbox, Delim: l.Delim, Attrs: l.Attrs,
		Subscribed: l.Has(imap.AttrSubscribed), NoSelect: l.Has(imap.AttrNoSelect) || l.Has(imap.AttrNonExistent)}
	for _, a := range l.Attrs {
		if role := mail.RoleOf(a); role != "" {
			b.Role = role
			break
		}
	}
	if b.Name == "INBOX" {
		b.Role = mail.Inbox
	}
	return b
}

// known leaves out the STATUS items that need what the server lacks.
func (c *Conn) known(items []imap.StatusItem) []imap.StatusItem {
	needs := map[imap.StatusItem]string{imap.StatusHighestModSeq: imap.CapCondStore, imap.StatusSize: imap.CapStatusSize,
		imap.StatusMailboxID: imap.CapObjectID, imap.StatusDeleted: imap.CapIMAP4rev2}
	return slices.DeleteFunc(slices.Clone(items), func(i imap.StatusItem) bool {
		capability, conditional := needs[i]
		return conditional && !c.Has(capability)
	})
}

// statusWindow is how many STATUS commands are in flight at most.
const statusWindow = 64

func (c *Conn) statusEach(ctx context.Context, boxes []*Mailbox, items []imap.StatusItem) error {
	for window := range slices.Chunk(slices.DeleteFunc(slices.Clone(boxes), func(b *Mailbox) bool { return b.NoSelect }), statusWindow) {
		calls := make([]*call, len(window))
		for i, b := range window {
			calls[i] = c.startStatus(ctx, b.Name, items, func(s imap.StatusData) { b.Status = &s })
		}
		var broken error
		for i, cl := range calls {
			if _, window[i].StatusErr = cl.wait(); window[i].StatusErr != nil && !isRefusal(window[i].StatusErr) {
				broken = window[i].StatusErr
			}
		}
		if broken != nil {
			return broken
		}
	}
	return nil
}

func (c *Conn) startStatus(ctx context.Context, mailbox string, items []imap.StatusItem, got func(imap.StatusData)) *call {
	cmd := &command{name: "STATUS", statusData: func(s imap.StatusData) bool {
		if s.Mailbox != mailbox {
			return false
		}
		got(s)
		return true
	}}
	return c.start(ctx, cmd, func(e *imap.Encoder) { e.SP().Mailbox(mailbox).SP().StatusItems(items) })
}

// Status asks for a mailbox's state without opening it. Items that the server does not know are left out.
func (c *Conn) Status(ctx context.Context, mailbox string, items ...imap.StatusItem) (imap.StatusData, error) {
	data := imap.StatusData{Mailbox: mailbox}
	items = c.known(items)
	if len(items) == 0 {
		return data, nil
	}
	leave, err := c.enter(ctx, false)
	if err != nil {
		return data, err
	}
	defer leave()
	_, err = c.startStatus(ctx, mailbox, items, func(s imap.StatusData) { data = s }).wait()
	return data, err
}

// Create makes a mailbox, for a role where CREATE-SPECIAL-USE is offered (RFC
// 6154 §3; a refusal of the role is answered by making it without). It tells
// the MAILBOXID where OBJECTID is offered. An existing one is fault.Conflict on
// servers that say ALREADYEXISTS.
func (c *Conn) Create(ctx context.Context, mailbox string, role mail.Role) (mailboxID string, err error) {
	use := ""
	if c.Has(imap.CapCreateSpecialUse) {
		use = role.Attribute()
	}
	status, err := c.create(ctx, mailbox, use)
	if use != "" && isRefusal(err) && !fault.Is(err, fault.Conflict) {
		status, err = c.create(ctx, mailbox, "")
	}
	if status.Code.Name == imap.CodeMailboxID {
		mailboxID = strings.Join(status.Code.Words(), "")
	}
	return mailboxID, err
}

func (c *Conn) create(ctx context.Context, mailbox, use string) (imap.Status, error) {
	return c.exec(ctx, &command{name: "CREATE"}, func(e *imap.Encoder) {
		e.SP().Mailbox(mailbox)
		if use != "" {
			e.Raw(" (USE (").Raw(use).Raw("))")
		}
	})
}

// Rename gives a mailbox, and those below it, another name.
func (c *Conn) Rename(ctx context.Context, from, to string) error {
	_, err := c.exec(ctx, &command{name: "RENAME"}, func(e *imap.Encoder) { e.SP().Mailbox(from).SP().Mailbox(to) })
	return err
}

// Delete removes a mailbox and all messages in it.
func (c *Conn) Delete(ctx context.Context, mailbox string) error {
	return c.named(ctx, "DELETE", mailbox)
}

// Subscribe puts a mailbox on the list that mail programs show.
func (c *Conn) Subscribe(ctx context.Context, mailbox string) error {
	return c.named(ctx, "SUBSCRIBE", mailbox)
}

// Unsubscribe takes it off.
func (c *Conn) Unsubscribe(ctx context.Context, mailbox string) error {
	return c.named(ctx, "UNSUBSCRIBE", mailbox)
}

func (c *Conn) named(ctx context.Context, name, mailbox string) error {
	_, err := c.exec(ctx, &command{name: name}, func(e *imap.Encoder) { e.SP().Mailbox(mailbox) })
	return err
}
