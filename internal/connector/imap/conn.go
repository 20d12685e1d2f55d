// Package imapconn is the IMAP client towards a primary: Dovecot, Cyrus, Exchange and whatever else speaks RFC 3501 or 9051.
//
// A Conn has one goroutine that reads; every command waits for its own result,
// so that calls from several goroutines are pipelined. Only commands by UID are
// sent, since message numbers shift under commands in flight (RFC 9051 §5.5).
//
// What a server can't do is said as an *UnsupportedError and never imitated by
// something that may destroy: a plain EXPUNGE is never sent. A response that is
// not known is passed over; one that is known but malformed makes the commands
// in flight fail, since half an answer (a LIST without one folder) must not be
// taken for a whole one. Whatever else goes wrong closes the connection.
package imapconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"relais/internal/fault"
	"relais/internal/imap"
)

// TLSMode says how the connection is protected.
type TLSMode string

// The modes, spelled as the configuration does.
const (
	TLSNone     TLSMode = "none"
	TLSStart    TLSMode = "starttls" // required: no fallback to plain text
	TLSImplicit TLSMode = "tls"
)

// Config says how to reach a primary. Addr is required.
type Config struct {
	Addr string // host:port
	TLS  TLSMode
	// TLSConfig for starttls and tls. Nil: the system's roots and Addr's host.
	// A pin or trust on first use is a VerifyConnection hook with
	// InsecureSkipVerify; see Pin.
	TLSConfig *tls.Config
	// Dial opens the stream; nil is TCP with keep-alive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// DialTimeout bounds connecting, TLS and greeting together. Default 30 seconds.
	DialTimeout time.Duration
	// Timeout bounds the silence of the server while a command waits: nothing
	// sent, nothing taken. Default 3 minutes, since the first SELECT of a big
	// mailbox may be a long one.
	Timeout time.Duration
	// IdleFor is how long one IDLE lasts before it is issued again. Default 28
	// minutes: servers may hang up after 30 (RFC 9051 §6.3.13).
	IdleFor time.Duration
	// PollEvery is the period of NOOP in place of IDLE when that is not offered. Default 30 seconds.
	PollEvery time.Duration

	MaxLiteral  int64 // bytes of one literal from the server; default 200 MiB
	MaxUntagged int   // untagged responses until the commands in flight are done; default 5 million

	// Ignore names capabilities to treat as absent, for a server that has one but wrongly.
	Ignore []string

	Logger *slog.Logger // nil: none
}

func (cfg *Config) setDefaults() error {
	if cfg.Addr == "" {
		return fault.New(fault.Invalid, "the primary's IMAP address is missing")
	}
	switch cfg.TLS {
	case TLSNone, TLSStart, TLSImplicit:
	case "":
		cfg.TLS = TLSImplicit
	default:
		return fault.New(fault.Invalid, "TLS mode %q: want none, starttls or tls", cfg.TLS)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	for _, d := range []struct {
		field   *time.Duration
		initial time.Duration
	}{{&cfg.DialTimeout, 30 * time.Second}, {&cfg.Timeout, 3 * time.Minute}, {&cfg.IdleFor, 28 * time.Minute}, {&cfg.PollEvery, 30 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.initial
		}
	}
	if cfg.MaxUntagged == 0 {
		cfg.MaxUntagged = 5_000_000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("peer", cfg.Addr)
	return nil
}

// A Conn is a connection to a server. All methods are safe for concurrent use;
// those that change what the connection is about (Select, Idle, Unselect,
// SignIn) wait for the others to end and keep them out meanwhile.
type Conn struct {
	cfg    Config
	stream *timedConn
	log    *slog.Logger

	greeting imap.Status

	gate  *semaphore.Weighted // see enter
	write sync.Mutex          // the encoder: one command is written at a time
	enc   *imap.Encoder
	dec   *imap.Decoder // the reading goroutine's, and that of the handshake before it starts

	mu       sync.Mutex
	caps     imap.Caps
	enabled  imap.Caps
	pending  []*command // in the order sent
	lastTag  int
	untagged int
	handler  Handler
	selected string // mailbox, "" when none
	modseqs  bool   // it keeps mod-sequences
	space    *Namespace
	bye      *imap.Status
	err      error // why it ended
	oddities int

	news    chan struct{} // holds one signal: unilateral data came
	ended   chan struct{} // closed by fail
	reading chan struct{} // closed when the reading goroutine is gone
}

// Dial connects, waits for the greeting and, as cfg says, goes over to TLS.
// Ending ctx ends the attempt. Errors are fault.Unavailable, or fault.Denied for a certificate that is not trusted.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	raw, err := cfg.Dial(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the primary's IMAP server does not answer")
	}
	c := &Conn{
		cfg: cfg, log: cfg.Logger, gate: semaphore.NewWeighted(everyone), stream: &timedConn{Conn: raw, timeout: cfg.Timeout},
		enabled: imap.Caps{}, news: make(chan struct{}, 1), ended: make(chan struct{}), reading: make(chan struct{}),
	}
	c.dec = imap.NewDecoder(c.stream, imap.DecoderOptions{MaxLiteral: cfg.MaxLiteral})
	c.enc = imap.NewEncoder(c.stream, 32<<10)
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err = c.handshake(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if _, ok := errors.AsType[*fault.Error](err); ok {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.Unavailable, "the primary's IMAP server does not greet")
	}
	c.stream.wait(0)
	go c.read()
	return c, nil
}

