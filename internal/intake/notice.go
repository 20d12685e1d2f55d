package intake

import (
	"context"

	"relais/internal/directory"
	"relais/internal/intake/trace"
	"relais/internal/mail"
	"relais/internal/outbound"
	"relais/internal/record"
)

// Return brings a delivery notice to the sender of a message: like any other
// mail when she is one of ours, by the queue and with a null sender (RFC 3461
// §6.1) when not. then runs in the same transaction, and may run more than once.
func (in *Intake) Return(ctx context.Context, n *outbound.Notice, then func(ctx context.Context, tx *outbound.Tx) error) error {
	e := &Envelope{Helo: in.Hostname, Protocol: "ESMTP", SMTPUTF8: n.Bit8, EightBit: n.Bit8}
	t := Target{Address: n.To}
	err := in.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		t.Resolution, err = tx.Directory.Resolve(ctx, n.To)
		return err
	})
	if err != nil {
		return err
	}
	m := newMessage(e, trace.NewID(n.At), n.Message, mail.Sum(n.Message), n.At)
	m.origin, m.actor = mail.ByOutbound, ""
	tenant, targets := n.Tenant, []Target(nil)
	if t.Kind != directory.Foreign {
		tenant, targets = t.Domain.Tenant, []Target{t}
	}
	f := m.filing(tenant, targets)
	f.Intake.RepeatKey = nil // two notices may be alike, and each has its own cause
	f.Then = func(ctx context.Context, tx *record.Tx, _ *record.Filed) error {
		if t.Kind == directory.Foreign {
			if _, err := tx.Outbound.Enqueue(ctx, outbound.New{
				Tenant: tenant, Intake: m.id, Hash: m.hash, Size: int64(len(m.body)), To: n.To, UTF8: n.Bit8, Bit8: n.Bit8, Expire: in.GiveUpAfter,
			}); err != nil {
				return err
			}
		}
		return then(ctx, tx.Outbound)
	}
	_, err = in.Store.File(ctx, f)
	return err
}
