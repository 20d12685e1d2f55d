package duty

import (
	"context"
	"slices"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// may is fault.Conflict unless the duty is in one of the states.
func (d *Duty) may(from ...State) error {
	if slices.Contains(from, d.State) {
		return nil
	}
	return fault.New(fault.Conflict, "duty %d is %s", d.ID, d.State)
}

// locked reads a duty and keeps others from changing it.
func (tx *Tx) locked(ctx context.Context, id mail.DutyID) (Duty, error) {
	if tx.Dialect() == db.Postgres {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM duties WHERE id = $1 FOR UPDATE`, id); err != nil {
			return Duty{}, err
		}
	}
	return tx.Duty(ctx, id)
}

// pass moves a duty from one of the states to another and keeps the server's words.
func (tx *Tx) pass(ctx context.Context, id mail.DutyID, to State, reply string, nextAt time.Time, from ...State) error {
	d, err := tx.locked(ctx, id)
	if err != nil {
		return err
	}
	if err := d.may(from...); err != nil {
		return err
	}
	if reply == "" {
		reply = d.Reply
	}
	if nextAt.IsZero() {
		nextAt = d.NextAt
	}
	handed, seen := mail.Micros(d.HandedAt), mail.Micros(d.SeenAt)
	switch to {
	case Handed:
		handed = mail.Micros(tx.Now)
	case Seen:
		seen = mail.Micros(tx.Now)
	}
	_, err = tx.Exec(ctx, `UPDATE duties SET state = $2, claimed_by = '', claimed_until = 0, reply = $3, next_at = $4, handed_at = $5, seen_at = $6
 WHERE id = $1`, id, string(to), db.Text(reply), mail.Micros(nextAt), handed, seen)
	if to == Owed {
		tx.Touched.Topic(Topic)
	}
	return err
}

// Release gives a claim back after a failure that may pass: claimed → owed, due again at nextAt.
func (tx *Tx) Release(ctx context.Context, id mail.DutyID, nextAt time.Time, reply string) error {
	return tx.pass(ctx, id, Owed, reply, nextAt, Claimed)
}

// HandedOver notes the primary's 250, or its taking of the APPEND: claimed → handed.
func (tx *Tx) HandedOver(ctx context.Context, id mail.DutyID, reply string) error {
	return tx.pass(ctx, id, Handed, reply, time.Time{}, Claimed)
}

// Refused notes the primary's final no, with its words: claimed → refused.
func (tx *Tx) Refused(ctx context.Context, id mail.DutyID, reply string) error {
	return tx.pass(ctx, id, Refused, reply, time.Time{}, Claimed)
}

// Accept notes that a person accepted the refusal: refused → accepted.
func (tx *Tx) Accept(ctx context.Context, id mail.DutyID) error {
	return tx.pass(ctx, id, Accepted, "", time.Time{}, Refused)
}

// Withdraw closes a duty that nobody has taken: what it was owed for was deleted
// here, so the primary need not get it. owed, refused or unseen → accepted.
func (tx *Tx) Withdraw(ctx context.Context, id mail.DutyID, words string) error {
	return tx.pass(ctx, id, Accepted, words, time.Time{}, Owed, Refused, Unseen)
}

// Reopen owes a message again: refused, unseen or handed → owed, due now.
func (tx *Tx) Reopen(ctx context.Context, id mail.DutyID) error {
	return tx.pass(ctx, id, Owed, "", tx.Now, Refused, Unseen, Handed)
}

// Seen notes that the mirror saw the message in the mailbox: any state that is
// not closed, and seen itself, → seen.
func (tx *Tx) Seen(ctx context.Context, id mail.DutyID, link mail.LinkID) error {
	d, err := tx.locked(ctx, id)
	if err != nil || d.State == Seen && d.Link == link {
		return err
	}
	if err := tx.pass(ctx, id, Seen, "", time.Time{}, Owed, Claimed, Handed, Unseen, Refused, Seen); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE duties SET link_id = $2 WHERE id = $1`, id, link)
	return err
}

// SeenMember notes that the mirror saw a group's message in a member's mailbox;
// the last member's makes the duty seen.
func (tx *Tx) SeenMember(ctx context.Context, id mail.DutyID, acc mail.AccountID, link mail.LinkID) error {
	if _, err := tx.locked(ctx, id); err != nil {
		return err
	}
	res, err := tx.Exec(ctx, `UPDATE duty_members SET link_id = $3, seen_at = $4 WHERE duty_id = $1 AND account_id = $2`,
		id, acc, link, mail.Micros(tx.Now))
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.NotFound, "the account is no member of the duty")
	}
	var left int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM duty_members WHERE duty_id = $1 AND seen_at = 0`, id).Scan(&left); err != nil || left > 0 {
		return err
	}
	return tx.Seen(ctx, id, 0)
}

// MarkUnseen moves at most limit duties that were handed over before a moment
// and not seen since to unseen, and returns them: handed → unseen.
func (tx *Tx) MarkUnseen(ctx context.Context, before time.Time, limit int) ([]Duty, error) {
	late, err := db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM duties WHERE state = 'handed' AND handed_at < $1
 ORDER BY handed_at, id LIMIT $2`+tx.Dialect().SkipLocked(), mail.Micros(before), limit))
	if err != nil {
		return nil, err
	}
	for i := range late {
		late[i].State = Unseen
		if _, err := tx.Exec(ctx, `UPDATE duties SET state = 'unseen' WHERE id = $1`, late[i].ID); err != nil {
			return nil, err
		}
	}
	return late, nil
}

// FirstHanded is when the oldest duty that is handed over, and not seen yet, was; the zero time for none.
func (tx *Tx) FirstHanded(ctx context.Context) (time.Time, error) {
	var at int64
	err := tx.QueryRow(ctx, `SELECT COALESCE(MIN(handed_at), 0) FROM duties WHERE state = 'handed'`).Scan(&at)
	return mail.FromMicros(at), err
}

// Attach gives a duty whose recipient was unknown here the account and
// placement that it got once the directory knew the address.
func (tx *Tx) Attach(ctx context.Context, id mail.DutyID, acc mail.AccountID, placement mail.PlacementID) error {
	d, err := tx.locked(ctx, id)
	if err != nil {
		return err
	}
	if d.Account != 0 {
		return fault.New(fault.Conflict, "duty %d has an account", id)
	}
	_, err = tx.Exec(ctx, `UPDATE duties SET account_id = $2, placement_id = $3 WHERE id = $1`, id, acc, placement)
	return err
}