// handshake is what happens before the reading goroutine: greeting and TLS.
func (c *Conn) handshake(ctx context.Context) error {
	c.stream.wait(c.cfg.DialTimeout)
	if c.cfg.TLS == TLSImplicit {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	c.dec.Tag()
	c.dec.SP()
	greeting := c.dec.Status(c.dec.Command())
	if err := c.dec.Err(); err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	if !imap.IsStatus(greeting.Word) {
		return errGreeting
	}
	c.greeting = greeting
	if greeting.Word != imap.OK && greeting.Word != imap.PreAuth {
		return &Error{Command: "greeting", Status: greeting}
	}
	if c.cfg.TLS == TLSStart {
		// With PREAUTH STARTTLS is no more allowed (RFC 9051 §7.1.4): the session would be in plain text.
		if greeting.Word == imap.PreAuth {
			return fault.New(fault.Denied, "the primary's IMAP server signs in before TLS")
		}
		if err := c.upgrade(ctx); err != nil {
			return err
		}
	} else if greeting.Code.Name == imap.CodeCapability {
		c.setCaps(greeting.Code.Words())
	}
	return nil
}

// upgrade sends STARTTLS (RFC 9051 §6.2.1).
func (c *Conn) upgrade(ctx context.Context) error {
	if err := c.enc.Raw("T0 STARTTLS").CRLF().Flush(); err != nil {
		return err
	}
	for {
		tag := c.dec.Tag()
		c.dec.SP()
		if tag == "*" { // a CAPABILITY or an alert: not to be trusted before TLS
			if err := c.dec.DiscardLine(); err != nil {
				return fmt.Errorf("STARTTLS: %w", err)
			}
			continue
		}
		status := c.dec.Status(c.dec.Command())
		if err := c.dec.Err(); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
		if status.Word != imap.OK {
			return fault.Wrap(&Error{Command: "STARTTLS", Status: status}, fault.Denied, "the primary's IMAP server refuses STARTTLS")
		}
		return c.startTLS(ctx)
	}
}

func (c *Conn) startTLS(ctx context.Context) error {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.cfg.TLSConfig != nil {
		cfg = c.cfg.TLSConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(c.cfg.Addr)
	}
	secure := tls.Client(c.stream.Conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		if isCertificateError(err) {
			return fault.Wrap(err, fault.Denied, "the primary's certificate is not trusted")
		}
		return fault.Wrap(err, fault.Unavailable, "TLS with the primary's IMAP server fails")
	}
	c.stream.Conn = secure
	if dropped := c.dec.Reset(c.stream); dropped > 0 {
		return fault.New(fault.Denied, "the primary's IMAP server sent plain text into the TLS handshake")
	}
	c.enc.Reset(c.stream)
	return nil
}

func (c *Conn) setCaps(names []string) {
	caps := imap.NewCaps(names...)
	for _, name := range c.cfg.Ignore {
		delete(caps, strings.ToUpper(name))
	}
	c.mu.Lock()
	c.caps = caps
	c.mu.Unlock()
}

// Has tells whether the server offers the capability (in upper case). After
// SignIn the set is complete.
func (c *Conn) Has(capability string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caps.Has(capability) && !slices.Contains(c.cfg.Ignore, capability)
}

// Enabled tells whether ENABLE switched the extension on.
func (c *Conn) Enabled(capability string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enabled.Has(capability)
}

// Greeting is how the server introduced itself.
func (c *Conn) Greeting() imap.Status { return c.greeting }

// Peer is the server's address as configured.
func (c *Conn) Peer() string { return c.cfg.Addr }

// TLSState is the state of TLS, nil without.
func (c *Conn) TLSState() *tls.ConnectionState {
	if t, ok := c.stream.Conn.(*tls.Conn); ok {
		s := t.ConnectionState()
		return &s
	}
	return nil
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.ended }

// Err is why the connection ended, nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection at once and waits until nothing of it runs any
// more. Not to be called from a callback.
func (c *Conn) Close() error {
	c.fail(errClosed)
	<-c.reading
	return nil
}

var errGreeting = fault.New(fault.Unavailable, "what answers at the primary's IMAP address does not speak IMAP")

var errClosed = fault.New(fault.Unavailable, "the connection to the primary is closed")

// fail ends the connection for a reason; the first one stays.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if c.bye != nil && !errors.Is(err, errClosed) {
		err = &Error{Command: "connection", Status: *c.bye}
	}
	if _, ok := errors.AsType[*fault.Error](err); !ok {
		err = fault.Wrap(err, fault.Unavailable, "the connection to the primary broke")
	}
	c.err = err
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	_ = c.stream.Close()
	close(c.ended)
	for _, cmd := range pending {
		cmd.finish(imap.Status{}, err)
	}
}

// News receives a signal when unilateral data about the selected mailbox came
// since the last signal was taken. One signal may stand for much.
func (c *Conn) News() <-chan struct{} { return c.news }

func (c *Conn) tellNews() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}
