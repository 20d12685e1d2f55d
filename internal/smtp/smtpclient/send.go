package smtpclient

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"relais/internal/mail"
	"relais/internal/smtp"
)

// Message is one transaction: a body for one sender and one or more recipients.
type Message struct {
	From mail.Address // the zero value is <>
	To   []mail.Address
	Body []byte // lines end in CR LF
	Bit8 bool   // the body is not all ASCII
	UTF8 bool   // the header may be not all ASCII (RFC 6531); of addresses it is seen
}

// Outcome is what the server said to one message. What it said of a recipient
// is final once Of tells it.
type Outcome struct {
	Mail       *smtp.Reply   // to MAIL; nil when it was not reached
	Recipients []*smtp.Reply // to each RCPT, in order; nil where it was not reached
	Data       *smtp.Reply   // to DATA when refused, else to the final dot; nil when neither was answered
	Unknown    bool          // the final dot was sent and not answered: it may have arrived
}

// Of is the reply that decides for recipient i; nil when there is none, because
// the connection failed before.
func (o *Outcome) Of(i int) *smtp.Reply {
	switch {
	case o.Mail != nil && !o.Mail.Positive():
		return o.Mail
	case o.Recipients[i] != nil && !o.Recipients[i].Positive():
		return o.Recipients[i]
	case o.Recipients[i] == nil:
		return nil
	}
	return o.Data
}

const (
	rcptBatch = 50       // commands sent ahead of their replies: they and their replies fit any socket buffer (RFC 2920 §3.1)
	dataPiece = 64 << 10 // of the message per DataTimeout
)

// Send transmits m. The outcome is never nil and holds what was said until an
// error, an *Error of the connection, ended the dialogue; a refusal by the server
// is no error. Another message may follow on the same connection.
func (c *Client) Send(ctx context.Context, m Message) (*Outcome, error) {
	defer c.watch(ctx)()
	out := &Outcome{Recipients: make([]*smtp.Reply, len(m.To))}
	if err := c.reset(); err != nil {
		return out, err
	}
	if out.Mail = c.precheck(m); out.Mail != nil {
		return out, nil
	}
	from, params, fail := c.sender(m)
	if fail != nil {
		out.Mail = fail
		return out, nil
	}
	utf8 := params != ""
	if _, ok := c.Extension("8BITMIME"); ok && m.Bit8 {
		params += " BODY=8BITMIME"
	}
	if _, ok := c.Extension("SIZE"); ok {
		params += " SIZE=" + strconv.Itoa(len(m.Body))
	}
	c.unfinished = true
	envelope := []string{"MAIL FROM:<" + from + ">" + params}
	asked := make([]int, 0, len(m.To))
	for i, a := range m.To {
		to, fail := c.recipient(a, utf8)
		if fail != nil {
			out.Recipients[i] = fail
			continue
		}
		asked = append(asked, i)
		envelope = append(envelope, "RCPT TO:<"+to+">")
	}
	if len(asked) == 0 {
		c.unfinished = false
		return out, nil
	}
	ready, err := c.envelope(out, envelope, asked)
	if err != nil || !ready {
		return out, err
	}
	return out, c.data(out, m.Body)
}

// precheck refuses without asking what the server said it does not take.
func (c *Client) precheck(m Message) *smtp.Reply {
	if max := c.MaxSize(); max > 0 && int64(len(m.Body)) > max {
		return local(552, "5.3.4", "the message has %d bytes, the server takes %d", len(m.Body), max)
	}
	if err := smtp.CheckLines(m.Body); err != nil {
		return local(554, "5.6.0", "the message cannot be sent: %v", err)
	}
	return nil
}

// sender is the reverse-path and SMTPUTF8 if it is needed and offered. A body in
// 8 bits goes to a server without 8BITMIME as it is: converting it would break
// its signatures, and no server that is about cuts the eighth bit.
func (c *Client) sender(m Message) (path, params string, fail *smtp.Reply) {
	_, offered := c.Extension("SMTPUTF8")
	if offered && (m.UTF8 || m.addressUTF8()) {
		return m.From.String(), " SMTPUTF8", nil
	}
	ascii, ok := m.From.ASCII()
	if !ok {
		return "", "", needsUTF8("sender's address")
	}
	if m.UTF8 && !isASCII(header(m.Body)) {
		return "", "", needsUTF8("header")
	}
	return ascii, "", nil
}

