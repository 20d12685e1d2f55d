package mailbox

import (
	"context"
	"math"

	"relais/internal/db"
	"relais/internal/mail"
)

// page is how many placements one statement reads. Reading by pages leaves the
// transaction free for other statements while a caller works on a placement.
const page = 1000

// Placement finds a placement, live or a tombstone; fault.NotFound.
func (tx *Tx) Placement(ctx context.Context, id mail.PlacementID) (Placement, error) {
	p, err := scanPlacement(tx.QueryRow(ctx, `SELECT `+placementColumns+` FROM placements WHERE id = $1`, id))
	return p, found(err, "message")
}

// PlacementsByID finds some placements, live or tombstones; those that are not there are left out.
func (tx *Tx) PlacementsByID(ctx context.Context, ids []mail.PlacementID) (map[mail.PlacementID]Placement, error) {
	out := make(map[mail.PlacementID]Placement, len(ids))
	for args := range db.Lists(ids) {
		rows, err := db.Collect(scanPlacement)(tx.Query(ctx, `SELECT `+placementColumns+` FROM placements WHERE id IN (`+db.ListMarks+`)`, args...))
		if err != nil {
			return nil, err
		}
		for _, p := range rows {
			out[p.ID] = p
		}
	}
	return out, nil
}

// PlacementByUID finds a live placement by its UID; fault.NotFound.
func (tx *Tx) PlacementByUID(ctx context.Context, box mail.MailboxID, uid uint32) (Placement, error) {
	p, err := scanPlacement(tx.QueryRow(ctx,
		`SELECT `+placementColumns+` FROM placements WHERE mailbox_id = $1 AND uid = $2 AND deleted_modseq = 0`, box, uid))
	return p, found(err, "message")
}

// Placements calls fn with the live placements whose UIDs lie in from … to, both
// included (to 0: no end), in order of UID. fn may use the transaction.
func (tx *Tx) Placements(ctx context.Context, box mail.MailboxID, from, to uint32, fn func(Placement) error) error {
	if to == 0 {
		to = math.MaxUint32
	}
	for from <= to {
		some, err := db.Collect(scanPlacement)(tx.Query(ctx, `SELECT `+placementColumns+` FROM placements
 WHERE mailbox_id = $1 AND uid >= $2 AND uid <= $3 AND deleted_modseq = 0 ORDER BY uid LIMIT $4`, box, from, to, page))
		if err != nil {
			return err
		}
		for _, p := range some {
			if err := fn(p); err != nil {
				return err
			}
		}
		if len(some) < page || some[len(some)-1].UID == math.MaxUint32 {
			return nil
		}
		from = some[len(some)-1].UID + 1
	}
	return nil
}

// ChangedSince calls fn with the live placements of the mailbox that arrived or
// changed after modseq, in order of modseq (RFC 7162 §3.1.4.1). fn may use the
// transaction, but a change that it makes in this mailbox comes by again.
func (tx *Tx) ChangedSince(ctx context.Context, box mail.MailboxID, modseq uint64, fn func(Placement) error) error {
	for {
		some, err := db.Collect(scanPlacement)(tx.Query(ctx, `SELECT `+placementColumns+` FROM placements
 WHERE mailbox_id = $1 AND modseq > $2 AND deleted_modseq = 0 ORDER BY modseq LIMIT $3`, box, modseq, page))
		if err != nil {
			return err
		}
		for _, p := range some {
			if err := fn(p); err != nil {
				return err
			}
		}
		if len(some) < page {
			return nil
		}
		modseq = some[len(some)-1].Modseq
	}
}

// Vanished lists, in order, the UIDs that were expunged from the mailbox or moved
// out of it after modseq (RFC 7162 §3.2.10).
func (tx *Tx) Vanished(ctx context.Context, box mail.MailboxID, since uint64) ([]uint32, error) {
	return db.Collect(func(s db.Scanner) (uid uint32, err error) { return uid, s.Scan(&uid) })(
		tx.Query(ctx, `SELECT from_uid FROM changes WHERE from_mailbox_id = $1 AND from_mailbox_id <> 0 AND modseq > $2 ORDER BY from_uid`, box, since))
}

// PlacementsOf lists the account's placements of an email in order of ID, tombstones included.
func (tx *Tx) PlacementsOf(ctx context.Context, acc mail.AccountID, email mail.EmailID) ([]Placement, error) {
	return db.Collect(scanPlacement)(tx.Query(ctx,
		`SELECT `+placementColumns+` FROM placements WHERE email_id = $1 AND account_id = $2 ORDER BY id`, email, acc))
}

// PlacementsByMessageID lists the account's live placements of emails with this
// Message-ID, in order of ID.
func (tx *Tx) PlacementsByMessageID(ctx context.Context, acc mail.AccountID, messageID string) ([]Placement, error) {
	return db.Collect(scanPlacement)(tx.Query(ctx, `SELECT `+placementColumns+` FROM placements
 WHERE account_id = $1 AND deleted_modseq = 0 AND email_id IN
 (SELECT e.id FROM emails e JOIN accounts a ON a.tenant_id = e.tenant_id WHERE a.id = $1 AND e.message_id = $2) ORDER BY id`,
		acc, db.Text(messageID)))
}

// Tombstones lists the deleted placements of a mailbox, the latest first, at most limit.
func (tx *Tx) Tombstones(ctx context.Context, box mail.MailboxID, limit int) ([]Placement, error) {
	return db.Collect(scanPlacement)(tx.Query(ctx, `SELECT `+placementColumns+` FROM placements
 WHERE mailbox_id = $1 AND deleted_modseq > 0 ORDER BY modseq DESC LIMIT $2`, box, limit))
}

// Thread lists the live placements of a thread in order of ID.
func (tx *Tx) Thread(ctx context.Context, acc mail.AccountID, thread mail.ThreadID) ([]Placement, error) {
	return db.Collect(scanPlacement)(tx.Query(ctx, `SELECT `+placementColumns+` FROM placements
 WHERE account_id = $1 AND thread_id = $2 AND deleted_modseq = 0 ORDER BY id`, acc, int64(thread)))
}

// Content is what a client is told when it opens a mailbox.
type Content struct {
	UIDs        []uint32 // of the live placements, in order
	FirstUnseen uint32   // UID; 0 if all are seen
	Keywords    []string // in use, each once
}

// Content reads what stands in the mailbox without reading the placements whole.
func (tx *Tx) Content(ctx context.Context, box Mailbox) (c Content, err error) {
	c.UIDs, err = db.Collect(func(s db.Scanner) (uid uint32, err error) { return uid, s.Scan(&uid) })(
		tx.Query(ctx, `SELECT uid FROM placements WHERE mailbox_id = $1 AND deleted_modseq = 0 ORDER BY uid`, box.ID))
	if err != nil {
		return c, err
	}
	if box.Unseen > 0 {
		err = tx.QueryRow(ctx, `SELECT COALESCE(MIN(uid), 0) FROM placements WHERE mailbox_id = $1 AND deleted_modseq = 0 AND (system & 1) = 0`, box.ID).
			Scan(&c.FirstUnseen)
		if err != nil {
			return c, err
		}
	}
	sets, err := db.Collect(func(s db.Scanner) (words string, err error) { return words, s.Scan(&words) })(
		tx.Query(ctx, `SELECT DISTINCT keywords FROM placements WHERE mailbox_id = $1 AND deleted_modseq = 0 AND keywords <> ''`, box.ID))
	var f mail.Flags
	for _, words := range sets {
		f = f.Union(mail.Flags{Keywords: mail.DecodeKeywords(words)})
	}
	c.Keywords = f.Keywords
	return c, err
}
