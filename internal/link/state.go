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
	MergedModseq uint64 // changes here up to this one are merged towards the primary
	// LookAtAll counts how often it was asked that a pass look at every placement
	// without a counterpart, LookedAtAll up to which asking one has.
	LookAtAll, LookedAtAll int64
	PulledAt               time.Time // start of the last look at the primary that went through
	RebuiltAt              time.Time // the primary was declared rebuilt
	SettledFreeze          int64     // the latest freeze whose decision was carried out here
}

// Unlinked tells that some live placements may have no counterpart: the next pass looks at all of them.
func (s State) Unlinked() bool { return s.LookAtAll != s.LookedAtAll }

// State reads where the mirror of an account stands; one never merged has all to do.
func (tx *Tx) State(ctx context.Context, account mail.AccountID) (State, error) {
	s := State{Account: account}
	var pulled, rebuilt int64
	err := tx.QueryRow(ctx, `SELECT merged_modseq, look_at_all, looked_at_all, pulled_at, rebuilt_at, settled_freeze
 FROM mirror_accounts WHERE account_id = $1`, account).
		Scan(&s.MergedModseq, &s.LookAtAll, &s.LookedAtAll, &pulled, &rebuilt, &s.SettledFreeze)
	if db.NoRows(err) {
		return State{Account: account, LookAtAll: 1}, nil
	}
	s.PulledAt, s.RebuiltAt = mail.FromMicros(pulled), mail.FromMicros(rebuilt)
	return s, err
}

// SaveState notes where the mirror of an account stands. LookAtAll and RebuiltAt are others' to set and kept as they are.
func (tx *Tx) SaveState(ctx context.Context, s State) error {
	_, err := tx.Exec(ctx, `INSERT INTO mirror_accounts (account_id, merged_modseq, look_at_all, looked_at_all, pulled_at, rebuilt_at, settled_freeze)
 VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (account_id) DO UPDATE SET merged_modseq = excluded.merged_modseq,
 looked_at_all = excluded.looked_at_all, pulled_at = excluded.pulled_at, settled_freeze = excluded.settled_freeze`,
		s.Account, int64(s.MergedModseq), s.LookAtAll, s.LookedAtAll, mail.Micros(s.PulledAt), s.SettledFreeze)
	return err
}

// LookAtAll makes the next pass look at every placement without a counterpart.
func (tx *Tx) LookAtAll(ctx context.Context, account mail.AccountID) error {
	_, err := tx.Exec(ctx, `INSERT INTO mirror_accounts (account_id, merged_modseq, look_at_all, looked_at_all, pulled_at, rebuilt_at)
 VALUES ($1, 0, 1, 0, 0, 0) ON CONFLICT (account_id) DO UPDATE SET look_at_all = mirror_accounts.look_at_all + 1`, account)
	return err
}

// Rebuilt declares that the account's primary begins anew: every link and folder
// of the base ends, and all that is here is to be put there.
func (tx *Tx) Rebuilt(ctx context.Context, account mail.AccountID) error {
	if err := tx.CloseAll(ctx, account); err != nil {
		return err
	}
	if err := tx.LookAtAll(ctx, account); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE mirror_accounts SET rebuilt_at = $2 WHERE account_id = $1`, account, mail.Micros(tx.Now))
	return err
}

// Why tells what a placement waits for.
type Why string

// The reasons to look at a placement again.
const (
	ForQuiet   Why = "draft"   // somebody is still writing it
	ForFolder  Why = "folder"  // its folder is not there yet
	WasRefused Why = "refused" // the primary refused it: the cause may be gone
	ForUID     Why = "uid"     // it was appended, and the server did not say where
	ForRelay   Why = "relay"   // a relay has it, and the mirror must see how that ends
)

// SetPending has a placement looked at again from a moment on.
func (tx *Tx) SetPending(ctx context.Context, account mail.AccountID, id mail.PlacementID, due time.Time, why Why) error {
	_, err := tx.Exec(ctx, `INSERT INTO pending (placement_id, account_id, due_at, why) VALUES ($1, $2, $3, $4)
 ON CONFLICT (placement_id) DO UPDATE SET due_at = excluded.due_at, why = excluded.why`, id, account, mail.Micros(due), string(why))
	return err
}

// Waiting is a placement that a coming pass looks at.
type Waiting struct {
	Placement mail.PlacementID
	Due       time.Time
	Why       Why
}

// Pending lists what waits in an account, due or not.
func (tx *Tx) Pending(ctx context.Context, account mail.AccountID) ([]Waiting, error) {
	return db.Collect(func(s db.Scanner) (w Waiting, err error) {
		var due int64
		err = s.Scan(&w.Placement, &due, &w.Why)
		w.Due = mail.FromMicros(due)
		return w, err
	})(tx.Query(ctx, `SELECT placement_id, due_at, why FROM pending WHERE account_id = $1 ORDER BY placement_id`, account))
}

// ClearPending forgets that a placement waits, and resolves its refusals.
func (tx *Tx) ClearPending(ctx context.Context, id mail.PlacementID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM pending WHERE placement_id = $1`, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE refusals SET resolved_at = $1 WHERE placement_id = $2 AND resolved_at = 0`, mail.Micros(tx.Now), id)
	return err
}
