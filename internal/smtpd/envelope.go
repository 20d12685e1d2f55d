package smtpd

import (
	"errors"
	"strconv"

	"relais/internal/smtp"
)

// reset forgets the transaction.
func (c *conn) reset() {
	c.tx = nil
	c.dropBody()
}

// mail is MAIL FROM: RFC 5321 §4.1.1.2.
func (c *conn) mail(args string) {
	switch {
	case c.peer.Helo == "":
		c.sayBad("503 5.5.1 EHLO first")
		return
	case c.tx != nil:
		c.sayBad("503 5.5.1 a message is under way: RSET forgets it")
		return
	case c.cfg.Mode == Submission && !c.mayAuthHere():
		c.sayBad("530 5.7.0 STARTTLS first")
		return
	case c.cfg.Mode == Submission && c.peer.Session == nil:
		c.sayBad("530 5.7.0 AUTH first")
		return
	}
	sender, err := smtp.ParseSender(args)
	if err != nil {
		c.refuse(err)
		return
	}
	if sender.Size > c.cfg.MaxSize {
		c.sayTooLarge()
		return
	}
	tx := &Transaction{
		Peer: c.peer, MailFrom: sender.Address, SMTPUTF8: sender.UTF8, Body8Bit: sender.Bit8,
		Size: sender.Size, Ret: sender.Ret, EnvID: sender.EnvID,
	}
	ctx, cancel := c.handlerContext()
	defer cancel()
	if c.accepted(c.server.handler.Sender(ctx, tx), smtp.AtSender, "250 2.1.0 sender ok") {
		c.tx = tx
	}
}

// rcpt is RCPT TO: RFC 5321 §4.1.1.3.
func (c *conn) rcpt(args string) {
	switch {
	case c.tx == nil:
		c.sayBad("503 5.5.1 MAIL first")
		return
	case c.body != nil:
		c.sayBad("503 5.5.1 the message has begun")
		return
	case len(c.tx.Recipients) >= c.cfg.MaxRecipients:
		c.idle++
		c.say("452 4.5.3 too many recipients: at most " + strconv.Itoa(c.cfg.MaxRecipients) + " a message")
		return
	}
	said, err := smtp.ParseRecipient(args, c.tx.SMTPUTF8)
	if err != nil {
		c.refuse(err)
		return
	}
	r := Recipient(said)
	if r.Address.Domain == "" { // <Postmaster>
		r.Address.Domain = c.cfg.Hostname
	}
	ctx, cancel := c.handlerContext()
	defer cancel()
	if c.accepted(c.server.handler.Recipient(ctx, c.tx, r), smtp.AtRecipient, "250 2.1.5 recipient ok") {
		c.tx.Recipients = append(c.tx.Recipients, r)
	}
}

// accepted says what became of a question to the handler: the given line for nil.
func (c *conn) accepted(err error, at smtp.Stage, line string) bool {
	if err == nil {
		c.say(line)
		return true
	}
	c.idle++
	reply := smtp.ReplyFor(err, at)
	c.reply(reply)
	if at == smtp.AtRecipient && !reply.Positive() && !reply.Temporary() {
		c.refusedRecipients++
	}
	if _, verbatim := errors.AsType[*smtp.Reply](err); !verbatim && reply.Temporary() {
		c.server.log.Warn("put off", "peer", c.peer.Addr, "reply", reply.Code, "err", err)
	}
	return reply.Positive()
}

func (c *conn) sayTooLarge() {
	c.say("552 5.3.4 too large: at most " + strconv.FormatInt(c.cfg.MaxSize, 10) + " bytes")
}
