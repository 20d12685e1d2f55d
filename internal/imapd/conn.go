package imapd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"relais/internal/admit"
	"relais/internal/directory"
	"relais/internal/imap"
)

// conn is one client. Its fields are the goroutine's that serves it, but for stream.
type conn struct {
	server *Server
	cfg    *Config
	log    *slog.Logger
	stream *stream
	dec    *imap.Decoder
	enc    *imap.Encoder

	guest *admit.Guest
	tls   bool
	bad   int

	person    directory.Person // zero before the sign-in
	box       *view            // the selected mailbox; nil if none
	condstore bool             // MODSEQ is told with every FETCH (RFC 7162 §3.1)
	qresync   bool             // VANISHED in place of EXPUNGE (RFC 7162 §3.2)
	leaving   bool
}

// request is a command as it is being read.
type request struct {
	tag, name string
	uid       bool // UID FETCH and its like: numbers are UIDs
}

func newConn(s *Server, guest *admit.Guest) *conn {
	c := &conn{server: s, cfg: &s.cfg, guest: guest, stream: &stream{nc: guest.Conn, idle: s.cfg.IdleTimeout, write: s.cfg.WriteTimeout}}
	c.stream.until = time.Now().Add(s.cfg.SignInTimeout)
	c.log = s.log.With("peer", guest.Addr)
	c.enc = imap.NewEncoder(c.stream, 0)
	c.dec = imap.NewDecoder(c.stream, imap.DecoderOptions{
		Server: true, MaxLiteral: s.cfg.MaxMessage,
		Continue: func(int64) error { return c.enc.Raw("+ go on\r\n").Flush() },
	})
	return c
}

// Interrupt ends the session after the command it is in.
func (c *conn) Interrupt() { c.stream.interrupt() }

// Serve leads the session to its end.
func (c *conn) Serve(ctx context.Context) {
	defer func() {
		if c.person.Account != 0 {
			c.server.farewell(c.person.Account)
		}
	}()
	defer c.stream.close()
	defer c.unselect()
	defer func() {
		// One client's command must not end the sessions of all others.
		if r := recover(); r != nil {
			c.log.Error("command panicked", "panic", r, "stack", string(debug.Stack()))
			c.enc.Raw("* BYE internal error\r\n").Flush()
		}
	}()
	if c.cfg.ImplicitTLS {
		if err := c.stream.startTLS(ctx, c.cfg.TLS, c.cfg.SignInTimeout); err != nil {
			c.log.Debug("TLS handshake failed", "err", err)
			return
		}
		c.tls = true
	}
	c.enc.Raw("* OK [CAPABILITY ").Raw(c.capabilities()).Raw("] ").Raw(c.cfg.Hostname).Raw(" Relais is ready\r\n").Flush()
	for !c.leaving {
		if c.stream.interrupted() {
			c.bye("the server is closing down")
			return
		}
		if err := c.command(ctx); err != nil {
			c.part(err)
			return
		}
	}
}

// part says why the connection ends, if there is somebody to hear it.
func (c *conn) part(err error) {
	switch {
	case c.leaving: // it was said
	case c.stream.interrupted():
		c.bye("the server is closing down")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.bye("nothing was heard for too long")
	default:
		if _, ok := errors.AsType[*imap.LimitError](err); ok {
			c.bye("too much at once")
		}
	}
}

func (c *conn) bye(text string) {
	c.enc.Status("*", imap.Status{Word: imap.Bye, Text: text}).Flush()
}

// command reads and carries out one command. An error ends the connection.
func (c *conn) command(ctx context.Context) error {
	r := &request{tag: c.dec.Tag()}
	if c.dec.Err() == nil {
		c.dec.SP()
		r.name = c.dec.Command()
	}
	status, err := c.run(ctx, r)
	if errors.Is(err, errAnswered) {
		return nil
	}
	if lost := c.dec.Err(); lost != nil && !isSyntax(lost) {
		return lost
	}
	if err != nil {
		status = c.statusOf(err)
	}
	if c.dec.Err() != nil {
		if lost := c.dec.DiscardLine(); lost != nil {
			_ = c.answer(r, status)
			return lost
		}
	}
	c.server.commands.Add(1)
	if err := c.answer(r, status); err != nil {
		return err
	}
	if status.Word == imap.Bad {
		c.bad++
	}
	if c.bad >= c.cfg.MaxBad && !c.leaving {
		c.bye("too many commands in error")
		c.leaving = true
	}
	return nil
}

var (
	errAnswered  = errors.New("the command is answered already")
	errHandshake = errors.New("TLS handshake failed")
)

// isSyntax tells whether only the command is lost, not the connection.
func isSyntax(err error) bool {
	_, syntax := errors.AsType[*imap.SyntaxError](err)
	_, limit := errors.AsType[*imap.LimitError](err)
	return syntax || limit
}

