package link

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// State is where the mirror of an account stands.
type State struct {
	Account      mail.AccountID
	MergedModseq uint64    // changes here up to this one are merged towards the primary
	Unlinked     bool      // some live placements may have no counterpart: the next pass looks at all of them
	PulledAt     time.Time // start of the last look at the primary that went through
	RebuiltAt    time.Time // the primary was declared rebuilt
}

// State reads where the mirror of an account stands; one never merged has all to do.
func (tx *Tx) State(ctx context.Context, account mail.AccountID) (State, error) {
	s := State{Account: account}
	var pulled, rebuilt int64
	err := tx.QueryRow(ctx, `SELECT merged_modseq, unlinked, pulled_at, rebuilt_at FROM mirror_accounts WHERE account_id = $1`, account).
		Scan(&s.MergedModseq, &s.Unlinked, &pulled, &rebuilt)
	if db.NoRows(err) {
		return State{Account: account, Unlinked: true}, nil
	}
	s.PulledAt, s.RebuiltAt = mail.FromMicros(pulled), mail.FromMicros(rebuilt)
	return s, err
}

// SaveState notes where the mirror of an account stands. RebuiltAt is kept as it is.
func (tx *Tx) SaveState(ctx context.Context, s State) error {
	_, err := tx.Exec(ctx, `INSERT INTO mirror_accounts (account_id, merged_modseq, unlinked, pulled_at, rebuilt_at)
 VALUES ($1, $2, $3, $4, 0) ON CONFLICT (account_id) DO UPDATE SET merged_modseq = excluded.merged_modseq,
 unlinked = excluded.unlinked, pulled_at = excluded.pulled_at`,
		s.Account, int64(s.MergedModseq), db.Bool(s.Unlinked), mail.Micros(s.PulledAt))
	return err
}

// LookAtAll makes the next pass look at every placement without a counterpart.
func (tx *Tx) LookAtAll(ctx context.Context, account mail.AccountID) error {
	_, err := tx.Exec(ctx, `INSERT INTO mirror_accounts (account_id, merged_modseq, unlinked, pulled_at, rebuilt_at)
 VALUES ($1, 0, 1, 0, 0) ON CONFLICT (account_id) DO UPDATE SET unlinked = 1`, account)
	return err
}

// Rebuilt declares that the account's primary begins anew: every link and folder
// of the base ends, and all that is here is to be put there.
func (tx *Tx) Rebuilt(ctx context.Context, account mail.AccountID) error {
	if err := tx.CloseAll(ctx, account); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO mirror_accounts (account_id, merged_modseq, unlinked, pulled_at, rebuilt_at)
 VALUES ($1, 0, 1, 0, $2) ON CONFLICT (account_id) DO UPDATE SET unlinked = 1, rebuilt_at = excluded.rebuilt_at`, account, mail.Micros(tx.Now))
	return err
}

// Why tells what a placement waits for.
type Why string

// The reasons to look at a placement again.
const (
	ForQuiet   Why = "draft"   // somebody is still writing it
	ForFolder  Why = "folder"  // its folder is not there yet
	WasRefused Why = "refused" // the primary refused it: the cause may be gone
)

// SetPending has a placement looked at again from a moment on.
func (tx *Tx) SetPending(ctx context.Context, account mail.AccountID, id mail.PlacementID, due time.Time, why Why) error {
	_, err := tx.Exec(ctx, `INSERT INTO pending (placement_id, account_id, due_at, why) VALUES ($1, $2, $3, $4)
 ON CONFLICT (placement_id) DO UPDATE SET due_at = excluded.due_at, why = excluded.why`, id, account, mail.Micros(due), string(why))
	return err
}

// Pending lists the placements that are due, and tells how many wait for a later moment.
func (tx *Tx) Pending(ctx context.Context, account mail.AccountID, now time.Time) (due []mail.PlacementID, later int, err error) {
	due, err = db.Collect(scanPlacementID)(tx.Query(ctx, `SELECT placement_id FROM pending WHERE account_id = $1 AND due_at <= $2 ORDER BY placement_id`,
		account, mail.Micros(now)))
	if err != nil {
		return nil, 0, err
	}
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM pending WHERE account_id = $1 AND due_at > $2 AND why <> 'refused'`, account, mail.Micros(now)).Scan(&later)
	return due, later, err
}

// ClearPending forgets that a placement waits, and resolves its refusals.
func (tx *Tx) ClearPending(ctx context.Context, id mail.PlacementID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM pending WHERE placement_id = $1`, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE refusals SET resolved_at = $1 WHERE placement_id = $2 AND resolved_at = 0`, mail.Micros(tx.Now), id)
	return err
}
