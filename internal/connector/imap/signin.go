package imapconn

import (
	"context"
	"encoding/base64"
	"strings"

	"relais/internal/fault"
	"relais/internal/imap"
)

// Credentials sign in to one account.
type Credentials struct {
	Login  string // of the account
	Secret string // password, of Master if that is set
	Token  string // OAuth 2.0 access token, instead of Secret: XOAUTH2

	// Master signs in to Login's account with its own Secret: as
	// "login*master" (Dovecot, Cyrus with a separator), or with MasterAuthzid
	// as PLAIN's authentication identity (RFC 4616).
	Master        string
	MasterAuthzid bool
	Separator     string // between login and master; default "*"
}

// user is the name that signs in.
func (k *Credentials) user() string {
	if k.Master == "" || k.MasterAuthzid {
		return k.Login
	}
	separator := k.Separator
	if separator == "" {
		separator = "*"
	}
	return k.Login + separator + k.Master
}

// SignIn authenticates by the best way that the server offers, reads the
// capabilities and enables QRESYNC or CONDSTORE. A wrong secret is
// fault.Unauthenticated.
func (c *Conn) SignIn(ctx context.Context, k Credentials) error {
	if strings.ContainsAny(k.Login+k.Master+k.Secret+k.Token, "\x00") {
		return fault.New(fault.Invalid, "a NUL in credentials")
	}
	c.mu.Lock()
	known := c.caps != nil
	c.mu.Unlock()
	if !known {
		if _, err := c.exec(ctx, &command{name: "CAPABILITY"}, nil); err != nil {
			return err
		}
	}
	status, err := c.authenticate(ctx, k)
	if err != nil {
		return err
	}
	if status.Code.Name != imap.CodeCapability {
		if _, err := c.exec(ctx, &command{name: "CAPABILITY"}, nil); err != nil {
			return err
		}
	}
	return c.enable(ctx)
}

func (c *Conn) authenticate(ctx context.Context, k Credentials) (imap.Status, error) {
	switch {
	case k.Token != "":
		return c.sasl(ctx, "XOAUTH2", "user="+k.Login+"\x01auth=Bearer "+k.Token+"\x01\x01")
	case k.Master != "" && k.MasterAuthzid:
		return c.sasl(ctx, "PLAIN", k.Login+"\x00"+k.Master+"\x00"+k.Secret)
	case c.Has(imap.CapAuthPlain):
		return c.sasl(ctx, "PLAIN", "\x00"+k.user()+"\x00"+k.Secret)
	case c.Has(imap.CapLoginDisabled):
		return imap.Status{}, fault.New(fault.Denied, "the primary's IMAP server takes no password without TLS")
	}
	return c.exec(ctx, &command{name: "LOGIN", exclusive: true}, func(e *imap.Encoder) {
		e.SP().String(k.user()).SP().String(k.Secret)
	})
}

// sasl runs AUTHENTICATE with a mechanism of one message (RFC 9051 §6.2.2).
func (c *Conn) sasl(ctx context.Context, mechanism, message string) (imap.Status, error) {
	response := base64.StdEncoding.EncodeToString([]byte(message))
	initial := c.Has(imap.CapSASLIR)
	cmd := &command{name: "AUTHENTICATE", exclusive: true, more: make(chan string, 1)}
	cl := c.start(ctx, cmd, func(e *imap.Encoder) {
		e.SP().Raw(mechanism)
		if initial {
			e.SP().Raw(response)
		}
	})
	said := initial
	for {
		select {
		case <-cmd.more:
			// A challenge after our message tells an error (XOAUTH2's JSON); the empty answer brings the NO.
			if said {
				response = ""
			}
			said = true
			c.line(response)
		case <-cmd.done:
			return cl.wait()
		}
	}
}

// enable switches on what makes the answers richer: QRESYNC (VANISHED with
// UIDs in place of EXPUNGE), or at least CONDSTORE.
func (c *Conn) enable(ctx context.Context) error {
	if !c.Has(imap.CapEnable) {
		return nil
	}
	want := ""
	switch {
	case c.Has(imap.CapQResync):
		want = imap.CapQResync
	case c.Has(imap.CapCondStore):
		want = imap.CapCondStore
	default:
		return nil
	}
	_, err := c.exec(ctx, &command{name: "ENABLE"}, func(e *imap.Encoder) { e.SP().Raw(want) })
	if fault.Is(err, fault.Unavailable) {
		return err
	}
	return nil // a server that refuses is used without
}

// Noop lets the server tell its news.
func (c *Conn) Noop(ctx context.Context) error {
	_, err := c.exec(ctx, &command{name: "NOOP"}, nil)
	return err
}

// Logout says goodbye and closes.
func (c *Conn) Logout(ctx context.Context) error {
	_, err := c.exec(ctx, &command{name: "LOGOUT", exclusive: true}, nil)
	_ = c.Close()
	return err
}
