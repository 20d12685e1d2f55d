package imapconn

import (
	"context"
	"time"

	"relais/internal/imap"
)

// Idle waits until the server has news of the selected mailbox (true) or ctx
// ends (false); the connection lives on in both cases. Other calls wait
// meanwhile. News that came before the call end it at once. IDLE is issued
// again every Config.IdleFor; a server without it is asked by NOOP every
// Config.PollEvery.
func (c *Conn) Idle(ctx context.Context) (news bool, err error) {
	for {
		select {
		case <-c.news:
			return true, nil
		default:
		}
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // the end was asked for
		}
		if !c.Has(imap.CapIdle) {
			news, err = c.poll(ctx)
		} else {
			news, err = c.idleOnce(ctx)
		}
		if news || err != nil {
			return news, err
		}
	}
}

// idleOnce is one IDLE … DONE (RFC 9051 §6.3.13).
func (c *Conn) idleOnce(ctx context.Context) (news bool, err error) {
	// ctx ends the waiting, not the connection: the command has a context of its own.
	cmd := &command{name: "IDLE", exclusive: true, more: make(chan string, 1)}
	leave, err := c.enter(ctx, true)
	if err != nil {
		return false, nil //nolint:nilerr // only the end of ctx can be the cause, which is no error here
	}
	defer leave()
	cl := c.start(context.WithoutCancel(ctx), cmd, nil)
	select {
	case <-cmd.more:
	case <-cmd.done: // refused, or the connection broke
		_, err = cl.wait()
		return false, err
	}
	c.stream.wait(0)
	timer := time.NewTimer(c.cfg.IdleFor)
	defer timer.Stop()
	select {
	case <-c.news:
		news = true
	case <-ctx.Done():
	case <-timer.C:
	case <-cmd.done: // the server ended it by itself
		_, err = cl.wait()
		return false, err
	}
	c.stream.wait(c.cfg.Timeout)
	c.line("DONE")
	_, err = cl.wait()
	return news, err
}

// poll waits for a period, then asks by NOOP.
func (c *Conn) poll(ctx context.Context) (news bool, err error) {
	timer := time.NewTimer(c.cfg.PollEvery)
	defer timer.Stop()
	select {
	case <-c.news:
		return true, nil
	case <-ctx.Done():
		return false, nil
	case <-c.ended:
		return false, c.Err()
	case <-timer.C:
	}
	return false, c.Noop(context.WithoutCancel(ctx))
}
