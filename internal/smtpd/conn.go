package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"relais/internal/admit"
	"relais/internal/smtp"
)

// errClose ends a connection after its last reply, though the client may be sending still.
var errClose = errors.New("close")

// lingers is how many times Timeouts.Linger a client may go on sending what nobody reads.
const lingers = 12

// conn is one connection: the dialogue's state and the means to speak. Only its
// own goroutine touches it, but for what mu guards.
type conn struct {
	server *Server
	cfg    *Config
	guest  *admit.Guest
	ctx    context.Context // of every call of the handler: not over when the client leaves, since a message may be being filed then
	raw    net.Conn        // what deadlines are set on
	stream net.Conn        // raw, or TLS over it
	reader *smtp.Reader
	out    []byte // replies not yet sent: those to pipelined commands leave together

	peer *Peer
	tx   *Transaction // nil before MAIL
	body *body        // chunks so far; nil without BDAT

	// Counts that bound what a client may do, and for the log.
	bad, idle, refusedRecipients       int
	messages, refused, totalRecipients int
	totalBytes                         int64

	receiving   time.Time // when a message must have arrived; zero while commands are read
	mu          sync.Mutex
	waiting     bool // for a command or a handshake: may be interrupted
	interrupted bool
}

func newConn(s *Server, guest *admit.Guest) *conn {
	c := &conn{server: s, cfg: &s.cfg, guest: guest, raw: guest.Conn, stream: guest.Conn, peer: &Peer{Addr: guest.Addr}}
	c.reader = smtp.NewReader(c)
	return c
}

// Serve leads the dialogue to its end.
func (c *conn) Serve(ctx context.Context) {
	c.ctx = ctx
	defer func() { c.stream.Close() }() // a TLS one says that it ends
	start := c.cfg.Clock.Now()
	err := c.dialogue()
	c.dropBody()
	if errors.Is(err, errClose) {
		c.linger()
	}
	c.logEnd(err, c.cfg.Clock.Now().Sub(start))
}

// logEnd is the one line about a connection: counts, no contents.
func (c *conn) logEnd(err error, took time.Duration) {
	args := []any{
		"peer", c.peer.Addr, "tls", c.peer.TLS != nil, "user", c.peer.Username, "messages", c.messages, "bytes", c.totalBytes,
		"recipients", c.totalRecipients, "refused", c.refused, "refused_recipients", c.refusedRecipients, "bad", c.bad, "took", took,
	}
	level := slog.LevelInfo
	switch {
	case err != nil && !errors.Is(err, errClose) && !errors.Is(err, io.EOF):
		args = append(args, "err", err)
	case c.messages+c.refused+c.refusedRecipients+c.bad == 0:
		level = slog.LevelDebug // probes, and who only looks whether we are there
	}
	c.server.log.Log(c.ctx, level, "connection closed", args...)
}

func (c *conn) dialogue() error {
	if c.cfg.ImplicitTLS {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	c.say("220 " + c.cfg.Hostname + " ESMTP Relais")
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		if err := c.command(line); err != nil {
			return err
		}
		if c.bad >= c.cfg.MaxBad || c.idle >= c.cfg.MaxIdle || !c.guest.Exempt && c.refusedRecipients >= c.cfg.MaxRefused {
			c.say("421 4.7.0 " + c.cfg.Hostname + " too many errors, closing")
			return errClose
		}
	}
}

// say queues a reply that is written as it goes over the wire.
func (c *conn) say(line string) {
	c.out = append(append(c.out, line...), '\r', '\n')
}

// sayBad queues the reply to a command that should not have come.
func (c *conn) sayBad(line string) {
	c.bad++
	c.say(line)
}

// reply queues a computed reply.
func (c *conn) reply(r *smtp.Reply) {
	c.out = r.Append(c.out)
}

// refuse queues the reply to a command that could not be read.
func (c *conn) refuse(err error) {
	c.bad++
	c.reply(smtp.ReplyFor(err, smtp.AtSender))
}

// flush sends the queued replies.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.cfg.Timeouts.Reply))
	_, err := c.stream.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Read is the reader's source: replies go out before the connection is waited
// on, and a message that arrives has its own deadlines.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	if !c.receiving.IsZero() {
		next := time.Now().Add(c.cfg.Timeouts.Block)
		if c.receiving.Before(next) {
			next = c.receiving
		}
		_ = c.raw.SetReadDeadline(next)
	}
	return c.stream.Read(p)
}

// readLine reads a command or an answer. What ends the dialogue has been replied to.
func (c *conn) readLine() ([]byte, error) {
	if !c.startWaiting(c.cfg.Timeouts.Command) {
		return nil, c.sayClosing()
	}
	line, err := c.reader.ReadLine(smtp.MaxAuthLine)
	if c.stopWaiting() && err != nil {
		return nil, c.sayClosing()
	}
	switch fault, isFault := errors.AsType[smtp.LineFault](err); {
	case isFault:
		c.bad++
		c.say("500 5.5.2 " + fault.Error() + " in a command: lines end in CR LF, closing")
		return nil, errClose
	case errors.Is(err, smtp.ErrLineTooLong):
		c.bad++
		c.say("500 5.5.2 line too long, closing")
		return nil, errClose
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, c.goodbye("421 4.4.2 " + c.cfg.Hostname + " no command for too long, closing")
	}
	return line, err
}

func (c *conn) sayClosing() error {
	return c.goodbye("421 4.3.2 " + c.cfg.Hostname + " closing down, try again later")
}

// goodbye says a last line to a client that is sending nothing.
func (c *conn) goodbye(line string) error {
	c.say(line)
	if err := c.flush(); err != nil {
		return err
	}
	return io.EOF
}

// startWaiting sets the deadline of a wait that Shutdown may interrupt. False
// means it already has.
func (c *conn) startWaiting(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return false
	}
	c.waiting = true
	_ = c.raw.SetReadDeadline(time.Now().Add(d))
	return true
}

// stopWaiting tells whether the wait was interrupted.
func (c *conn) stopWaiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	return c.interrupted
}

// Interrupt ends the connection at its next wait for a command, or the one it is in.
func (c *conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.waiting {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// linger sends what was said last and waits for the other side to close: a
// close with unread bytes would reset the connection and lose the reply. What
// still arrives is read as nothing.
func (c *conn) linger() {
	if c.flush() != nil {
		return
	}
	for _, nc := range []net.Conn{c.stream, c.raw} {
		if half, ok := nc.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // a dead connection shows at the read below
		}
	}
	buf := make([]byte, 16<<10)
	for end := time.Now().Add(lingers * c.cfg.Timeouts.Linger); time.Now().Before(end); {
		_ = c.raw.SetReadDeadline(time.Now().Add(c.cfg.Timeouts.Linger))
		if _, err := c.raw.Read(buf); err != nil {
			return
		}
	}
}

// handshake makes the connection speak TLS.
func (c *conn) handshake() error {
	if !c.startWaiting(c.cfg.Timeouts.Handshake) {
		return errClose
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.cfg.Timeouts.Handshake))
	t := tls.Server(c.raw, c.cfg.TLS)
	err := t.HandshakeContext(c.ctx)
	c.stopWaiting()
	if err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := t.ConnectionState()
	c.stream = t
	c.peer = &Peer{Addr: c.peer.Addr, TLS: &state}
	return nil
}

// handlerContext bounds one call of the handler.
func (c *conn) handlerContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.cfg.Timeouts.Handler)
}

func (c *conn) dropBody() {
	if c.body != nil {
		c.body.release()
		c.body = nil
	}
}
