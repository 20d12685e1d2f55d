package app

import (
	"context"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/intake"
	"relais/internal/mail"
	"relais/internal/smtpd"
)

// mxHandler lets the MX door speak to intake.
type mxHandler struct{ in *intake.Intake }

// submissionHandler lets the submission door speak to intake.
type submissionHandler struct {
	in   *intake.Intake
	auth *directory.Authenticator
}

var (
	_ smtpd.Handler = mxHandler{}
	_ smtpd.Handler = submissionHandler{}
)

// dialogue is what the handlers remember of one transaction.
type dialogue struct {
	envelope intake.Envelope
	targets  []intake.Target
}

// begin starts a transaction at MAIL FROM.
func begin(t *smtpd.Transaction, sender *directory.Person) *dialogue {
	d := &dialogue{envelope: intake.Envelope{
		Peer: t.Peer.Addr.Addr(), Helo: t.Peer.Helo, Protocol: t.Protocol(), Sender: sender, From: t.MailFrom,
		SMTPUTF8: t.SMTPUTF8, EightBit: t.Body8Bit, Ret: t.Ret, EnvID: t.EnvID,
	}}
	t.Note = d
	return d
}

// add decides about one RCPT TO and remembers the target.
func add(ctx context.Context, in *intake.Intake, t *smtpd.Transaction, r smtpd.Recipient) error {
	d := t.Note.(*dialogue)
	target, err := in.Recipient(ctx, &d.envelope, r.Address)
	if err != nil {
		return err
	}
	target.Notify, target.ORcpt = r.Notify, r.ORcpt
	d.targets = append(d.targets, target)
	return nil
}

// Authenticate is never asked on MX.
func (mxHandler) Authenticate(context.Context, *smtpd.Peer, string, string, string) (smtpd.Session, error) {
	return nil, fault.New(fault.Denied, "no sign-in here")
}

// Sender takes any sender: what it is worth is judged with the message.
func (h mxHandler) Sender(_ context.Context, t *smtpd.Transaction) error {
	begin(t, nil)
	return nil
}

// Recipient decides about RCPT TO.
func (h mxHandler) Recipient(ctx context.Context, t *smtpd.Transaction, r smtpd.Recipient) error {
	return add(ctx, h.in, t, r)
}

// Deliver files the message.
func (h mxHandler) Deliver(ctx context.Context, t *smtpd.Transaction, body []byte) error {
	d := t.Note.(*dialogue)
	return h.in.Receive(ctx, &d.envelope, d.targets, body)
}

// Authenticate signs a person in by full address. Nobody acts as somebody else.
func (h submissionHandler) Authenticate(ctx context.Context, peer *smtpd.Peer, authzid, username, password string) (smtpd.Session, error) {
	if authzid != "" && signInKey(authzid) != signInKey(username) {
		return nil, fault.New(fault.Unauthenticated, "nobody may act as somebody else here")
	}
	p, err := h.auth.Verify(ctx, username, password, peer.Addr.Addr().String())
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// signInKey is the form in which sign-in names are compared.
func signInKey(name string) string {
	if a, err := mail.ParseAddress(name); err == nil {
		return a.Key()
	}
	return name
}

// Sender takes own addresses alone.
func (h submissionHandler) Sender(ctx context.Context, t *smtpd.Transaction) error {
	person, ok := t.Peer.Session.(*directory.Person)
	if !ok {
		return fault.New(fault.Unauthenticated, "sign in first")
	}
	return h.in.Sender(ctx, &begin(t, person).envelope)
}

// Recipient decides about RCPT TO.
func (h submissionHandler) Recipient(ctx context.Context, t *smtpd.Transaction, r smtpd.Recipient) error {
	return add(ctx, h.in, t, r)
}

// Deliver files the message.
func (h submissionHandler) Deliver(ctx context.Context, t *smtpd.Transaction, body []byte) error {
	d := t.Note.(*dialogue)
	return h.in.Submit(ctx, &d.envelope, d.targets, body)
}