func (m Message) addressUTF8() bool {
	_, ascii := m.From.ASCII()
	for _, a := range m.To {
		_, ok := a.ASCII()
		ascii = ascii && ok
	}
	return !ascii
}

func (c *Client) recipient(a mail.Address, utf8 bool) (path string, fail *smtp.Reply) {
	if utf8 {
		return a.String(), nil
	}
	if ascii, ok := a.ASCII(); ok {
		return ascii, nil
	}
	return "", needsUTF8("recipient's address")
}

func needsUTF8(what string) *smtp.Reply {
	return local(553, "5.6.7", "the %s is not ASCII and the server does not support SMTPUTF8", what)
}

func header(body []byte) []byte {
	if i := bytes.Index(body, []byte("\r\n\r\n")); i >= 0 {
		return body[:i]
	}
	return body
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// envelope says MAIL, RCPT and DATA, ahead of the replies where the server can
// take it, and tells whether the message may follow. asked are the recipients'
// indexes in order of the RCPT lines, which follow the first line.
func (c *Client) envelope(out *Outcome, lines []string, asked []int) (ready bool, err error) {
	batch := 1
	if _, ok := c.Extension("PIPELINING"); ok {
		batch = rcptBatch
	}
	lines = append(lines, "DATA")
	accepted := 0
	for next := 0; next < len(lines); {
		end := min(next+batch, len(lines))
		if batch == 1 && next == len(lines)-1 && accepted == 0 {
			return false, nil // nobody to send it to; the next reset ends it
		}
		for _, line := range lines[next:end] {
			c.writer.WriteString(line)
			c.writer.WriteString("\r\n")
		}
		if err := c.flush(stageOf(next, len(lines))); err != nil {
			return false, err
		}
		for ; next < end; next++ {
			answer, err := c.reply(stageOf(next, len(lines)), c.config.CommandTimeout)
			if err != nil {
				return false, err
			}
			switch {
			case next == 0:
				out.Mail = answer
			case next < len(lines)-1:
				out.Recipients[asked[next-1]] = answer
				if answer.Positive() {
					accepted++
				}
			default:
				return c.begin(out, answer, accepted)
			}
		}
		if !out.Mail.Positive() && end < len(lines) {
			return false, nil
		}
	}
	return false, nil
}

func stageOf(i, n int) string {
	switch i {
	case 0:
		return "MAIL"
	case n - 1:
		return "DATA"
	}
	return "RCPT"
}

// begin reads what DATA was answered. A server may say 354 although it refused
// every recipient: the final dot alone ends that (RFC 2920 §3.1).
func (c *Client) begin(out *Outcome, answer *smtp.Reply, accepted int) (ready bool, err error) {
	if answer.Code != 354 {
		if answer.Positive() {
			return false, &Error{Stage: "DATA", Reply: answer}
		}
		out.Data = answer
		return false, nil
	}
	if accepted > 0 {
		return true, nil
	}
	_, err = c.command(".")
	c.unfinished = err != nil
	return false, err
}

// data sends the message and reads the reply to the final dot.
func (c *Client) data(out *Outcome, body []byte) error {
	w := smtp.NewDotWriter(c.writer)
	for len(body) > 0 {
		n := min(dataPiece, len(body))
		err := c.within(c.conn.SetWriteDeadline, c.config.DataTimeout)
		if err == nil {
			_, err = w.Write(body[:n])
		}
		if err == nil && n == len(body) {
			err = c.writer.Flush() // before the dot: an error here is no unknown outcome
		}
		if err != nil {
			return c.early(out, err)
		}
		body = body[n:]
	}
	out.Unknown = true
	if err := w.Close(); err != nil {
		return &Error{Stage: "final dot", Err: err}
	}
	if err := c.flush("final dot"); err != nil {
		return err
	}
	answer, err := c.reply("final dot", c.config.FinalTimeout)
	if err != nil {
		return err
	}
	out.Data, out.Unknown, c.unfinished = answer, false, false
	return nil
}

// early is a message that could not be sent to its end. A server that closes
// often says why first (421, 452, 552): that reply is worth more than "broken pipe".
func (c *Client) early(out *Outcome, err error) error {
	failed := &Error{Stage: "message", Err: err}
	if answer, readErr := c.reply("message", time.Second); readErr == nil && !answer.Positive() {
		out.Data = answer
		failed.Reply = answer
	}
	return failed
}
