package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"relais/internal/mail"
	"relais/internal/smtp/smtpclient"
)

// Mailbox is the probe mailbox at the primary, read by IMAP.
type Mailbox interface {
	// Take looks for the message whose Relais-Probe header is id, tells whether it
	// is there, and removes it together with those that earlier trips left behind.
	Take(ctx context.Context, t Target, id string) (bool, error)
}

// RoundTrip probes by a marked message: sent by SMTP, it must be readable in the probe mailbox.
type RoundTrip struct {
	Dialogue
	Mailbox Mailbox
	Every   time.Duration // between two looks; default 1 s
}

// Probe is a Prober.
func (p RoundTrip) Probe(ctx context.Context, t Target) Result {
	var r Result
	id := strings.ToLower(rand.Text())
	if err := p.send(ctx, t, id, &r); err != nil {
		r.Words = "send the marked message: " + err.Error()
		return r
	}
	every := p.Every
	if every <= 0 {
		every = time.Second
	}
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		found, err := p.Mailbox.Take(ctx, t, id)
		if found {
			r.OK, r.Words = true, "the marked message arrived"
			return r
		}
		r.Words = "the marked message has not arrived"
		if err != nil {
			r.Words = "look for the marked message: " + err.Error()
		}
		select {
		case <-ctx.Done():
			return r
		case <-look.C:
		}
	}
}

func (p RoundTrip) send(ctx context.Context, t Target, id string, r *Result) error {
	to, err := mail.ParseAddress(t.Primary.ProbeAddress)
	if err != nil {
		return err
	}
	c, err := p.connect(ctx, t.Primary, r)
	if err != nil {
		return err
	}
	defer c.Quit()
	out, err := c.Send(ctx, smtpclient.Message{To: toOne(to), Body: marked(p.Hello, to, id)})
	if err != nil {
		return err
	}
	switch reply := out.Of(0); {
	case reply == nil:
		return errors.New("no answer to the recipient")
	case !reply.Positive():
		return fmt.Errorf("refused: %w", reply)
	}
	return nil
}

// marked is the probe message. Auto-Submitted keeps automatic answers away (RFC 3834 §5).
func marked(host string, to mail.Address, id string) []byte {
	return []byte(strings.Join([]string{
		"From: Relais <relais@" + host + ">",
		"To: <" + to.String() + ">",
		"Subject: Relais probe",
		"Date: " + time.Now().UTC().Format(time.RFC1123Z),
		"Message-ID: <" + id + ".probe@" + host + ">",
		"Auto-Submitted: auto-generated",
		Header + ": " + id,
		"",
		"This message tests the way to this mailbox and removes itself.",
		"",
	}, "\r\n"))
}

func toOne(a mail.Address) []mail.Address { return []mail.Address{a} }
