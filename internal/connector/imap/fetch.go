package imapconn

import (
	"context"
	"time"

	"relais/internal/imap"
	"relais/internal/mail"
)

// A Message is what a server told about one message in one FETCH response.
// Fields that were not told are zero; UID 0 means that the server sent news
// about message number Seq without naming it.
type Message struct {
	Seq, UID     uint32
	Flags        mail.Flags // without \Recent
	HasFlags     bool
	ModSeq       uint64
	InternalDate time.Time // in the zone the server wrote
	Size         int64     // RFC822.SIZE: bytes, as the server counts
	EmailID      string    // RFC 8474
	ThreadID     string    // RFC 8474; "" also for NIL
	Envelope     *imap.Envelope
	Structure    *imap.BodyStructure
	Bodies       []Body // the sections, unless they were streamed
}

// A Body is the bytes of one section.
type Body struct {
	Item imap.FetchItem
	Data []byte // nil for NIL: there is no such section
}

// Body is the first section's bytes, nil when there is none.
func (m *Message) Body() []byte {
	if len(m.Bodies) == 0 {
		return nil
	}
	return m.Bodies[0].Data
}

// WholeMessage asks for the message's bytes without setting \Seen.
var WholeMessage = imap.FetchItem{Name: imap.ItemBody, Peek: true, Section: &imap.Section{}}

// HeaderOnly asks for the message's header without setting \Seen.
var HeaderOnly = imap.FetchItem{Name: imap.ItemBody, Peek: true, Section: &imap.Section{Text: "HEADER"}}

// FetchOptions say what to ask of each message; the UID always is.
type FetchOptions struct {
	Flags        bool // and MODSEQ where CONDSTORE is offered
	InternalDate bool
	Size         bool
	ObjectID     bool // EMAILID and THREADID where OBJECTID is offered
	Envelope     bool
	Structure    bool
	Sections     []imap.FetchItem
	// ChangedSince leaves out what has not changed since this mod-sequence. It needs CONDSTORE.
	ChangedSince uint64
	// Vanished, with ChangedSince and QRESYNC enabled, receives the UIDs of the set that were expunged since.
	Vanished *imap.NumSet
	// Stream is given each section as it arrives, instead of Message.Bodies. m
	// holds what was told before it; servers may tell the UID after (0 then).
	// What it leaves unread is passed over. literal is nil for NIL.
	Stream func(m *Message, item imap.FetchItem, literal *imap.Literal) error
}

// fetchSink receives the FETCH responses of a command.
type fetchSink struct {
	uids     imap.NumSet
	sections bool // a response without one is news, not an answer
	stream   func(*Message, imap.FetchItem, *imap.Literal) error
	each     func(*Message) error
	vanished *imap.NumSet
	err      error // of a callback: the rest is passed over
}

// setBytes is how long a set in a command line may be: Exchange and Cyrus stop at 8 KiB.
const setBytes = 6000

