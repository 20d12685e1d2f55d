package smtpd

import (
	"errors"
	"strings"

	"relais/internal/fault"
	"relais/internal/smtp"
)

// The challenges of LOGIN, "Username:" and "Password:" in base64.
const (
	askUsername = "334 VXNlcm5hbWU6"
	askPassword = "334 UGFzc3dvcmQ6" //nolint:gosec // a question, no password
)

// auth is AUTH: RFC 4954 §4.
func (c *conn) auth(args string) error {
	if c.ahead() {
		return errClose
	}
	switch {
	case c.cfg.Mode != Submission:
		c.sayBad("502 5.5.1 no sign-in here: use the submission port")
		return nil
	case !c.peer.ESMTP:
		c.sayBad("503 5.5.1 EHLO first")
		return nil
	case !c.mayAuthHere():
		c.sayBad("538 5.7.11 STARTTLS first: no password in plaintext")
		return nil
	case c.peer.Session != nil:
		c.sayBad("503 5.5.1 signed in already")
		return nil
	case c.tx != nil:
		c.sayBad("503 5.5.1 a message is under way: RSET forgets it")
		return nil
	}
	mechanism, initial, given := strings.Cut(args, " ")
	var (
		credentials smtp.Credentials
		err         error
	)
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		credentials, err = c.authPlain(initial, given)
	case "LOGIN":
		credentials, err = c.authLogin(initial, given)
	default:
		c.sayBad("504 5.5.4 sign-in by PLAIN or LOGIN only")
		return nil
	}
	if _, ok := errors.AsType[*smtp.Reply](err); ok {
		c.refuse(err)
		return nil
	}
	if err != nil {
		return err
	}
	c.signIn(credentials)
	return nil
}

// authPlain is RFC 4616. A *smtp.Reply as error is a mistake of the client, any other ends the connection.
func (c *conn) authPlain(initial string, given bool) (smtp.Credentials, error) {
	message, err := c.answer("334 ", initial, given)
	if err != nil {
		return smtp.Credentials{}, err
	}
	return smtp.ParsePlain(message)
}

// authLogin is draft-murchison-sasl-login; errors are as for authPlain.
func (c *conn) authLogin(initial string, given bool) (smtp.Credentials, error) {
	username, err := c.answer(askUsername, initial, given)
	if err != nil {
		return smtp.Credentials{}, err
	}
	password, err := c.answer(askPassword, "", false)
	if err != nil {
		return smtp.Credentials{}, err
	}
	return smtp.ParseLogin(username, password)
}

// answer asks with a challenge, unless the client gave its answer with the command.
func (c *conn) answer(challenge, initial string, given bool) ([]byte, error) {
	if given {
		return smtp.DecodeSASL([]byte(initial))
	}
	c.say(challenge)
	line, err := c.readLine()
	if err != nil {
		return nil, err
	}
	return smtp.DecodeSASL(line)
}

// signIn asks the handler, unless there were too many failures.
func (c *conn) signIn(who smtp.Credentials) {
	failures := c.cfg.Failures
	if !c.guest.Exempt && failures.Blocked(c.guest.Source, who.Username) {
		c.bad++
		c.server.log.Warn("sign-in not tried after too many failures", "peer", c.peer.Addr)
		c.say("454 4.7.0 too many failed sign-ins, try again in ten minutes")
		return
	}
	ctx, cancel := c.handlerContext()
	defer cancel()
	session, err := c.server.handler.Authenticate(ctx, c.peer, who.Authzid, who.Username, who.Password)
	if err != nil {
		reply := smtp.ReplyFor(err, smtp.AtAuth)
		if !reply.Temporary() && !c.guest.Exempt {
			failures.Failed(c.guest.Source, who.Username)
		}
		c.bad++
		c.reply(reply)
		c.server.log.Info("sign-in failed", "peer", c.peer.Addr, "reply", reply.Code, "code", fault.CodeOf(err))
		return
	}
	failures.Succeeded(c.guest.Source, who.Username)
	peer := *c.peer
	peer.Username, peer.Session = who.Username, session
	c.peer = &peer
	c.say("235 2.7.0 welcome")
}
