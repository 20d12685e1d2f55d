package imapconn

import (
	"errors"
	"fmt"
	"slices"

	"relais/internal/fault"
	"relais/internal/imap"
)

// maxOddities is how many malformed responses a connection survives.
const maxOddities = 100

// read is the reading goroutine.
func (c *Conn) read() {
	defer close(c.reading)
	for {
		c.response()
		if c.Err() != nil {
			return
		}
		err := c.dec.Err()
		if err == nil {
			continue
		}
		if _, ok := errors.AsType[*imap.SyntaxError](err); ok && c.forgive(err) {
			continue
		}
		c.fail(fmt.Errorf("read from server: %w", err))
		return
	}
}

// forgive goes past a malformed response, when it can: the commands in flight fail, the connection lives.
func (c *Conn) forgive(err error) bool {
	c.mu.Lock()
	c.oddities++
	tooMany := c.oddities > maxOddities
	for _, cmd := range c.pending {
		if cmd.odd == nil {
			cmd.odd = fault.Wrap(err, fault.Unavailable, "the primary's IMAP server sent a malformed answer")
		}
	}
	c.mu.Unlock()
	if tooMany || c.dec.DiscardLine() != nil {
		return false
	}
	c.log.Warn("malformed IMAP response passed over", "err", err)
	return true
}

// strict makes an error in what was just read end the connection: inside
// FETCH the place in the stream may be lost, and the bytes of a message would be
// taken for responses.
func (c *Conn) strict() {
	if err := c.dec.Err(); err != nil {
		if _, ok := errors.AsType[*imap.SyntaxError](err); ok {
			c.fail(fmt.Errorf("read message data: %w", err))
		}
	}
}

// response reads and dispatches one response.
func (c *Conn) response() {
	d := c.dec
	switch b := d.Peek(); b {
	case '\r', '\n':
		d.CRLF() // an empty line too many
		return
	case '+':
		c.continuation()
		return
	}
	tag := d.Tag()
	d.SP()
	if d.Err() != nil {
		return
	}
	if tag != "*" {
		c.tagged(tag, d.Status(d.Command()))
		return
	}
	c.mu.Lock()
	c.untagged++
	over := c.untagged > c.cfg.MaxUntagged && len(c.pending) > 0
	c.mu.Unlock()
	if over {
		c.fail(fault.New(fault.OverLimit, "the primary's IMAP server answers without end"))
		return
	}
	if b := d.Peek(); b >= '0' && b <= '9' {
		n := d.Number()
		d.SP()
		c.numbered(n, d.Command())
		return
	}
	c.untaggedData(d.Command())
}

func (c *Conn) continuation() {
	c.dec.Tag()
	c.dec.Accept(' ')
	text := c.dec.Text()
	c.dec.CRLF()
	if c.dec.Err() != nil {
		return
	}
	cmd := c.find(func(cmd *command) bool { return cmd.more != nil })
	if cmd == nil {
		return
	}
	select {
	case cmd.more <- text:
	default:
	}
}

func (c *Conn) tagged(tag string, status imap.Status) {
	if c.dec.Err() != nil {
		return
	}
	c.mu.Lock()
	i := slices.IndexFunc(c.pending, func(cmd *command) bool { return cmd.tag == tag })
	if i < 0 {
		c.mu.Unlock()
		c.fail(fault.New(fault.Unavailable, "the primary's IMAP server answers what was not asked"))
		return
	}
	cmd := c.pending[i]
	c.pending = slices.Delete(c.pending, i, i+1)
	last := len(c.pending) == 0
	c.mu.Unlock()
	if status.Code.Name == imap.CodeCapability {
		c.setCaps(status.Code.Words())
	}
	if last {
		c.stream.wait(0)
		// A command may have been sent between the check and the line above.
		c.mu.Lock()
		if len(c.pending) > 0 {
			c.stream.wait(c.cfg.Timeout)
		}
		c.mu.Unlock()
	}
	if cmd.onDone != nil {
		cmd.onDone(status)
	}
	cmd.finish(status, nil)
}

// find is the oldest command in flight that wants it.
func (c *Conn) find(wants func(*command) bool) *command {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.pending {
		if wants(cmd) {
			return cmd
		}
	}
	return nil
}

// selecting is the SELECT in flight, or nil.
func (c *Conn) selecting() *Selected {
	if cmd := c.find(func(cmd *command) bool { return cmd.selecting != nil }); cmd != nil {
		return cmd.selecting
	}
	return nil
}

// currentHandler is the selected mailbox's.
func (c *Conn) currentHandler() Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handler
}

