package smtpd

import (
	"strconv"

	"relais/internal/smtp"
)

// command obeys one command line. An error ends the connection.
func (c *conn) command(line []byte) error {
	cmd, err := smtp.ParseCommand(line)
	if err != nil {
		c.refuse(err)
		return nil
	}
	if cmd.Verb != smtp.Rcpt && cmd.Verb != smtp.Bdat {
		c.idle++ // until a message was taken
	}
	switch cmd.Verb {
	case smtp.Ehlo, smtp.Helo:
		c.hello(cmd)
	case smtp.Mail:
		c.mail(cmd.Args)
	case smtp.Rcpt:
		c.rcpt(cmd.Args)
	case smtp.Data:
		return c.data(cmd.Args)
	case smtp.Bdat:
		return c.bdat(cmd.Args)
	case smtp.Auth:
		return c.auth(cmd.Args)
	case smtp.StartTLS:
		return c.startTLS(cmd.Args)
	case smtp.Rset:
		c.reset()
		c.say("250 2.0.0 forgotten")
	case smtp.Noop:
		c.say("250 2.0.0 here")
	case smtp.Vrfy:
		c.say("252 2.5.0 not told: send mail and see")
	case smtp.Expn:
		c.sayBad("502 5.5.1 not offered")
	case smtp.Help:
		c.say("214 2.0.0 see RFC 5321")
	case smtp.Quit:
		return c.goodbye("221 2.0.0 " + c.cfg.Hostname + " goodbye")
	}
	return nil
}

// hello is EHLO and HELO: RFC 5321 §4.1.1.1. Both forget a transaction.
func (c *conn) hello(cmd smtp.Command) {
	name, ok := heloName(cmd.Args)
	if !ok {
		c.sayBad("501 5.5.4 want " + string(cmd.Verb) + " and your host name")
		return
	}
	c.reset()
	peer := *c.peer
	peer.Helo, peer.ESMTP = name, cmd.Verb == smtp.Ehlo
	c.peer = &peer
	if !peer.ESMTP {
		c.say("250 " + c.cfg.Hostname)
		return
	}
	c.say("250-" + c.cfg.Hostname)
	if c.canStartTLS() {
		c.say("250-STARTTLS")
	}
	if c.cfg.Mode == Submission && c.mayAuthHere() {
		c.say("250-AUTH PLAIN LOGIN")
	}
	c.say("250-SIZE " + strconv.FormatInt(c.cfg.MaxSize, 10))
	for _, word := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING"} {
		c.say("250-" + word)
	}
	c.say("250 ENHANCEDSTATUSCODES")
}

// heloName takes what prints and has no space. Many real clients say names that
// are none; what it is worth is for others to judge.
func heloName(s string) (string, bool) {
	if s == "" || len(s) > 255 {
		return "", false
	}
	for _, b := range []byte(s) {
		if b <= ' ' || b == 0x7f {
			return "", false
		}
	}
	return s, true
}

func (c *conn) canStartTLS() bool { return c.cfg.TLS != nil && c.peer.TLS == nil }

// mayAuthHere tells whether a password may be said on this connection.
func (c *conn) mayAuthHere() bool { return c.peer.TLS != nil || c.cfg.PlaintextAuth }

// startTLS is RFC 3207. What came in plaintext after the command is dropped, and
// what was said before it forgotten: an attacker may have put both there.
func (c *conn) startTLS(args string) error {
	switch {
	case c.cfg.TLS == nil:
		c.sayBad("502 5.5.1 TLS is not offered")
		return nil
	case c.peer.TLS != nil:
		c.sayBad("503 5.5.1 TLS is on already")
		return nil
	case args != "":
		c.sayBad("501 5.5.4 STARTTLS takes no argument")
		return nil
	}
	c.reset()
	c.say("220 2.0.0 go ahead")
	if err := c.flush(); err != nil {
		return err
	}
	c.reader.Reset()
	return c.handshake()
}

// ahead tells whether the client sent more after a command whose reply it has
// to wait for (RFC 2920 §3.1). The bytes may be meant as a message or as an
// answer: reading them as commands is how mail and commands are smuggled.
func (c *conn) ahead() bool {
	if c.reader.Buffered() == 0 {
		return false
	}
	c.bad++
	c.say("503 5.5.0 you did not wait for the reply, closing")
	return true
}
