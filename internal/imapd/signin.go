package imapd

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"relais/internal/fault"
	"relais/internal/imap"
)

// capabilities are those of the present state.
func (c *conn) capabilities() string {
	base := "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE"
	switch {
	case c.person.ID != 0:
		return base + " NAMESPACE UNSELECT UIDPLUS MOVE MULTIAPPEND CHILDREN CONDSTORE QRESYNC LIST-EXTENDED LIST-STATUS SPECIAL-USE" +
			" CREATE-SPECIAL-USE STATUS=SIZE ESEARCH WITHIN OBJECTID APPENDLIMIT=" + strconv.FormatInt(c.cfg.MaxMessage, 10)
	case c.mayAuthenticate() && !c.tls && c.cfg.TLS != nil:
		return base + " STARTTLS AUTH=PLAIN"
	case c.mayAuthenticate():
		return base + " AUTH=PLAIN"
	}
	return base + " STARTTLS LOGINDISABLED"
}

func (c *conn) mayAuthenticate() bool { return c.tls || c.cfg.PlaintextAuth }

func (c *conn) capability(_ context.Context, _ *request) (imap.Status, error) {
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	c.enc.Raw("* CAPABILITY ").Raw(c.capabilities()).CRLF()
	return imap.Status{}, nil
}

func (c *conn) noop(_ context.Context, _ *request) (imap.Status, error) {
	return imap.Status{}, c.end()
}

func (c *conn) logout(_ context.Context, _ *request) (imap.Status, error) {
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	c.enc.Raw("* BYE goodbye\r\n")
	c.leaving = true
	return imap.Status{}, nil
}

// id hears who the client is and says who we are (RFC 2971).
func (c *conn) id(_ context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	c.dec.NList(func() { c.dec.NString() })
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	c.enc.Raw("* ID (\"name\" \"Relais\")\r\n")
	return imap.Status{}, nil
}

func (c *conn) startTLS(ctx context.Context, r *request) (imap.Status, error) {
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if c.tls || c.cfg.TLS == nil {
		return imap.Status{}, bad("TLS is not offered here")
	}
	if c.dec.Buffered() > 0 {
		// What was sent before the handshake may be somebody else's (CVE-2011-0411).
		c.leaving = true
		return imap.Status{}, bad("wait for the answer to STARTTLS")
	}
	if err := c.enc.Status(r.tag, imap.Status{Word: imap.OK, Text: "begin TLS"}).Flush(); err != nil {
		return imap.Status{}, err
	}
	if err := c.stream.startTLS(ctx, c.cfg.TLS, c.cfg.SignInTimeout); err != nil {
		c.log.Debug("TLS handshake failed", "err", err)
		c.dec.Fail(errHandshake)
		return imap.Status{}, errHandshake
	}
	c.tls = true
	c.dec.Reset(c.stream)
	return imap.Status{}, errAnswered
}

func (c *conn) login(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	user := c.dec.AString()
	c.dec.SP()
	password := c.dec.AString()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if !c.mayAuthenticate() {
		return imap.Status{}, no(imap.CodePrivacyRequired, "sign-in needs TLS")
	}
	return c.signIn(ctx, user, password)
}

// authenticate speaks SASL PLAIN, with or without initial response (RFC 4959).
func (c *conn) authenticate(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	mechanism := c.dec.Command()
	var response string
	initial := c.dec.Accept(' ')
	if initial {
		response = c.dec.Text()
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if mechanism != "PLAIN" {
		return imap.Status{}, no(imap.CodeCannot, "AUTH=PLAIN is what is spoken here")
	}
	if !c.mayAuthenticate() {
		return imap.Status{}, no(imap.CodePrivacyRequired, "sign-in needs TLS")
	}
	if !initial {
		c.enc.Raw("+ \r\n").Flush()
		response = c.dec.Text()
		if err := c.end(); err != nil {
			return imap.Status{}, err
		}
	}
	if response == "*" {
		return imap.Status{}, bad("given up")
	}
	if response == "=" {
		response = ""
	}
	raw, err := base64.StdEncoding.DecodeString(response)
	parts := strings.Split(string(raw), "\x00")
	if err != nil || len(parts) != 3 {
		return imap.Status{}, bad("that is no PLAIN response")
	}
	user := parts[1]
	if parts[0] != "" && !strings.EqualFold(parts[0], user) {
		// To act as another is a master's sign-in, which the authenticator knows by this form.
		user = parts[0] + "*" + user
	}
	return c.signIn(ctx, user, parts[2])
}

func (c *conn) signIn(ctx context.Context, user, password string) (imap.Status, error) {
	failures := c.cfg.Failures
	if !c.guest.Exempt && failures.Blocked(c.guest.Source, user) {
		c.bad++
		c.log.Warn("sign-in not tried after too many failures")
		return imap.Status{}, no(imap.CodeThrottled, "too many failed sign-ins, try again in ten minutes")
	}
	person, err := c.server.auth.Verify(ctx, user, password, c.guest.Addr.String())
	if err != nil {
		if fault.Is(err, fault.Unauthenticated) {
			c.bad++
			if !c.guest.Exempt {
				failures.Failed(c.guest.Source, user)
			}
		}
		return imap.Status{}, err
	}
	failures.Succeeded(c.guest.Source, user)
	if !c.server.welcome(c, person.Account) {
		return imap.Status{}, no(imap.CodeLimit, "too many connections of this user")
	}
	c.person = person
	c.log = c.log.With("account", person.Account)
	c.stream.signedIn()
	return imap.Status{Code: imap.MakeCode(imap.CodeCapability, c.capabilities()), Text: "welcome"}, nil
}

// enable switches on what changes the server's answers (RFC 5161).
func (c *conn) enable(_ context.Context, _ *request) (imap.Status, error) {
	var names []string
	for c.dec.Accept(' ') {
		names = append(names, c.dec.Command())
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if names == nil {
		return imap.Status{}, bad("ENABLE needs a name")
	}
	c.enc.Raw("* ENABLED")
	for _, n := range names {
		switch n {
		case imap.CapCondStore:
			c.condstore = true
		case imap.CapQResync:
			c.condstore, c.qresync = true, true
		default:
			continue
		}
		c.enc.SP().Raw(n)
	}
	c.enc.CRLF()
	return imap.Status{}, nil
}

// namespace tells that all mailboxes are the person's own (RFC 2342).
func (c *conn) namespace(_ context.Context, _ *request) (imap.Status, error) {
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	c.enc.Raw("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
	return imap.Status{}, nil
}
