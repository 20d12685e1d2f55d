package smtpd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"relais/internal/admit"
	"relais/internal/smtp"
)

// ready tells whether a message may follow; if not it has said so.
func (c *conn) ready() bool {
	switch {
	case c.tx == nil:
		c.sayBad("503 5.5.1 MAIL first")
	case len(c.tx.Recipients) == 0:
		c.sayBad("554 5.5.1 no valid recipient")
	default:
		return true
	}
	return false
}

// data is DATA: RFC 5321 §4.1.1.4.
func (c *conn) data(args string) error {
	if c.ahead() {
		return errClose
	}
	switch {
	case args != "":
		c.sayBad("501 5.5.4 DATA takes no argument")
		return nil
	case c.body != nil:
		c.sayBad("503 5.5.1 the message has begun with BDAT")
		return nil
	case !c.ready():
		return nil
	}
	b := &body{memory: c.cfg.Memory, max: c.cfg.MaxSize, declared: c.tx.Size}
	c.body = b
	grow := b.grow(c.ctx)
	first, err := grow(nil)
	if err != nil {
		_ = c.fail(err) // no room: the connection can go on
		return nil
	}
	c.say("354 go on, end with CR LF . CR LF")
	c.startReceiving()
	message, err := c.reader.ReadData(first, grow, 2*c.cfg.MaxSize)
	c.receiving = time.Time{}
	if err == nil && int64(len(message)) > c.cfg.MaxSize {
		err = errTooLarge
	}
	if err != nil {
		return c.fail(err)
	}
	c.deliver(message)
	return nil
}

// bdat is BDAT: RFC 3030 §2. Whatever the reply, the chunk is read: what is in
// it are no commands.
func (c *conn) bdat(args string) error {
	chunk, err := smtp.ParseChunk(args)
	if err != nil {
		c.refuse(err)
		return errClose
	}
	c.startReceiving()
	defer func() { c.receiving = time.Time{} }()
	if !c.ready() {
		return c.skip(chunk.Size)
	}
	if c.body == nil {
		c.body = &body{memory: c.cfg.Memory, max: c.cfg.MaxSize}
	}
	if int64(len(c.body.bytes))+chunk.Size > c.cfg.MaxSize || chunk.Size > c.cfg.MaxSize {
		_ = c.fail(errTooLarge)
		return c.skip(chunk.Size)
	}
	for left := chunk.Size; left > 0; {
		n := min(left, trusted)
		if err := c.body.room(c.ctx, n); err != nil {
			_ = c.fail(err)
			return c.skip(left)
		}
		have := len(c.body.bytes)
		c.body.bytes = c.body.bytes[:have+int(n)]
		if err := c.reader.ReadFull(c.body.bytes[have:]); err != nil {
			return c.fail(err)
		}
		left -= n
	}
	if !chunk.Last {
		c.say("250 2.0.0 chunk ok")
		return nil
	}
	// The count told where the message ends, so the connection is sound. But sent
	// on by DATA such bytes would mean something else to another server.
	if err := smtp.CheckLines(c.body.bytes); err != nil {
		c.refuseMessage("554 5.6.0 " + err.Error() + " in the message: lines end in CR LF")
		return nil
	}
	c.deliver(c.body.bytes)
	return nil
}

// skip reads a chunk that is not wanted. One far beyond what is taken ends the connection.
func (c *conn) skip(n int64) error {
	if n > 2*c.cfg.MaxSize {
		return errClose
	}
	return c.reader.Discard(n)
}

func (c *conn) startReceiving() {
	c.receiving = time.Now().Add(c.cfg.Timeouts.Message)
}

// deliver hands the whole message to the handler and says what it says.
func (c *conn) deliver(message []byte) {
	ctx, cancel := c.handlerContext()
	defer cancel()
	err := c.server.handler.Deliver(ctx, c.tx, message[:len(message):len(message)])
	if c.accepted(err, smtp.AtData, "250 2.0.0 taken") {
		c.messages++
		c.idle = 0
		c.totalBytes += int64(len(message))
		c.totalRecipients += len(c.tx.Recipients)
		c.server.messages.Add(1)
		c.server.bytes.Add(int64(len(message)))
	} else {
		c.countRefusal()
	}
	c.reset()
}

// fail ends a message that could not be read. It returns nil if the connection can go on.
func (c *conn) fail(err error) error {
	fault, isFault := errors.AsType[smtp.LineFault](err)
	switch {
	case errors.Is(err, errTooLarge):
		c.countRefusal()
		c.sayTooLarge()
		c.reset()
		return nil
	case errors.Is(err, admit.ErrNoMemory):
		c.server.log.Warn("no memory for a message", "peer", c.peer.Addr)
		c.refuseMessage("452 4.3.1 too much mail at this moment, try again later")
		return nil
	case isFault:
		c.bad++
		c.refuseMessage("554 5.5.2 " + fault.Error() + " in the message: lines end in CR LF, closing")
		return errClose
	case errors.Is(err, smtp.ErrDiscardLimit):
		c.countRefusal()
		c.sayTooLarge()
		return errClose
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.say("421 4.4.2 " + c.cfg.Hostname + " the message came too slowly, closing")
		return errClose
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read message: %w", err)
	}
	return err
}

// refuseMessage says why a message is not taken and forgets it.
func (c *conn) refuseMessage(line string) {
	c.countRefusal()
	c.say(line)
	c.reset()
}

func (c *conn) countRefusal() {
	c.refused++
	c.server.refused.Add(1)
}
