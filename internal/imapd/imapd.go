// Package imapd is the IMAP door: people read and arrange their mail here with any client.
//
// It speaks IMAP4rev1 (RFC 3501) over internal/imap with LITERAL+ (RFC 7888),
// SASL-IR (RFC 4959), AUTH=PLAIN (RFC 4616), STARTTLS, ID (RFC 2971), ENABLE
// (RFC 5161), IDLE (RFC 2177), NAMESPACE (RFC 2342), UNSELECT (RFC 3691), UIDPLUS
// (RFC 4315), MOVE (RFC 6851), MULTIAPPEND (RFC 3502), CONDSTORE and QRESYNC (RFC
// 7162), LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE and
// CREATE-SPECIAL-USE (RFC 6154), CHILDREN (RFC 3348), STATUS=SIZE (RFC 8438),
// ESEARCH (RFC 4731), WITHIN (RFC 5032), OBJECTID (RFC 8474) and APPENDLIMIT (RFC
// 7889). Where the standards leave a choice, and over broken mail, it answers as
// Dovecot 2.3 does; docs/imap-differences.md lists where not, and why.
//
// One command, one file. A session holds of its mailbox only the UIDs in order;
// all else is read from the record when asked, and what others changed since is
// found by modification sequence.
package imapd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"relais/internal/admit"
	"relais/internal/clock"
	"relais/internal/directory"
)

// Authenticator checks sign-ins by full address; fault.Unauthenticated if name or password is wrong.
type Authenticator interface {
	Verify(ctx context.Context, email, password, peer string) (directory.Person, error)
}

// Config says how the door behaves. The zero value of a field takes the default named beside it.
type Config struct {
	Hostname      string      // what the greeting says; required
	TLS           *tls.Config // nil: no TLS is offered
	ImplicitTLS   bool        // TLS from the first byte; else STARTTLS
	PlaintextAuth bool        // sign-in without TLS: for loopback only

	MaxMessage     int64 // bytes of a message appended; 50 MiB
	MaxConnections int   // at once, in all; 10,000
	MaxPerUser     int   // at once, signed in; 50
	MaxPerIP       int   // at once, not signed in yet, per IPv4 address or IPv6 /64; 50
	MaxBad         int   // commands in error before the connection is closed; 50

	Exempt   []netip.Prefix  // no bounds per address and of failed sign-ins for these
	Memory   *admit.Memory   // bound on messages held at once; 512 MiB for this server alone
	Failures *admit.Failures // bound on failed sign-ins; one for this server alone

	SignInTimeout time.Duration // from the greeting to the sign-in; 60 s
	IdleTimeout   time.Duration // for the next bytes of a client (RFC 3501 §5.4 asks for 30 min); 31 min
	WriteTimeout  time.Duration // for a client to take an answer; 2 min

	Clock clock.Clock  // the system's
	Log   *slog.Logger // none
}

func (c *Config) setDefaults() {
	c.MaxMessage = cmp.Or(c.MaxMessage, 50<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, 10_000)
	c.MaxPerUser = cmp.Or(c.MaxPerUser, 50)
	c.MaxPerIP = cmp.Or(c.MaxPerIP, 50)
	c.MaxBad = cmp.Or(c.MaxBad, 50)
	c.SignInTimeout = cmp.Or(c.SignInTimeout, time.Minute)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 31*time.Minute)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 2*time.Minute)
	c.Clock = cmp.Or[clock.Clock](c.Clock, clock.System{})
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Memory == nil {
		c.Memory = admit.NewMemory(max(512<<20, 3*c.MaxMessage), 10*time.Second)
	}
	if c.Failures == nil {
		c.Failures = admit.NewFailures(c.Clock)
	}
}

func (c *Config) validate() error {
	switch {
	case c.Hostname == "":
		return errors.New("imapd: a host name is needed")
	case c.ImplicitTLS && c.TLS == nil:
		return errors.New("imapd: implicit TLS needs a certificate")
	case c.TLS == nil && !c.PlaintextAuth:
		return errors.New("imapd: a certificate is needed, or sign-in in plaintext allowed")
	}
	return nil
}
