// Package smtpclient is the client's side of one SMTP connection: outgoing mail, the relay to a primary and the probes speak through it.
//
// RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 8314 (implicit TLS), RFC 2920
// (PIPELINING), RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8).
//
// It keeps every reply as the server said it, and tells when the final dot was
// sent and no answer came (RFC 1047): the message may have arrived then.
package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"relais/internal/smtp"
)

// Security says when a connection is encrypted.
type Security string

// The ways.
const (
	Plain         Security = "none"
	Opportunistic Security = "opportunistic" // STARTTLS if offered and working, else in the clear
	StartTLS      Security = "starttls"      // STARTTLS or nothing
	TLS           Security = "tls"           // from the first byte
)

// Config says how to connect. Hello is required, the rest has defaults.
type Config struct {
	Hello    string   // our name for EHLO
	Security Security // Plain when empty
	// TLS verifies the server as crypto/tls does: roots and ServerName, or a pin
	// or trust on first use in VerifyConnection. Opportunistic encryption verifies
	// nothing, since it would fall back to no encryption at all (RFC 7435).
	TLS *tls.Config

	ConnectTimeout time.Duration // of the TCP connection and of the TLS handshake; 30 s
	CommandTimeout time.Duration // of the greeting and of each reply; 5 min (RFC 5321 §4.5.3.2)
	DataTimeout    time.Duration // of sending each 64 KiB; 3 min
	FinalTimeout   time.Duration // of the reply to the final dot; 10 min

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // a net.Dialer's
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&c.ConnectTimeout, 30 * time.Second}, {&c.CommandTimeout, 5 * time.Minute},
		{&c.DataTimeout, 3 * time.Minute}, {&c.FinalTimeout, 10 * time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if c.Security == "" {
		c.Security = Plain
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}

// Error is a dialogue that ended before its time. Reply is set when the server
// refused, nil when the connection failed.
type Error struct {
	Stage string // "connect", "greeting", "EHLO", "STARTTLS", "TLS handshake", "MAIL", "RCPT", "DATA", "message", "final dot"
	Reply *smtp.Reply
	Err   error
}

// Error names the stage and the server's words or what happened to the connection.
func (e *Error) Error() string {
	if e.Reply != nil {
		return e.Stage + ": " + e.Reply.Error()
	}
	return e.Stage + ": " + e.Err.Error()
}

// Unwrap gives what happened to the connection.
func (e *Error) Unwrap() error { return e.Err }

// Client is one connection. It is for one goroutine. Once a method has failed
// with an *Error of a connection, only Close is of use.
type Client struct {
	Greeting   *smtp.Reply // the server's first words
	TLSFailure error       // why an Opportunistic connection is in the clear although TLS was offered
	config     Config
	address    string
	conn       net.Conn
	reader     *smtp.Reader
	writer     *bufio.Writer
	extensions map[string]string // keyword in capitals, parameters
	unfinished bool              // a transaction was begun and not ended: RSET first
	running    context.Context   // of the running method
	unwatch    func() bool       // takes back the watch on it
}

const writeBuffer = 16 << 10

// Dial connects to address (HOST:PORT), reads the greeting, says EHLO and
// encrypts as config wants. ctx bounds the dialing only; every method has its own.
// Errors are *Error.
func Dial(ctx context.Context, address string, config Config) (*Client, error) {
	config = config.withDefaults()
	c, err := dial(ctx, address, config)
	failed, ok := errors.AsType[*Error](err)
	if !ok || config.Security != Opportunistic || failed.Stage != stageHandshake || ctx.Err() != nil {
		return c, err
	}
	// RFC 7435: a handshake that fails must not hold up mail that would have gone in the clear.
	config.Security = Plain
	c, err = dial(ctx, address, config)
	if err == nil {
		c.TLSFailure = failed
	}
	return c, err
}

func dial(ctx context.Context, address string, config Config) (*Client, error) {
	dialing, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	conn, err := config.Dial(dialing, "tcp", address)
	if err != nil {
		return nil, &Error{Stage: "connect", Err: err}
	}
	c := &Client{config: config, address: address}
	c.use(conn)
	defer c.watch(ctx)()
	if err := c.open(ctx); err != nil {
		c.conn.Close()
		return nil, err
	}
	return c, nil
}

// open is the dialogue up to the last EHLO.
func (c *Client) open(ctx context.Context) error {
	if c.config.Security == TLS {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	greeting, err := c.reply("greeting", c.config.CommandTimeout)
	if err != nil {
		return err
	}
	if c.Greeting = greeting; greeting.Code != 220 {
		return &Error{Stage: "greeting", Reply: greeting}
	}
	if err := c.hello(); err != nil {
		return err
	}
	_, offered := c.Extension("STARTTLS")
	switch {
	case c.config.Security == StartTLS && !offered:
		return &Error{Stage: "STARTTLS", Err: errors.New("the server does not offer it")}
	case c.config.Security == Opportunistic && offered, c.config.Security == StartTLS:
	default:
		return nil
	}
	answer, err := c.command("STARTTLS")
	if err != nil {
		return err
	}
	if answer.Code != 220 {
		if c.config.Security == StartTLS {
			return &Error{Stage: "STARTTLS", Reply: answer}
		}
		c.TLSFailure = &Error{Stage: "STARTTLS", Reply: answer}
		return nil
	}
	if c.reader.Buffered() > 0 { // plaintext behind the reply is an injection (CVE-2011-0411)
		return &Error{Stage: stageHandshake, Err: errors.New("the server sent plaintext after its reply to STARTTLS")}
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello()
}

const stageHandshake = "TLS handshake"

// handshake goes over to TLS.
func (c *Client) handshake(ctx context.Context) error {
	config := c.config.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(c.address)
	}
	if c.config.Security == Opportunistic {
		config.InsecureSkipVerify = true
	}
	shaking, cancel := context.WithTimeout(ctx, c.config.ConnectTimeout)
	defer cancel()
	secure := tls.Client(c.conn, config)
	if err := secure.HandshakeContext(shaking); err != nil {
		return &Error{Stage: stageHandshake, Err: err}
	}
	c.unwatch()
	c.use(secure)
	c.watch(ctx)
	return nil
}

// hello says EHLO, or HELO to a server that does not know it (RFC 5321 §3.2).
func (c *Client) hello() error {
	c.extensions = map[string]string{}
	answer, err := c.command("EHLO " + c.config.Hello)
	if err != nil {
		return err
	}
	if answer.Code >= 500 {
		if answer, err = c.command("HELO " + c.config.Hello); err != nil {
			return err
		}
	}
	if answer.Code != 250 {
		return &Error{Stage: "EHLO", Reply: answer}
	}
	for _, line := range answer.Lines[1:] {
		keyword, params, _ := strings.Cut(line, " ")
		c.extensions[strings.ToUpper(keyword)] = params
	}
	return nil
}

// Extension tells whether the server offers the extension, and with which parameters.
func (c *Client) Extension(keyword string) (params string, ok bool) {
	params, ok = c.extensions[keyword]
	return params, ok
}

// MaxSize is the largest message that the server says it takes, in bytes; 0 when it does not say.
func (c *Client) MaxSize() int64 {
	params, _ := c.Extension("SIZE")
	n, err := strconv.ParseInt(params, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// TLSState is the state of the encryption; nil in the clear.
func (c *Client) TLSState() *tls.ConnectionState {
	secure, ok := c.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := secure.ConnectionState()
	return &state
}

// Quit ends the session and closes the connection. The server's farewell is
// waited for a second at most: nothing hangs on it.
func (c *Client) Quit() {
	_ = c.conn.SetDeadline(time.Now().Add(time.Second))
	c.writer.WriteString("QUIT\r\n")
	if c.writer.Flush() == nil {
		_, _ = smtp.ReadReply(c.reader)
	}
	c.conn.Close()
}

// Close drops the connection without a word.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) use(conn net.Conn) {
	c.conn = conn
	c.reader = smtp.NewReader(conn)
	c.writer = bufio.NewWriterSize(conn, writeBuffer)
}

// watch interrupts reads and writes when ctx ends; the returned function ends the watch.
func (c *Client) watch(ctx context.Context) func() bool {
	conn := c.conn
	c.running = ctx
	c.unwatch = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() bool { return c.unwatch() }
}

// within sets a deadline, unless the context has ended: its end must not be
// overwritten by a deadline that is set just after it.
func (c *Client) within(set func(time.Time) error, timeout time.Duration) error {
	if err := set(time.Now().Add(timeout)); err != nil {
		return err
	}
	return c.running.Err()
}

// command sends one line and reads the reply. The stage is the command's first word.
func (c *Client) command(line string) (*smtp.Reply, error) {
	stage, _, _ := strings.Cut(line, " ")
	c.writer.WriteString(line)
	c.writer.WriteString("\r\n")
	if err := c.flush(stage); err != nil {
		return nil, err
	}
	return c.reply(stage, c.config.CommandTimeout)
}

func (c *Client) flush(stage string) error {
	err := c.within(c.conn.SetWriteDeadline, c.config.CommandTimeout)
	if err == nil {
		err = c.writer.Flush()
	}
	if err != nil {
		return &Error{Stage: stage, Err: err}
	}
	return nil
}

func (c *Client) reply(stage string, timeout time.Duration) (*smtp.Reply, error) {
	if err := c.within(c.conn.SetReadDeadline, timeout); err != nil {
		return nil, &Error{Stage: stage, Err: err}
	}
	answer, err := smtp.ReadReply(c.reader)
	if err != nil {
		return nil, &Error{Stage: stage, Err: err}
	}
	return answer, nil
}

// Ask finds out whether the server would take mail from one address for
// another: MAIL, RCPT, RSET. The answer is the reply to RCPT, or to MAIL when
// that is refused.
func (c *Client) Ask(ctx context.Context, m Message) (*smtp.Reply, error) {
	defer c.watch(ctx)()
	if err := c.reset(); err != nil {
		return nil, err
	}
	c.unfinished = true
	from, utf8, fail := c.sender(m)
	if fail != nil {
		return fail, nil
	}
	answer, err := c.command("MAIL FROM:<" + from + ">" + utf8)
	if err != nil || !answer.Positive() {
		return answer, err
	}
	to, fail := c.recipient(m.To[0], utf8 != "")
	if fail != nil {
		return fail, nil
	}
	answer, err = c.command("RCPT TO:<" + to + ">")
	if err != nil {
		return nil, err
	}
	return answer, c.reset()
}

// reset ends a transaction that was begun.
func (c *Client) reset() error {
	if !c.unfinished {
		return nil
	}
	answer, err := c.command("RSET")
	if err == nil && !answer.Positive() {
		err = &Error{Stage: "RSET", Reply: answer}
	}
	c.unfinished = err != nil
	return err
}

// local is a refusal that we know without asking, in the form of a server's.
func local(code int, enhanced, format string, args ...any) *smtp.Reply {
	return smtp.NewReply(code, enhanced, "%s", fmt.Sprintf(format, args...))
}
