package imapconn

import (
	"context"
	"strconv"

	"relais/internal/imap"
)

// A command is one in flight. What it waits for untagged is said by its
// functions, which run in the reading goroutine without locks held; nil means
// that it wants none of that kind.
type command struct {
	tag, name string

	list       func(imap.ListData)
	lsub       func(imap.ListData)
	statusData func(imap.StatusData) bool // false: it is another's
	search     func(imap.SearchData)
	namespace  func(personal []Namespace)
	quota      func(Quota)
	id         func([]imap.Param)
	code       func(imap.Code) // of an untagged OK
	fetch      *fetchSink
	selecting  *Selected
	more       chan string // receives the text of a continuation request
	onDone     func(imap.Status)

	exclusive bool
	odd       error // a response that may have been its own was malformed

	done   chan struct{}
	status imap.Status
	err    error
}

// finish gives the command its result. Called once.
func (cmd *command) finish(status imap.Status, err error) {
	cmd.status, cmd.err = status, err
	close(cmd.done)
}

// enter waits for its turn on the connection: shared with other ordinary
// commands, or alone. The function returned leaves.
func (c *Conn) enter(ctx context.Context, exclusive bool) (leave func(), err error) {
	weight := int64(1)
	if exclusive {
		weight = everyone
	}
	if err := c.gate.Acquire(ctx, weight); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { c.gate.Release(weight) }, nil
}

// everyone is the weight of being alone on the connection.
const everyone = 1 << 30

// start sends a command; write writes its arguments, with the space before
// them. The caller has entered, and must call wait. When ctx ends before the
// result, the connection is closed: IMAP has no other way to stop a command.
func (c *Conn) start(ctx context.Context, cmd *command, write func(e *imap.Encoder)) *call {
	cl := &call{c: c, cmd: cmd}
	cmd.done = make(chan struct{})
	cl.stop = context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	c.send(cmd, write)
	return cl
}

// A call is a command whose result is awaited.
type call struct {
	c    *Conn
	cmd  *command
	stop func() bool
}

// wait is the command's end: its OK, or an error that is the server's *Error or why the connection ended.
func (cl *call) wait() (imap.Status, error) {
	<-cl.cmd.done
	cl.stop()
	switch cmd := cl.cmd; {
	case cmd.err != nil:
		return cmd.status, cmd.err
	case cmd.status.Word != imap.OK:
		return cmd.status, &Error{Command: cmd.name, Status: cmd.status}
	case cmd.odd != nil:
		return cmd.status, cmd.odd
	}
	return cl.cmd.status, nil
}

// exec is a command from its turn to its result.
func (c *Conn) exec(ctx context.Context, cmd *command, write func(e *imap.Encoder)) (imap.Status, error) {
	leave, err := c.enter(ctx, cmd.exclusive)
	if err != nil {
		return imap.Status{}, err
	}
	defer leave()
	return c.start(ctx, cmd, write).wait()
}

// send registers and writes the command.
func (c *Conn) send(cmd *command, write func(e *imap.Encoder)) {
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		cmd.finish(imap.Status{}, err)
		return
	}
	c.lastTag++
	cmd.tag = "R" + strconv.Itoa(c.lastTag)
	c.pending = append(c.pending, cmd)
	if len(c.pending) == 1 {
		c.untagged = 0
	}
	switch {
	case c.caps.Has(imap.CapLiteralPlus):
		c.enc.NonSync = imap.AnySize
	case c.caps.Has(imap.CapLiteralMinus):
		c.enc.NonSync = 4096
	default:
		c.enc.NonSync = 0
	}
	c.mu.Unlock()

	c.stream.wait(c.cfg.Timeout)
	if cmd.more == nil {
		cmd.more = make(chan string, 1)
	}
	refused := false
	c.enc.Wait = func() error {
		select {
		case <-cmd.more:
			return nil
		case <-cmd.done: // the server's NO instead of "+", or the connection's end
			refused = true
			return errRefusedLiteral
		}
	}
	c.enc.Raw(cmd.tag).SP().Raw(cmd.name)
	if write != nil {
		write(c.enc)
	}
	c.enc.CRLF()
	err := c.enc.Flush()
	switch {
	case refused:
		c.enc.ClearErr()
	case err != nil:
		c.fail(err)
	}
}

var errRefusedLiteral = &Error{Command: "literal", Status: imap.Status{Word: imap.No}}

// line sends a line outside a command: DONE, or an answer to a challenge.
func (c *Conn) line(s string) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.enc.Raw(s).CRLF().Flush(); err != nil {
		c.fail(err)
	}
}
