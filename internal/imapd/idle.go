package imapd

import (
	"context"
	"strings"

	"relais/internal/imap"
)

// idle tells changes as they happen, until the client says DONE (RFC 2177).
func (c *conn) idle(ctx context.Context, _ *request) (imap.Status, error) {
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	signal, stop := c.server.record.Watch(c.person.Account)
	defer stop()
	c.enc.Raw("+ idling\r\n")
	// The reader waits for one byte beside us; we touch the decoder again only once it has it.
	heard := make(chan struct{})
	go func() {
		c.dec.Peek()
		close(heard)
	}()
	for done := false; !done; {
		var err error
		if c.box != nil {
			err = c.sync(ctx, true)
		}
		if err != nil {
			c.bye(c.statusOf(err).Text)
			c.leaving = true
		}
		if c.enc.Flush() != nil || c.leaving {
			// The reader can only be stopped for good.
			c.leaving = true
			c.stream.interrupt()
			<-heard
			return imap.Status{}, err
		}
		select {
		case <-heard:
			done = true
		case <-signal:
		}
	}
	if word := c.dec.Atom(); c.dec.Err() == nil && !strings.EqualFold(word, "DONE") {
		c.dec.Want("DONE")
	}
	return imap.Status{}, c.end()
}