// answer ends the command. Answers to commands that were sent together leave together.
func (c *conn) answer(r *request, status imap.Status) error {
	tag := r.tag
	if tag == "" {
		tag = "*"
	}
	if status.Word == "" {
		status.Word = imap.OK
	}
	if status.Text == "" {
		status.Text = r.name + " completed"
	}
	c.enc.Status(tag, status)
	if c.dec.Buffered() > 0 && !c.leaving {
		return c.enc.Err()
	}
	return c.enc.Flush()
}

// run finds the command and carries it out.
func (c *conn) run(ctx context.Context, r *request) (imap.Status, error) {
	if err := c.dec.Err(); err != nil {
		return imap.Status{}, err
	}
	if r.name == "UID" {
		c.dec.SP()
		r.uid = true
		r.name = "UID " + c.dec.Command()
	}
	cmd, ok := commands[r.name]
	if !ok {
		c.dec.Want("a known command")
		return imap.Status{}, bad("unknown command")
	}
	if err := c.allowed(cmd.in); err != nil {
		c.dec.Want("another state")
		return imap.Status{}, err
	}
	status, err := cmd.run(c, ctx, r)
	if err == nil {
		err = c.dec.Err()
	}
	if c.box != nil && c.dec.Err() == nil && cmd.sync != never {
		if serr := c.sync(ctx, cmd.sync == full || r.uid); serr != nil && err == nil {
			err = serr
		}
	}
	return status, err
}

// end reads the end of the command's line: nothing may be done before it.
func (c *conn) end() error {
	c.dec.CRLF()
	return c.dec.Err()
}

// states in which a command is allowed (RFC 3501 §3).
type states int

const (
	anytime   states = iota
	stranger         // not authenticated
	signedIn         // authenticated or selected
	selected         // a mailbox is selected
	writeable        // and not by EXAMINE
)

func (c *conn) allowed(in states) error {
	switch {
	case in == stranger && c.person.ID != 0:
		return bad("already signed in")
	case in >= signedIn && c.person.ID == 0:
		return bad("sign in first")
	case in >= selected && c.box == nil:
		return bad("no mailbox is selected")
	case in == writeable && c.box.readOnly:
		return no("", "the mailbox is open for reading only")
	}
	return nil
}

// syncing says what of others' changes is told before a command's end: no
// EXPUNGE while message numbers are in play (RFC 3501 §7.4.1).
type syncing int

const (
	full syncing = iota
	noExpunge
	never
)

type command struct {
	in   states
	sync syncing
	run  func(c *conn, ctx context.Context, r *request) (imap.Status, error)
}

var commands = map[string]command{
	"CAPABILITY": {anytime, full, (*conn).capability}, "NOOP": {anytime, full, (*conn).noop},
	"LOGOUT": {anytime, never, (*conn).logout}, "ID": {anytime, full, (*conn).id},

	"STARTTLS": {stranger, never, (*conn).startTLS}, "LOGIN": {stranger, never, (*conn).login},
	"AUTHENTICATE": {stranger, never, (*conn).authenticate},

	"ENABLE": {signedIn, full, (*conn).enable}, "NAMESPACE": {signedIn, full, (*conn).namespace},
	"SELECT": {signedIn, never, (*conn).selectBox}, "EXAMINE": {signedIn, never, (*conn).selectBox},
	"CREATE": {signedIn, full, (*conn).create}, "DELETE": {signedIn, full, (*conn).remove}, "RENAME": {signedIn, full, (*conn).rename},
	"SUBSCRIBE": {signedIn, full, (*conn).subscribe}, "UNSUBSCRIBE": {signedIn, full, (*conn).subscribe},
	"LIST": {signedIn, full, (*conn).list}, "LSUB": {signedIn, full, (*conn).lsub}, "STATUS": {signedIn, full, (*conn).status},
	"APPEND": {signedIn, full, (*conn).append}, "IDLE": {signedIn, full, (*conn).idle},

	"CHECK": {selected, full, (*conn).noop}, "CLOSE": {selected, never, (*conn).closeBox}, "UNSELECT": {selected, never, (*conn).closeBox},
	"EXPUNGE": {writeable, full, (*conn).expunge}, "UID EXPUNGE": {writeable, full, (*conn).expunge},
	"FETCH": {selected, noExpunge, (*conn).fetch}, "UID FETCH": {selected, noExpunge, (*conn).fetch},
	"SEARCH": {selected, noExpunge, (*conn).search}, "UID SEARCH": {selected, noExpunge, (*conn).search},
	"STORE": {writeable, noExpunge, (*conn).store}, "UID STORE": {writeable, noExpunge, (*conn).store},
	"COPY": {selected, full, (*conn).copy}, "UID COPY": {selected, full, (*conn).copy},
	"MOVE": {writeable, full, (*conn).copy}, "UID MOVE": {writeable, full, (*conn).copy},
}
