package link

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// IntentID numbers an intent.
type IntentID int64

// IntentKind is what was about to be done at the primary.
type IntentKind string

// The kinds of intents: acts that can't be repeated without a look at their outcome.
const (
	AppendIntent   IntentKind = "append"
	MoveIntent     IntentKind = "move"      // copy it, see the copy, remove the original: the server has no MOVE
	TakeBackIntent IntentKind = "take-back" // remove a copy of which another has taken the place
	ExpungeIntent  IntentKind = "expunge"   // marked \Deleted, and to be expunged when the server can
)

// Intent is an act at the primary that is committed before it is tried. For an
// append and a move Folder is the target, UIDValidity and UIDNext are those seen
// there before; for the others Folder, UIDValidity and UIDNext name the message to remove.
type Intent struct {
	ID          IntentID
	Account     mail.AccountID
	Kind        IntentKind
	Placement   mail.PlacementID
	Folder      int64
	UIDValidity uint32
	UIDNext     uint32
	At          time.Time
}

// BeginIntent files an intent.
func (tx *Tx) BeginIntent(ctx context.Context, i Intent) (IntentID, error) {
	err := tx.QueryRow(ctx, `INSERT INTO intents (account_id, kind, placement_id, folder_id, uidvalidity, uidnext, at)
 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`, i.Account, string(i.Kind), i.Placement, i.Folder, i.UIDValidity, i.UIDNext, mail.Micros(tx.Now)).Scan(&i.ID)
	return i.ID, err
}

// FinishIntent notes an intent's outcome.
func (tx *Tx) FinishIntent(ctx context.Context, id IntentID, outcome string) error {
	_, err := tx.Exec(ctx, `UPDATE intents SET done_at = $1, outcome = $2 WHERE id = $3`, mail.Micros(tx.Now), outcome, id)
	return err
}

// OpenIntents lists the intents of an account whose outcome is not known.
func (tx *Tx) OpenIntents(ctx context.Context, account mail.AccountID) ([]Intent, error) {
	return db.Collect(func(s db.Scanner) (i Intent, err error) {
		var at int64
		err = s.Scan(&i.ID, &i.Account, &i.Kind, &i.Placement, &i.Folder, &i.UIDValidity, &i.UIDNext, &at)
		i.At = mail.FromMicros(at)
		return i, err
	})(tx.Query(ctx, `SELECT id, account_id, kind, placement_id, folder_id, uidvalidity, uidnext, at FROM intents
 WHERE account_id = $1 AND done_at = 0 ORDER BY id`, account))
}
