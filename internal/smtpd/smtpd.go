// Package smtpd is the SMTP door: the listener that takes mail from the world (MX) and the one that takes it from people (submission).
//
// It speaks RFC 5321 with STARTTLS (RFC 3207), SIZE (RFC 1870), 8BITMIME (RFC
// 6152), SMTPUTF8 (RFC 6531), PIPELINING (RFC 2920), ENHANCEDSTATUSCODES (RFC
// 2034) and CHUNKING (RFC 3030), and on submission (RFC 6409, RFC 8314) with
// AUTH PLAIN and LOGIN (RFC 4954). What is said and done about a message is the
// Handler's; the door holds the dialogue and its bounds, and adds nothing to
// the message.
package smtpd

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"relais/internal/admit"
	"relais/internal/clock"
)

// Mode is whom a listener serves.
type Mode int

// The modes.
const (
	MX         Mode = iota // anyone, for recipients here; no sign-in
	Submission             // people of ours, who sign in first
)

// Config says how a listener behaves. The zero value of a field takes the default named beside it.
type Config struct {
	Hostname string // what greeting and EHLO say; required
	Mode     Mode

	TLS           *tls.Config // nil: no TLS is offered
	ImplicitTLS   bool        // TLS from the first byte (RFC 8314 §3.3); else STARTTLS
	PlaintextAuth bool        // sign-in without TLS: for loopback only

	MaxSize       int64 // bytes of a message; 50 MiB
	MaxRecipients int   // of a message; 1000 (RFC 5321 §4.5.3.1.8 asks for 100)
	MaxBad        int   // commands in error before the connection is closed; 20
	MaxIdle       int   // commands between two messages that lead to none (NOOP, RSET …); 1000
	MaxRefused    int   // recipients refused for good on a connection; 500

	MaxConnections int            // at once, in all; 1000
	MaxPerIP       int            // at once, per IPv4 address or IPv6 /64; 50
	Exempt         []netip.Prefix // no bound per address, of refused recipients and of failed sign-ins for these

	Memory   *admit.Memory   // bound on message bodies held at once; 512 MiB for this server alone
	Failures *admit.Failures // bound on failed sign-ins; one for this server alone

	Timeouts Timeouts
	Clock    clock.Clock  // the system's
	Log      *slog.Logger // none
}

// Timeouts bound each wait. The defaults follow RFC 5321 §4.5.3.2.
type Timeouts struct {
	Command   time.Duration // for a command line; 5 min
	Handshake time.Duration // for TLS; 30 s
	Block     time.Duration // for the next bytes of a message; 3 min
	Message   time.Duration // for a whole message; 1 h
	Reply     time.Duration // for a reply to be taken; 1 min
	Handler   time.Duration // for one call of the handler: clients wait 5 to 10 min; 4 min
	Linger    time.Duration // for more bytes, or the end, after a last reply; 5 s (and 12 times that in all)
}

func (c *Config) setDefaults() {
	c.MaxSize = cmp.Or(c.MaxSize, 50<<20)
	c.MaxRecipients = cmp.Or(c.MaxRecipients, 1000)
	c.MaxBad = cmp.Or(c.MaxBad, 20)
	c.MaxIdle = cmp.Or(c.MaxIdle, 1000)
	c.MaxRefused = cmp.Or(c.MaxRefused, 500)
	c.MaxConnections = cmp.Or(c.MaxConnections, 1000)
	c.MaxPerIP = cmp.Or(c.MaxPerIP, 50)
	c.Timeouts.Command = cmp.Or(c.Timeouts.Command, 5*time.Minute)
	c.Timeouts.Handshake = cmp.Or(c.Timeouts.Handshake, 30*time.Second)
	c.Timeouts.Block = cmp.Or(c.Timeouts.Block, 3*time.Minute)
	c.Timeouts.Message = cmp.Or(c.Timeouts.Message, time.Hour)
	c.Timeouts.Reply = cmp.Or(c.Timeouts.Reply, time.Minute)
	c.Timeouts.Handler = cmp.Or(c.Timeouts.Handler, 4*time.Minute)
	c.Timeouts.Linger = cmp.Or(c.Timeouts.Linger, 5*time.Second)
	c.Clock = cmp.Or[clock.Clock](c.Clock, clock.System{})
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Memory == nil {
		c.Memory = admit.NewMemory(max(512<<20, 3*c.MaxSize), 10*time.Second)
	}
	if c.Failures == nil {
		c.Failures = admit.NewFailures(c.Clock)
	}
}

func (c *Config) validate() error {
	switch {
	case c.Hostname == "":
		return errors.New("smtpd: a host name is needed")
	case c.ImplicitTLS && c.TLS == nil:
		return errors.New("smtpd: implicit TLS needs a certificate")
	case c.Mode == Submission && c.TLS == nil && !c.PlaintextAuth:
		return errors.New("smtpd: submission needs a certificate, or sign-in in plaintext allowed")
	case c.Memory.Limit() < 2*(c.MaxSize+2*spare):
		return errors.New("smtpd: the memory for messages must hold the largest one twice, while it is moved")
	}
	return nil
}
