package duty

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Batch is what one SMTP transaction to the primary can hand over: the duties of one arrival.
type Batch struct {
	Intake   string
	Email    mail.EmailID
	Tenant   mail.TenantID
	Domain   mail.DomainID
	MailFrom string
	SMTPUTF8 bool
	Duties   []Duty
}

// ClaimRelay claims at most limit owed duties of the domain that are due, the
// longest waiting first, and groups them by arrival. A claim that outlived its
// lease is not taken again: its outcome is unknown, see Lapsed.
func (tx *Tx) ClaimRelay(ctx context.Context, domain mail.DomainID, limit int, lease time.Duration) ([]Batch, error) {
	due, err := db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM duties
 WHERE domain_id = $1 AND state = 'owed' AND next_at <= $2
 ORDER BY next_at, id LIMIT $3`+tx.Dialect().SkipLocked(), domain, mail.Micros(tx.Now), limit))
	if err != nil {
		return nil, err
	}
	var out []Batch
	at := map[string]int{}
	for _, d := range due {
		if err := tx.claim(ctx, &d, Relay, lease); err != nil {
			return nil, err
		}
		i, ok := at[d.Intake]
		if !ok {
			i = len(out)
			at[d.Intake] = i
			out = append(out, Batch{Intake: d.Intake, Email: d.Email, Tenant: d.Tenant, Domain: d.Domain, MailFrom: d.MailFrom, SMTPUTF8: d.SMTPUTF8})
		}
		out[i].Duties = append(out[i].Duties, d)
	}
	return out, nil
}

// ClaimAppend claims a duty for the mirror, from owed or unseen, or from handed
// where the primary was declared rebuilt. A claim of the mirror's own is renewed.
// fault.Conflict in any other state, and while a relay is at it.
func (tx *Tx) ClaimAppend(ctx context.Context, id mail.DutyID, lease time.Duration) (Duty, error) {
	d, err := tx.locked(ctx, id)
	if err != nil {
		return d, err
	}
	if d.State == Claimed && d.ClaimedBy == Relay && d.ClaimedUntil.After(tx.Now) {
		return d, fault.New(fault.Conflict, "the message is being relayed")
	}
	if err := d.may(Owed, Unseen, Handed, Claimed); err != nil {
		return d, err
	}
	return d, tx.claim(ctx, &d, Append, lease)
}

func (tx *Tx) claim(ctx context.Context, d *Duty, by By, lease time.Duration) error {
	d.State, d.ClaimedBy, d.ClaimedUntil = Claimed, by, tx.Now.Add(lease)
	d.NextAt, d.Attempts = d.ClaimedUntil, d.Attempts+1
	_, err := tx.Exec(ctx, `UPDATE duties SET state = 'claimed', claimed_by = $2, claimed_until = $3, next_at = $3, attempts = $4 WHERE id = $1`,
		d.ID, string(by), mail.Micros(d.ClaimedUntil), d.Attempts)
	return err
}

// Lapsed lists at most limit duties of the domain that a relay claimed and never
// answered for, the longest lapsed first: the primary may have them or not, so
// the mirror looks before they are released.
func (tx *Tx) Lapsed(ctx context.Context, domain mail.DomainID, limit int) ([]Duty, error) {
	return db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM duties
 WHERE domain_id = $1 AND state = 'claimed' AND next_at <= $2 AND claimed_by = 'relay'
 ORDER BY next_at, id LIMIT $3`, domain, mail.Micros(tx.Now), limit))
}

// Doubt ends a relay's claim without an answer: it is lapsed from now on.
func (tx *Tx) Doubt(ctx context.Context, id mail.DutyID, words string) error {
	d, err := tx.locked(ctx, id)
	if err != nil {
		return err
	}
	if err := d.may(Claimed); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE duties SET claimed_until = $2, next_at = $2, reply = $3 WHERE id = $1`, id, mail.Micros(tx.Now), db.Text(words))
	return err
}

// Abandon ends, without an answer, every claim of a relay that is still held: of
// a process that was killed nobody else knows.
func (tx *Tx) Abandon(ctx context.Context) (int64, error) {
	res, err := tx.Exec(ctx, `UPDATE duties SET claimed_until = $1, next_at = $1, reply = 'the relay was killed'
 WHERE state = 'claimed' AND claimed_by = 'relay' AND claimed_until > $1`, mail.Micros(tx.Now))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// NextDue is when the first duty of the domain becomes due, or lapses; the zero time when none waits.
func (tx *Tx) NextDue(ctx context.Context, domain mail.DomainID) (time.Time, error) {
	var owed, claimed int64
	err := tx.QueryRow(ctx, `SELECT (SELECT COALESCE(MIN(next_at), 0) FROM duties WHERE domain_id = $1 AND state = 'owed'),
 (SELECT COALESCE(MIN(next_at), 0) FROM duties WHERE domain_id = $1 AND state = 'claimed' AND claimed_by = 'relay')`, domain).Scan(&owed, &claimed)
	if owed == 0 || claimed != 0 && claimed < owed {
		owed = claimed
	}
	return mail.FromMicros(owed), err
}

// Reschedule makes what waits for the domain's relay due at a moment, sooner or
// later than it was: at once when the primary is back.
func (tx *Tx) Reschedule(ctx context.Context, domain mail.DomainID, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE duties SET next_at = $2 WHERE domain_id = $1 AND state = 'owed'`, domain, mail.Micros(at))
	tx.Touched.Topic(Topic)
	return err
}
