package app

import (
	"context"
	"errors"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
	"relais/internal/smtp/smtpclient"
)

// askTimeout bounds one question to a primary about an address: a sender waits for it.
const askTimeout = 20 * time.Second

// asker asks primaries about addresses that nobody here has.
type asker struct {
	store *record.Store
	far   *primaries
}

// AskRecipient asks by RCPT whether a domain's primary takes an address. Its
// refusal is a *smtp.Reply; a primary that can't be asked is fault.Unavailable.
func (a asker) AskRecipient(ctx context.Context, domain mail.DomainID, from, rcpt mail.Address) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var p directory.Primary
	err := a.store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		p, err = tx.Directory.Primary(ctx, domain)
		return err
	})
	if err != nil {
		return err
	}
	c, err := a.far.smtp(ctx, p)
	if err != nil {
		return err
	}
	defer c.Quit()
	reply, err := c.Ask(ctx, smtpclient.Message{From: from, To: []mail.Address{rcpt}})
	if err != nil {
		if e, ok := errors.AsType[*smtpclient.Error](err); ok && e.Reply != nil {
			return e.Reply
		}
		return fault.Wrap(err, fault.Unavailable, "the primary does not answer")
	}
	if !reply.Positive() {
		return reply
	}
	return nil
}
