package intake

import (
	"context"
	"slices"

	"golang.org/x/net/idna"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/intake/trace"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/outbound"
	"relais/internal/record"
	"relais/internal/smtp"
)

var errNotYours = smtp.NewReply(550, "5.7.1", "sender address: not one of yours")

// Sender decides about MAIL FROM of a person: only an own address, or the null
// reverse-path of receipts (RFC 8098 §3).
func (in *Intake) Sender(ctx context.Context, e *Envelope) error {
	if e.From.IsNull() {
		return nil
	}
	ids, err := in.identities(ctx, e.Sender)
	if err == nil && !ids.has(e.From) {
		return errNotYours
	}
	return err
}

func (in *Intake) identities(ctx context.Context, p *directory.Person) (ids identities, err error) {
	err = in.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		own, err := tx.Directory.OwnAddresses(ctx, p.ID)
		ids = newIdentities(own)
		return err
	})
	return ids, err
}

// Submit takes a message from a person: it goes to colleagues at once, to others
// by the queue, and a copy into Sent. On nil all of it is durable.
func (in *Intake) Submit(ctx context.Context, e *Envelope, targets []Target, body []byte) error {
	now := in.Clock.Now()
	if trace.Read(body).Hops > trace.MaxHops {
		return errHops
	}
	ids, err := in.identities(ctx, e.Sender)
	if err != nil {
		return err
	}
	came := mail.Sum(body)
	own, err := prepareOwn(body, ids, trace.NewID(now), in.Hostname, now)
	if err != nil {
		return err
	}
	signature, err := in.sign(ctx, own)
	if err != nil {
		return err
	}
	ready := func() *message {
		id := trace.NewID(now)
		line := trace.Line{Helo: e.Helo, By: in.Hostname, Protocol: e.Protocol, ID: id, At: now}
		m := newMessage(e, id, slices.Concat(line.Received(), signature, own), came, now)
		m.origin, m.actor = mail.ByOutbound, e.Sender.Email
		return m
	}
	targets = unique(targets)
	home := tenantTargets{tenant: e.Sender.Tenant}
	for _, group := range byTenant(targets) {
		if group.tenant == home.tenant {
			home = group
			continue
		}
		if _, err := in.Store.File(ctx, ready().filing(group.tenant, group.targets)); err != nil {
			return err
		}
	}
	// The sender's own organisation comes last: with it go the queue and the sent
	// copy, so a failure before leaves nothing that says "sent". What was filed
	// elsewhere by then is recognised as a repeat when the client tries again.
	m := ready()
	f := m.filing(home.tenant, home.targets)
	f.Intake.RepeatKey = m.repeatKey(home.tenant, targets)
	f.Intake.Person = e.Sender.ID
	queue := in.queue(m, targets)
	f.Then = func(ctx context.Context, tx *record.Tx, filed *record.Filed) error {
		for _, n := range queue {
			if _, err := tx.Outbound.Enqueue(ctx, n); err != nil {
				return err
			}
		}
		return placeSent(ctx, tx, m, filed.Email)
	}
	_, err = in.Store.File(ctx, f)
	return err
}

// sign makes the DKIM signature of the From field's domain: that is the one which
// counts for DMARC.
func (in *Intake) sign(ctx context.Context, msg []byte) ([]byte, error) {
	from, _ := mime.First(mime.Header(msg), "From")
	for _, a := range mime.ParseAddresses(from.Value()) {
		if !a.IsMailbox() {
			continue
		}
		addr, err := mail.ParseAddress(a.Spec())
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "From: not an e-mail address")
		}
		domain := addr.Domain
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			domain = ascii
		}
		return in.Signer.Sign(ctx, domain, msg)
	}
	return nil, nil
}

// queue is what leaves for elsewhere.
func (in *Intake) queue(m *message, targets []Target) []outbound.New {
	var out []outbound.New
	for _, t := range targets {
		if t.Kind != directory.Foreign {
			continue
		}
		out = append(out, outbound.New{
			Tenant: m.e.Sender.Tenant, Intake: m.id, Hash: m.hash, Size: int64(len(m.body)), From: m.e.From, To: t.Address,
			UTF8: m.e.SMTPUTF8, Bit8: m.e.EightBit, Expire: in.GiveUpAfter,
			EnvID: m.e.EnvID, Ret: m.e.Ret, Notify: t.Notify, ORcpt: t.ORcpt,
			Account: m.e.Sender.Account, Person: m.e.Sender.ID,
		})
	}
	return out
}

// placeSent files the sent copy, unless the client has put its own there already.
func placeSent(ctx context.Context, tx *record.Tx, m *message, email mail.EmailID) error {
	p := m.e.Sender
	twin, err := SentTwin(ctx, tx, p.Account, m.facts.Fingerprint, mail.ByPerson)
	if err != nil || twin != nil {
		return err
	}
	_, err = tx.Mailbox.Place(ctx, mailbox.Place{
		Account: p.Account, Role: mail.Sent, Email: email, Hash: m.hash, Size: int64(len(m.body)),
		Flags: mail.Flags{System: mail.Seen}, InternalDate: m.now, MessageIDs: m.facts.MessageIDs,
		Origin: mail.ByOutbound, Actor: p.Email,
	})
	return err
}
