package record

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Arrival is a stored Intake.
type Arrival struct {
	Intake
	Tenant    mail.TenantID
	At        time.Time
	MessageID string
	Hash      mail.Hash
}

// addIntake files the arrival. false: the same transmission came before, within RepeatWindow.
func (tx *Tx) addIntake(ctx context.Context, f *Filing) (fresh bool, err error) {
	in := f.Intake
	var key any // NULL, never an empty value: only keys are unique
	if len(in.RepeatKey) > 0 {
		key = in.RepeatKey
	}
	for again := false; ; again = true {
		res, err := tx.DB.Exec(ctx, `INSERT INTO intakes (id, tenant_id, at, peer, helo, mail_from, message_id, hash, repeat_key, person_id)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (repeat_key) WHERE repeat_key IS NOT NULL DO NOTHING`,
			in.ID, f.Tenant, mail.Micros(tx.Now), db.Text(in.Peer), db.Text(in.Helo), db.Text(in.MailFrom),
			db.Text(f.Facts.Fingerprint.MessageID), f.Hash[:], key, in.Person)
		if err != nil {
			return false, err
		}
		n, err := res.RowsAffected()
		if err != nil || n == 1 || again {
			return n == 1, err
		}
		// Only a repeat comes here. One from before the window makes room.
		if _, err := tx.DB.Exec(ctx, `UPDATE intakes SET repeat_key = NULL WHERE repeat_key = $1 AND repeat_key IS NOT NULL AND at < $2`,
			in.RepeatKey, mail.Micros(tx.Now.Add(-RepeatWindow))); err != nil {
			return false, err
		}
	}
}

// Intake finds an arrival by its id; fault.NotFound.
func (tx *Tx) Intake(ctx context.Context, id string) (Arrival, error) {
	var a Arrival
	var at int64
	var hash []byte
	err := tx.DB.QueryRow(ctx, `SELECT id, tenant_id, at, peer, helo, mail_from, message_id, hash, person_id FROM intakes WHERE id = $1`, id).
		Scan(&a.ID, &a.Tenant, &at, &a.Peer, &a.Helo, &a.MailFrom, &a.MessageID, &hash, &a.Person)
	if db.NoRows(err) {
		return a, fault.New(fault.NotFound, "no such arrival")
	}
	a.At = mail.FromMicros(at)
	copy(a.Hash[:], hash)
	return a, err
}

// PruneRepeats forgets the keys of transmissions too old to be repeated; the arrivals stay.
func (tx *Tx) PruneRepeats(ctx context.Context) error {
	_, err := tx.DB.Exec(ctx, `UPDATE intakes SET repeat_key = NULL WHERE repeat_key IS NOT NULL AND at < $1`,
		mail.Micros(tx.Now.Add(-RepeatWindow)))
	return err
}
