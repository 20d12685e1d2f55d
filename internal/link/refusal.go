package link

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// Refusal is an item that the primary would not take, with the server's own words.
type Refusal struct {
	ID         int64
	Account    mail.AccountID
	Placement  mail.PlacementID // 0 when it is about a folder
	Folder     int64
	Name       string // the folder's
	Operation  string // "append", "set flags", "create folder" …
	Code       string // IMAP response code, "" if none
	Words      string
	At, LastAt time.Time
	Times      int
	AcceptedAt time.Time // a person accepted it as it is
	AcceptedBy string
}

// AddRefusal files a refusal; the same one again counts up.
func (tx *Tx) AddRefusal(ctx context.Context, r Refusal) error {
	res, err := tx.Exec(ctx, `UPDATE refusals SET times = times + 1, last_at = $1, words = $2, code = $3
 WHERE account_id = $4 AND placement_id = $5 AND folder_id = $6 AND name = $7 AND operation = $8 AND resolved_at = 0`,
		mail.Micros(tx.Now), db.Text(r.Words), r.Code, r.Account, r.Placement, r.Folder, r.Name, r.Operation)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO refusals (account_id, placement_id, folder_id, name, operation, code, words, at, last_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`,
		r.Account, r.Placement, r.Folder, r.Name, r.Operation, r.Code, db.Text(r.Words), mail.Micros(tx.Now))
	return err
}

// Refusals lists the open refusals of an account.
func (tx *Tx) Refusals(ctx context.Context, account mail.AccountID) ([]Refusal, error) {
	return db.Collect(func(s db.Scanner) (r Refusal, err error) {
		var at, last, accepted int64
		err = s.Scan(&r.ID, &r.Account, &r.Placement, &r.Folder, &r.Name, &r.Operation, &r.Code, &r.Words, &at, &last, &r.Times, &accepted, &r.AcceptedBy)
		r.At, r.LastAt, r.AcceptedAt = mail.FromMicros(at), mail.FromMicros(last), mail.FromMicros(accepted)
		return r, err
	})(tx.Query(ctx, `SELECT id, account_id, placement_id, folder_id, name, operation, code, words, at, last_at, times, accepted_at, accepted_by
 FROM refusals WHERE account_id = $1 AND resolved_at = 0 ORDER BY id`, account))
}

// Resolve notes that something is refused no more.
func (tx *Tx) Resolve(ctx context.Context, id int64) error {
	_, err := tx.Exec(ctx, `UPDATE refusals SET resolved_at = $1 WHERE id = $2 AND resolved_at = 0`, mail.Micros(tx.Now), id)
	return err
}

// AcceptRefusals notes that a person takes the open refusals of an account as they are.
func (tx *Tx) AcceptRefusals(ctx context.Context, account mail.AccountID, by string) (int64, error) {
	res, err := tx.Exec(ctx, `UPDATE refusals SET accepted_at = $1, accepted_by = $2 WHERE account_id = $3 AND resolved_at = 0 AND accepted_at = 0`,
		mail.Micros(tx.Now), by, account)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
