package mailbox

import (
	"context"
	"math"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// SetFlags gives the placement exactly these flags. Where it has them already
// nothing happens and no modseq is taken.
func (tx *Tx) SetFlags(ctx context.Context, id mail.PlacementID, flags mail.Flags, origin mail.Origin) (Placement, error) {
	p, err := tx.livePlacement(ctx, id)
	if err != nil || p.Flags.Equal(flags) {
		return p, err
	}
	if len(flags.Keywords) > mail.MaxKeywords {
		return p, fault.New(fault.OverLimit, "more than %d keywords on a message", mail.MaxKeywords)
	}
	modseq, err := tx.nextModseq(ctx, p.Account)
	if err != nil {
		return p, err
	}
	before := p.Flags
	p.Flags, p.Modseq = flags, modseq
	_, err = tx.Exec(ctx, `UPDATE placements SET system = $2, keywords = $3, modseq = $4 WHERE id = $1`,
		id, int64(flags.System), flags.EncodeKeywords(), modseq)
	if err != nil {
		return p, err
	}
	_, err = tx.Exec(ctx, `UPDATE mailboxes SET modseq = $2, unseen = unseen + $3 WHERE id = $1`,
		p.Mailbox, modseq, unseen(flags)-unseen(before))
	if err != nil {
		return p, err
	}
	return p, tx.change(ctx, &Change{Account: p.Account, Modseq: modseq, Origin: origin, Kind: Flagged,
		Placement: id, Email: p.Email, Mailbox: p.Mailbox, UID: p.UID, Before: before, After: flags})
}

// Move puts the placement in another mailbox of its account, where it gets a new
// UID. Moving into the mailbox it stands in gives it a new UID too (RFC 6851
// §3.3 allows it). fault.Denied across accounts: copy and expunge there.
func (tx *Tx) Move(ctx context.Context, id mail.PlacementID, to mail.MailboxID, origin mail.Origin) (Placement, error) {
	p, err := tx.livePlacement(ctx, id)
	if err != nil {
		return p, err
	}
	if err := tx.target(ctx, p.Account, to); err != nil {
		return p, err
	}
	modseq, err := tx.nextModseq(ctx, p.Account)
	if err != nil {
		return p, err
	}
	fromBox, fromUID := p.Mailbox, p.UID
	if err := tx.leave(ctx, fromBox, modseq, p.Flags, p.Size); err != nil {
		return p, err
	}
	if p.UID, err = tx.arrive(ctx, p.Account, to, modseq, p.Flags, p.Size); err != nil {
		return p, err
	}
	p.Mailbox, p.Modseq = to, modseq
	_, err = tx.Exec(ctx, `UPDATE placements SET mailbox_id = $2, uid = $3, modseq = $4 WHERE id = $1`, id, to, p.UID, modseq)
	if err != nil {
		return p, err
	}
	return p, tx.change(ctx, &Change{Account: p.Account, Modseq: modseq, Origin: origin, Kind: Moved,
		Placement: id, Email: p.Email, Mailbox: to, UID: p.UID, FromMailbox: fromBox, FromUID: fromUID, Before: p.Flags, After: p.Flags})
}

// Copy places the same email, with flags and internal date, in a mailbox of the
// same tenant, and returns the new placement.
func (tx *Tx) Copy(ctx context.Context, id mail.PlacementID, to mail.MailboxID, origin mail.Origin) (Placement, error) {
	p, err := tx.livePlacement(ctx, id)
	if err != nil {
		return p, err
	}
	n := Place{Account: p.Account, Mailbox: to, Email: p.Email, Hash: p.Hash, Size: p.Size, Flags: p.Flags,
		InternalDate: p.InternalDate, Thread: p.Thread, Origin: origin}
	box, err := tx.Mailbox(ctx, to)
	if err != nil {
		return p, err
	}
	if box.Account != p.Account {
		if err := tx.sameTenant(ctx, p.Account, box.Account); err != nil {
			return p, err
		}
		e, err := tx.Email(ctx, p.Email)
		if err != nil {
			return p, err
		}
		n.Account, n.Thread, n.MessageIDs = box.Account, 0, []string{e.MessageID}
	}
	return tx.Place(ctx, n)
}

// Expunge makes a tombstone of the placement and returns it.
func (tx *Tx) Expunge(ctx context.Context, id mail.PlacementID, origin mail.Origin) (Placement, error) {
	p, err := tx.livePlacement(ctx, id)
	if err != nil {
		return p, err
	}
	modseq, err := tx.nextModseq(ctx, p.Account)
	if err != nil {
		return p, err
	}
	p.Modseq, p.DeletedModseq, p.DeletedAt, p.DeletedBy = modseq, modseq, tx.Now, tx.by(origin)
	_, err = tx.Exec(ctx, `UPDATE placements SET modseq = $2, deleted_modseq = $2, deleted_at = $3, deleted_by = $4 WHERE id = $1`,
		id, modseq, mail.Micros(tx.Now), p.DeletedBy)
	if err != nil {
		return p, err
	}
	if err := tx.leave(ctx, p.Mailbox, modseq, p.Flags, p.Size); err != nil {
		return p, err
	}
	return p, tx.change(ctx, &Change{Account: p.Account, Modseq: modseq, Origin: origin, Kind: Expunged,
		Placement: id, Email: p.Email, FromMailbox: p.Mailbox, FromUID: p.UID, Before: p.Flags, After: p.Flags})
}

// Restore brings a tombstone back, with a new UID in the mailbox to (0: where it
// stood). fault.Conflict when it is live.
func (tx *Tx) Restore(ctx context.Context, id mail.PlacementID, to mail.MailboxID, origin mail.Origin) (Placement, error) {
	p, err := tx.lockedPlacement(ctx, id)
	if err != nil {
		return p, err
	}
	if p.Live() {
		return p, fault.New(fault.Conflict, "the message was not deleted")
	}
	if to == 0 {
		to = p.Mailbox
	}
	if err := tx.target(ctx, p.Account, to); err != nil {
		return p, err
	}
	modseq, err := tx.nextModseq(ctx, p.Account)
	if err != nil {
		return p, err
	}
	if p.UID, err = tx.arrive(ctx, p.Account, to, modseq, p.Flags, p.Size); err != nil {
		return p, err
	}
	p.Mailbox, p.Modseq = to, modseq
	p.DeletedModseq, p.DeletedAt, p.DeletedBy = 0, mail.FromMicros(0), ""
	_, err = tx.Exec(ctx, `UPDATE placements SET mailbox_id = $2, uid = $3, modseq = $4, deleted_modseq = 0, deleted_at = 0, deleted_by = '' WHERE id = $1`,
		id, to, p.UID, modseq)
	if err != nil {
		return p, err
	}
	return p, tx.change(ctx, &Change{Account: p.Account, Modseq: modseq, Origin: origin, Kind: Restored,
		Placement: id, Email: p.Email, Mailbox: to, UID: p.UID, Before: p.Flags, After: p.Flags})
}

// lockedPlacement reads a placement, live or not, in its latest state and keeps
// others from changing it until the end of the transaction.
func (tx *Tx) lockedPlacement(ctx context.Context, id mail.PlacementID) (Placement, error) {
	query := `SELECT ` + placementColumns + ` FROM placements WHERE id = $1`
	if tx.Dialect() == db.Postgres {
		query = `SELECT ` + placementColumns + ` FROM placements WHERE id = $1 FOR UPDATE`
	}
	p, err := scanPlacement(tx.QueryRow(ctx, query, id))
	return p, found(err, "message")
}

func (tx *Tx) livePlacement(ctx context.Context, id mail.PlacementID) (Placement, error) {
	p, err := tx.lockedPlacement(ctx, id)
	if err == nil && !p.Live() {
		return p, fault.New(fault.NotFound, "the message was deleted")
	}
	return p, err
}

// target makes sure, before anything is written, that the placement can arrive:
// a live mailbox of its account, which stays so until the end of the transaction.
func (tx *Tx) target(ctx context.Context, acc mail.AccountID, box mail.MailboxID) error {
	m, err := tx.live(ctx, box)
	if err != nil {
		return err
	}
	if m.Account != acc {
		return fault.New(fault.Denied, "the mailbox belongs to another account")
	}
	if int64(m.UIDNext) >= math.MaxUint32 {
		return fault.New(fault.OverLimit, "the mailbox has given all its UIDs")
	}
	return nil
}

func (tx *Tx) sameTenant(ctx context.Context, a, b mail.AccountID) error {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(DISTINCT tenant_id) FROM accounts WHERE id IN ($1, $2)`, a, b).Scan(&n)
	if err == nil && n != 1 {
		err = fault.New(fault.Denied, "the mailbox belongs to another tenant")
	}
	return err
}
