package intake

import (
	"context"

	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/job"
	"relais/internal/mail"
	"relais/internal/outbound"
	"relais/internal/record"
)

// JobRefused is the kind of the jobs that tell a sender that the primary refused
// a message for an address which nobody here has.
const JobRefused = "intake.refused"

type refusedJob struct {
	Duty mail.DutyID `json:"duty"`
}

// ReturnRefused files the notice to the sender with the transaction that notes
// the refusal. Writing it takes the message's body, which is not for a transaction.
func (in *Intake) ReturnRefused(ctx context.Context, tx *record.Tx, d duty.Duty) error {
	_, err := tx.Jobs.Enqueue(ctx, job.New{Tenant: d.Tenant, Kind: JobRefused, Payload: refusedJob{d.ID}})
	return err
}

// JobHandlers do what intake has filed for later.
func (in *Intake) JobHandlers() map[string]job.Handler {
	return map[string]job.Handler{JobRefused: in.tellRefused}
}

func (in *Intake) tellRefused(ctx context.Context, j job.Job) error {
	var p refusedJob
	if err := j.Decode(&p); err != nil {
		return fault.Wrap(err, fault.Invalid, "read the job")
	}
	var d duty.Duty
	var hash mail.Hash
	var size int64
	err := in.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		if d, err = tx.Duty.Duty(ctx, p.Duty); err != nil {
			return err
		}
		e, err := tx.Mailbox.Email(ctx, d.Email)
		hash, size = e.Hash, e.Size
		return err
	})
	if err != nil {
		return err
	}
	sender, err := mail.ParseAddress(d.MailFrom)
	if err != nil || sender.IsNull() {
		return nil //nolint:nilerr // nobody to tell
	}
	body, err := in.Store.Body(ctx, d.Tenant, hash)
	if err != nil {
		return err
	}
	n := outbound.NewNotice(in.Hostname, sender, in.Clock.Now(), body, outbound.Reported{
		Item:  outbound.Item{Tenant: d.Tenant, Intake: d.Intake, Hash: hash, Size: size, From: d.MailFrom, To: d.Recipient, CreatedAt: d.OwedAt},
		Words: d.Reply,
	})
	return in.Return(ctx, n, func(context.Context, *outbound.Tx) error { return nil })
}
