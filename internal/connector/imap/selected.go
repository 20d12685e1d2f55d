package imapconn

import (
	"context"
	"strings"

	"relais/internal/imap"
)

// A Handler is told unilateral data about the selected mailbox, from the
// reading goroutine: it must be quick and call nothing on the connection. Any
// function may be nil. It also hears what this connection itself expunged or moved.
type Handler struct {
	Exists   func(messages uint32)
	Expunge  func(seq uint32)       // without QRESYNC
	Vanished func(uids imap.NumSet) // with QRESYNC
	Message  func(m *Message)       // flags changed; UID is 0 when not told
}

// SelectOptions say how to open a mailbox.
type SelectOptions struct {
	ReadOnly bool // EXAMINE
	// QResync asks for what changed since; left out unless QRESYNC is enabled.
	QResync *imap.QResync
	Handler Handler
}

// Selected is the state of a mailbox at the moment it was opened.
type Selected struct {
	Name          string
	ReadOnly      bool
	Exists        uint32 // messages
	UIDValidity   uint32
	UIDNext       uint32 // 0: not told
	HighestModSeq uint64 // 0: not told, or the mailbox keeps none
	UIDNotSticky  bool   // UIDs do not last (RFC 4315 §3)
	MailboxID     string // RFC 8474
	Flags         []string
	// PermanentFlags are those that last; `\*` allows new keywords. Not told
	// (nil) means that all do (RFC 9051 §6.3.2).
	PermanentFlags []string

	// With QResync and the same UIDVALIDITY: what happened since.
	Vanished imap.NumSet
	Changed  []*Message
}

// Keeps tells whether the mailbox keeps the flag or keyword for good.
func (s *Selected) Keeps(flag string) bool {
	if s.PermanentFlags == nil {
		return true
	}
	for _, f := range s.PermanentFlags {
		if f == `\*` && !strings.HasPrefix(flag, `\`) || strings.EqualFold(f, flag) {
			return true
		}
	}
	return false
}

// take notes a response code of SELECT.
func (s *Selected) take(code imap.Code) {
	n, _ := code.Number()
	switch code.Name {
	case imap.CodeClosed:
		*s = Selected{Name: s.Name} // what came before was about the mailbox left (RFC 7162 §3.2.11)
	case imap.CodeUIDValidity:
		s.UIDValidity = uint32(n)
	case imap.CodeUIDNext:
		s.UIDNext = uint32(n)
	case imap.CodeHighestModSeq:
		s.HighestModSeq = n
	case imap.CodeUIDNotSticky:
		s.UIDNotSticky = true
	case imap.CodeMailboxID:
		s.MailboxID = strings.Join(code.Words(), "")
	case imap.CodePermanentFlags:
		s.PermanentFlags = append([]string{}, code.Words()...)
	case imap.CodeReadOnly:
		s.ReadOnly = true
	}
}

// Select opens a mailbox. If it fails, none is open.
func (c *Conn) Select(ctx context.Context, mailbox string, o SelectOptions) (*Selected, error) {
	name := "SELECT"
	if o.ReadOnly {
		name = "EXAMINE"
	}
	s := &Selected{Name: mailbox}
	condStore := c.Has(imap.CapCondStore)
	cmd := &command{name: name, exclusive: true, selecting: s}
	cmd.onDone = func(status imap.Status) {
		s.take(status.Code)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.selected, c.handler = "", Handler{}
		if status.Word == imap.OK {
			c.selected, c.handler = mailbox, o.Handler
			c.modseqs = s.HighestModSeq > 0 && condStore
		}
	}
	var params imap.SelectParams
	if c.Enabled(imap.CapQResync) {
		params.QResync = o.QResync
	}
	params.CondStore = condStore
	_, err := c.exec(ctx, cmd, func(e *imap.Encoder) {
		c.mu.Lock()
		c.selected, c.handler = "", Handler{}
		c.mu.Unlock()
		select { // news of the mailbox left behind
		case <-c.news:
		default:
		}
		e.SP().Mailbox(mailbox).SelectParams(params)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Unselect leaves the mailbox without expunging anything (RFC 3691). Without
// UNSELECT it does nothing: CLOSE would expunge.
func (c *Conn) Unselect(ctx context.Context) error {
	if c.Selected() == "" || !c.Has(imap.CapUnselect) {
		return nil
	}
	cmd := &command{name: "UNSELECT", exclusive: true}
	cmd.onDone = func(imap.Status) {
		c.mu.Lock()
		c.selected, c.handler = "", Handler{}
		c.mu.Unlock()
	}
	_, err := c.exec(ctx, cmd, nil)
	return err
}

// Selected is the name of the open mailbox, "" for none.
func (c *Conn) Selected() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.selected
}