// numbered reads what follows "* n NAME".
func (c *Conn) numbered(n uint32, name string) {
	d := c.dec
	if name == "FETCH" {
		d.SP()
		c.fetchData(n)
		return
	}
	switch name {
	case "EXISTS", "EXPUNGE", "RECENT":
		d.CRLF()
	default:
		_ = d.DiscardLine()
		return
	}
	if d.Err() != nil || name == "RECENT" {
		return
	}
	selecting, h := c.selecting(), c.currentHandler()
	switch {
	case name == "EXISTS" && selecting != nil:
		selecting.Exists = n
		return
	case name == "EXISTS" && h.Exists != nil:
		h.Exists(n)
	case name == "EXPUNGE" && h.Expunge != nil:
		h.Expunge(n)
	}
	c.tellNews()
}

// untaggedData reads what follows "* NAME".
func (c *Conn) untaggedData(name string) {
	d := c.dec
	if imap.IsStatus(name) {
		c.untaggedStatus(d.Status(name))
		return
	}
	if d.AtEnd() && name != "SEARCH" {
		d.CRLF()
		return
	}
	switch name {
	case "CAPABILITY", "ENABLED":
		var names []string
		for d.Accept(' ') && !d.AtEnd() {
			names = append(names, d.Atom())
		}
		d.CRLF()
		c.capabilities(name, names)
	case "FLAGS":
		d.SP()
		flags := d.Flags()
		d.CRLF()
		if s := c.selecting(); s != nil && d.Err() == nil {
			s.Flags = flags
		}
	case "LIST", "LSUB":
		d.SP()
		data := d.ListData()
		d.CRLF()
		c.listData(name, data)
	case "STATUS":
		d.SP()
		data := d.StatusData()
		d.CRLF()
		if d.Err() == nil {
			c.find(func(cmd *command) bool { return cmd.statusData != nil && cmd.statusData(data) })
		}
	case "SEARCH", "ESEARCH":
		read := d.SearchData
		if name == "ESEARCH" {
			read = d.ESearchData
		}
		data := read()
		d.CRLF()
		if cmd := c.find(func(cmd *command) bool { return cmd.search != nil && (data.Tag == "" || data.Tag == cmd.tag) }); cmd != nil && d.Err() == nil {
			cmd.search(data)
		}
	case "VANISHED":
		d.SP()
		c.vanished()
	case "NAMESPACE":
		d.SP()
		c.namespaceData()
	case "ID":
		d.SP()
		c.idData()
	case "QUOTA":
		d.SP()
		c.quotaData()
	default:
		_ = d.DiscardLine()
	}
}

func (c *Conn) capabilities(name string, names []string) {
	if c.dec.Err() != nil {
		return
	}
	if name == "CAPABILITY" {
		c.setCaps(names)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range imap.NewCaps(names...) {
		c.enabled[n] = true
	}
}

func (c *Conn) listData(name string, data imap.ListData) {
	if c.dec.Err() != nil {
		return
	}
	cmd := c.find(func(cmd *command) bool {
		return name == "LIST" && cmd.list != nil || name == "LSUB" && cmd.lsub != nil
	})
	switch {
	case cmd == nil:
	case name == "LIST":
		cmd.list(data)
	default:
		cmd.lsub(data)
	}
}

func (c *Conn) untaggedStatus(s imap.Status) {
	if c.dec.Err() != nil {
		return
	}
	if s.Word == imap.Bye {
		c.mu.Lock()
		c.bye = &s
		c.mu.Unlock()
		return
	}
	switch s.Code.Name {
	case "":
	case imap.CodeCapability:
		c.setCaps(s.Code.Words())
	case imap.CodeAlert: // must be shown to a person (RFC 9051 §7.1)
		c.log.Warn("IMAP alert", "words", s.Text)
	default:
		if selecting := c.selecting(); selecting != nil {
			selecting.take(s.Code)
		} else if cmd := c.find(func(cmd *command) bool { return cmd.code != nil }); cmd != nil {
			cmd.code(s.Code)
		}
	}
}

// vanished reads what follows "* VANISHED " (RFC 7162 §3.2.10).
func (c *Conn) vanished() {
	d := c.dec
	earlier := false
	if d.Peek() == '(' {
		d.List(func() { earlier = d.Command() == "EARLIER" || earlier })
		d.SP()
	}
	uids := d.NumSet()
	d.CRLF()
	if d.Err() != nil {
		return
	}
	if earlier {
		cmd := c.find(func(cmd *command) bool { return cmd.selecting != nil || cmd.fetch != nil && cmd.fetch.vanished != nil })
		switch {
		case cmd == nil:
		case cmd.selecting != nil:
			cmd.selecting.Vanished = append(cmd.selecting.Vanished, uids...).Normal()
		default:
			*cmd.fetch.vanished = append(*cmd.fetch.vanished, uids...).Normal()
		}
		return
	}
	if h := c.currentHandler(); h.Vanished != nil {
		h.Vanished(uids)
	}
	c.tellNews()
}