// Fetch asks for the messages of the selected mailbox and calls each for every
// one that is there, in the server's order, from the reading goroutine: a slow
// each slows the server down, and it must not wait for another command on this
// connection. An error of each ends the fetch after the answers under way.
func (c *Conn) Fetch(ctx context.Context, uids imap.NumSet, o FetchOptions, each func(*Message) error) error {
	if len(uids) == 0 {
		return nil
	}
	if o.ChangedSince > 0 {
		if err := c.need(imap.CapCondStore); err != nil {
			return err
		}
	}
	if o.Vanished != nil && !c.Enabled(imap.CapQResync) {
		return &UnsupportedError{imap.CapQResync}
	}
	items := c.fetchItems(o)
	for part := range uids.Split(setBytes) {
		sink := &fetchSink{uids: part, sections: len(o.Sections) > 0, stream: o.Stream, each: each, vanished: o.Vanished}
		_, err := c.exec(ctx, &command{name: "UID FETCH", fetch: sink}, func(e *imap.Encoder) {
			e.SP().NumSet(part).SP().FetchItems(items)
			if o.ChangedSince > 0 {
				e.Raw(" (CHANGEDSINCE ").Number64(o.ChangedSince)
				if o.Vanished != nil {
					e.Raw(" VANISHED")
				}
				e.Raw(")")
			}
		})
		if sink.err != nil {
			return sink.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) fetchItems(o FetchOptions) []imap.FetchItem {
	items := []imap.FetchItem{{Name: imap.ItemUID}}
	add := func(wanted bool, names ...string) {
		for _, n := range names {
			if wanted {
				items = append(items, imap.FetchItem{Name: n})
			}
		}
	}
	add(o.Flags, imap.ItemFlags)
	add((o.Flags || o.ChangedSince > 0) && c.keepsModSeqs(), imap.ItemModSeq)
	add(o.InternalDate, imap.ItemInternalDate)
	add(o.Size, imap.ItemSize)
	add(o.ObjectID && c.Has(imap.CapObjectID), imap.ItemEmailID, imap.ItemThreadID)
	add(o.Envelope, imap.ItemEnvelope)
	add(o.Structure, imap.ItemBodyStructure)
	return append(items, o.Sections...)
}

// keepsModSeqs tells whether the selected mailbox has mod-sequences: asking one
// that has none (NOMODSEQ) for them is an error (RFC 7162 §3.1.2.2).
func (c *Conn) keepsModSeqs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modseqs
}

// FetchFlags asks for UID, flags and (where offered) mod-sequence: of all
// messages with since 0, the full pass without CONDSTORE; else of those changed since.
func (c *Conn) FetchFlags(ctx context.Context, since uint64, each func(*Message) error) error {
	return c.Fetch(ctx, imap.NumSet{{First: 1, Last: imap.Star}}, FetchOptions{Flags: true, ChangedSince: since}, each)
}

// fetchData reads what follows "* n FETCH ".
func (c *Conn) fetchData(seq uint32) {
	defer c.strict()
	d := c.dec
	m := &Message{Seq: seq}
	streamed := false
	d.List(func() {
		item := d.FetchItem()
		d.SP()
		if d.Err() != nil {
			return
		}
		switch item.Name {
		case imap.ItemUID:
			m.UID = d.NonZero()
		case imap.ItemFlags:
			m.Flags, m.HasFlags = mail.ParseFlags(d.Flags()...), true
		case imap.ItemModSeq:
			d.List(func() { m.ModSeq = d.Number64() })
		case imap.ItemInternalDate:
			// A date that can't be read is as good as none.
			m.InternalDate, _ = imap.ParseDateTime(d.NString().Value)
		case imap.ItemSize:
			m.Size = int64(d.Number64())
		case imap.ItemEmailID:
			d.NList(func() { m.EmailID = d.AString() })
		case imap.ItemThreadID:
			d.NList(func() { m.ThreadID = d.AString() })
		case imap.ItemEnvelope:
			m.Envelope = d.Envelope()
		case imap.ItemBodyStructure:
			m.Structure = d.BodyStructure()
		case imap.ItemBody, imap.ItemBinary, imap.ItemRFC822, imap.ItemRFC822Header, imap.ItemRFC822Text:
			if item.Name == imap.ItemBody && item.Section == nil {
				m.Structure = d.BodyStructure()
				return
			}
			streamed = c.section(m, item) || streamed
		default:
			d.SkipValue()
		}
	})
	d.CRLF()
	if d.Err() == nil {
		c.deliver(m, streamed)
	}
}

// section reads a section's bytes, and tells whether they were streamed.
func (c *Conn) section(m *Message, item imap.FetchItem) bool {
	d := c.dec
	literal := d.NStream()
	if d.Err() != nil {
		return false
	}
	cmd := c.find(func(cmd *command) bool { return cmd.fetch != nil && cmd.fetch.sections })
	if cmd == nil || cmd.fetch.err != nil {
		return false // nobody asked: its bytes are passed over
	}
	if cmd.fetch.stream != nil {
		if err := cmd.fetch.stream(m, item, literal); err != nil {
			cmd.fetch.err = err
		}
		return true
	}
	body := Body{Item: item}
	if literal != nil {
		var err error
		if body.Data, err = literal.Bytes(); err != nil {
			d.Fail(err)
		}
	}
	m.Bodies = append(m.Bodies, body)
	return false
}

// deliver gives m to the command that asked for it, or to the mailbox's handler as news.
func (c *Conn) deliver(m *Message, streamed bool) {
	cmd := c.find(func(cmd *command) bool {
		if cmd.selecting != nil {
			return true
		}
		return cmd.fetch != nil && cmd.fetch.uids.Contains(m.UID) && (!cmd.fetch.sections || streamed || len(m.Bodies) > 0)
	})
	switch {
	case cmd == nil:
		if h := c.currentHandler(); h.Message != nil {
			h.Message(m)
		}
		c.tellNews()
	case cmd.selecting != nil:
		cmd.selecting.Changed = append(cmd.selecting.Changed, m)
	case cmd.fetch.err == nil && cmd.fetch.each != nil:
		cmd.fetch.err = cmd.fetch.each(m)
	}
}
