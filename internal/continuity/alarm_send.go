package continuity

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"time"

	"relais/internal/fault"
	"relais/internal/job"
	"relais/internal/mail"
	"relais/internal/smtp/smtpclient"
)

// SmartHost sends alarms through a mail server of their own.
type SmartHost struct {
	Address  string              // HOST:PORT
	Security smtpclient.Security // Opportunistic when empty
	Hello    string
}

// Send hands one message over. A refusal for good is fault.Denied, all else fault.Unavailable.
func (h SmartHost) Send(ctx context.Context, from, to mail.Address, body []byte) error {
	if h.Security == "" {
		h.Security = smtpclient.Opportunistic
	}
	c, err := smtpclient.Dial(ctx, h.Address, smtpclient.Config{Hello: h.Hello, Security: h.Security,
		ConnectTimeout: 10 * time.Second, CommandTimeout: 30 * time.Second, FinalTimeout: time.Minute})
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the mail server for alarms does not answer")
	}
	defer c.Quit()
	out, err := c.Send(ctx, smtpclient.Message{From: from, To: []mail.Address{to}, Body: body})
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the mail server for alarms broke off")
	}
	switch reply := out.Of(0); {
	case reply.Positive():
		return nil
	case reply.Code >= 500:
		return fault.Wrap(reply, fault.Denied, "the mail server for alarms refuses the message")
	default:
		return fault.Wrap(reply, fault.Unavailable, "the mail server for alarms refuses the message for now")
	}
}

// mail is the handler of JobMail.
func (a Alarm) mail(ctx context.Context, j job.Job) error {
	var p mailJob
	if err := j.Decode(&p); err != nil {
		return fault.Wrap(err, fault.Invalid, "read the alarm")
	}
	to, err := mail.ParseAddress(p.To)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the alarm's address")
	}
	if a.Sender == nil {
		return fault.New(fault.Invalid, "no way to send alarms by mail is configured any more")
	}
	return a.Sender.Send(ctx, a.From, to, p.Notice.message(a.From, to, a.Hello))
}

// SignatureHeader carries "t=UNIX,v1=HEX": HMAC-SHA256 over the time, a dot and the body.
const SignatureHeader = "Relais-Signature"

const webhookLimit = 10 * time.Second

// webhook is the handler of JobWebhook: a POST of the notice that must be answered with 2xx.
func (a Alarm) webhook(ctx context.Context, j job.Job) error {
	if a.Webhook == "" {
		return fault.New(fault.Invalid, "no webhook is configured any more")
	}
	ctx, cancel := context.WithTimeout(ctx, webhookLimit)
	defer cancel()
	body := []byte(j.Payload)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Webhook, bytes.NewReader(body))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the webhook's address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "relais")
	if a.Secret != "" {
		req.Header.Set(SignatureHeader, sign(a.Secret, time.Now(), body))
	}
	client := a.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the webhook does not answer")
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // lets the connection be used again
	if resp.StatusCode/100 != 2 {
		return fault.New(fault.Unavailable, "the webhook answers %s", resp.Status)
	}
	return nil
}

func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
