// Package link keeps what the mirror knows of a primary: folders and links of placements to their counterparts there, with all their history.
//
// A link is the base of the three-way merge: where the primary has a placement's
// message, and the flags and the mailbox on which both sides last agreed. Links
// and folders are append-only: a change closes one row (valid_to) and opens the
// next, so that the base can be read as of any moment (docs/formats/ledger.md).
package link

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Tx works on the tables of this package within one transaction.
type Tx struct {
	db.Tx
	Now time.Time
}

// In makes a Tx.
func In(tx db.Tx, now time.Time) *Tx { return &Tx{Tx: tx, Now: now} }

// Link is a placement's counterpart at the primary, and the base.
type Link struct {
	ID          mail.LinkID
	Account     mail.AccountID
	Placement   mail.PlacementID
	Folder      int64 // Folder.Key
	UIDValidity uint32
	UID         uint32
	Base        mail.Flags
	BaseMailbox mail.MailboxID
	// ServerHash and ServerPrint are of the bytes as the server has them; zero when they were not read.
	ServerHash  mail.Hash
	ServerPrint [32]byte
	Unkept      mail.Flags // flags that the server can't keep: part of Base, never read as removed
	Appended    bool       // the mirror put it there; false when the primary had it from elsewhere
	From, To    time.Time  // To is zero for the current one
}

const linkColumns = `id, account_id, placement_id, folder_id, uidvalidity, uid, base_system, base_keywords, base_mailbox_id,
 server_hash, server_print, unkept_system, unkept_keywords, appended, valid_from, valid_to`

func scanLink(s db.Scanner) (Link, error) {
	var l Link
	var base, unkept string
	var hash, print []byte
	var from, to int64
	err := s.Scan(&l.ID, &l.Account, &l.Placement, &l.Folder, &l.UIDValidity, &l.UID, &l.Base.System, &base, &l.BaseMailbox,
		&hash, &print, &l.Unkept.System, &unkept, &l.Appended, &from, &to)
	l.Base.Keywords, l.Unkept.Keywords = mail.DecodeKeywords(base), mail.DecodeKeywords(unkept)
	copy(l.ServerHash[:], hash)
	copy(l.ServerPrint[:], print)
	l.From, l.To = mail.FromMicros(from), mail.FromMicros(to)
	return l, err
}

// Open files a new link. fault.Conflict when the placement or the UID has one already.
func (tx *Tx) Open(ctx context.Context, l Link) (Link, error) {
	l.From, l.To = tx.Now, time.Time{}
	err := tx.QueryRow(ctx, `INSERT INTO links (account_id, placement_id, folder_id, uidvalidity, uid, base_system, base_keywords,
 base_mailbox_id, server_hash, server_print, unkept_system, unkept_keywords, appended, valid_from)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING RETURNING id`,
		l.Account, l.Placement, l.Folder, l.UIDValidity, l.UID, l.Base.System, l.Base.EncodeKeywords(), l.BaseMailbox,
		l.ServerHash[:], l.ServerPrint[:], l.Unkept.System, l.Unkept.EncodeKeywords(), db.Bool(l.Appended), mail.Micros(tx.Now)).Scan(&l.ID)
	if db.NoRows(err) {
		return l, fault.New(fault.Conflict, "message %d or UID %d is linked already", l.Placement, l.UID)
	}
	return l, err
}

// Close ends a link; closing one that is closed changes nothing.
func (tx *Tx) Close(ctx context.Context, id mail.LinkID) error {
	_, err := tx.Exec(ctx, `UPDATE links SET valid_to = $1 WHERE id = $2 AND valid_to = 0`, mail.Micros(tx.Now), id)
	return err
}

// Rebase closes the link with l's ID and opens l in its place, under a new ID.
func (tx *Tx) Rebase(ctx context.Context, l Link) (Link, error) {
	if err := tx.Close(ctx, l.ID); err != nil {
		return l, err
	}
	return tx.Open(ctx, l)
}

// ByPlacement finds the current link of a placement.
func (tx *Tx) ByPlacement(ctx context.Context, id mail.PlacementID) (Link, bool, error) {
	return tx.one(ctx, `SELECT `+linkColumns+` FROM links WHERE placement_id = $1 AND valid_to = 0`, id)
}

// ByRemote finds the current link of a message of the primary.
func (tx *Tx) ByRemote(ctx context.Context, folder int64, uidvalidity, uid uint32) (Link, bool, error) {
	return tx.one(ctx, `SELECT `+linkColumns+` FROM links WHERE folder_id = $1 AND uidvalidity = $2 AND uid = $3 AND valid_to = 0`,
		folder, uidvalidity, uid)
}

// OfPlacements finds the current links of some placements.
func (tx *Tx) OfPlacements(ctx context.Context, ids []mail.PlacementID) (map[mail.PlacementID]Link, error) {
	links := make(map[mail.PlacementID]Link, len(ids))
	for args := range db.Lists(ids) {
		rows, err := db.Collect(scanLink)(tx.Query(ctx, `SELECT `+linkColumns+` FROM links WHERE valid_to = 0
 AND placement_id IN (`+db.ListMarks+`)`, args...))
		if err != nil {
			return nil, err
		}
		for _, l := range rows {
			links[l.Placement] = l
		}
	}
	return links, nil
}

func (tx *Tx) one(ctx context.Context, query string, args ...any) (Link, bool, error) {
	l, err := scanLink(tx.QueryRow(ctx, query, args...))
	if db.NoRows(err) {
		return Link{}, false, nil
	}
	return l, err == nil, err
}

// OfFolder lists the current links of a folder, by UID.
func (tx *Tx) OfFolder(ctx context.Context, folder int64) ([]Link, error) {
	return db.Collect(scanLink)(tx.Query(ctx, `SELECT `+linkColumns+` FROM links WHERE folder_id = $1 AND valid_to = 0 ORDER BY uid`, folder))
}

// UIDs lists the UIDs that are linked to a folder, in order.
func (tx *Tx) UIDs(ctx context.Context, folder int64) ([]uint32, error) {
	return db.Collect(func(s db.Scanner) (uid uint32, err error) { return uid, s.Scan(&uid) })(
		tx.Query(ctx, `SELECT uid FROM links WHERE folder_id = $1 AND valid_to = 0 ORDER BY uid`, folder))
}

// Unlinked lists the live placements of an account that have no counterpart.
func (tx *Tx) Unlinked(ctx context.Context, account mail.AccountID) ([]mail.PlacementID, error) {
	return db.Collect(scanPlacementID)(tx.Query(ctx, `SELECT p.id FROM placements p JOIN mailboxes m ON m.id = p.mailbox_id
 WHERE m.account_id = $1 AND m.deleted_modseq = 0 AND p.deleted_modseq = 0
 AND NOT EXISTS (SELECT 1 FROM links l WHERE l.placement_id = p.id AND l.valid_to = 0) ORDER BY p.id`, account))
}

// Loose is a live placement without a counterpart, and by what it is recognised.
type Loose struct {
	Placement mail.PlacementID
	Mailbox   mail.MailboxID
	Hash      mail.Hash
	Print     [32]byte
}

const looseColumns = `SELECT p.id, p.mailbox_id, e.hash, e.content_print FROM placements p JOIN mailboxes m ON m.id = p.mailbox_id
 JOIN emails e ON e.id = p.email_id WHERE p.deleted_modseq = 0
 AND NOT EXISTS (SELECT 1 FROM links l WHERE l.placement_id = p.id AND l.valid_to = 0)`

func scanLoose(s db.Scanner) (l Loose, err error) {
	var hash, print []byte
	err = s.Scan(&l.Placement, &l.Mailbox, &hash, &print)
	copy(l.Hash[:], hash)
	copy(l.Print[:], print)
	return l, err
}

// Loose lists the live placements of an account that have no counterpart.
func (tx *Tx) Loose(ctx context.Context, account mail.AccountID) ([]Loose, error) {
	return db.Collect(scanLoose)(tx.Query(ctx, looseColumns+` AND m.account_id = $1 AND m.deleted_modseq = 0 ORDER BY p.id`, account))
}

// LooseOf tells of some placements those that are live and have no counterpart.
func (tx *Tx) LooseOf(ctx context.Context, ids []mail.PlacementID) (loose []Loose, err error) {
	for args := range db.Lists(ids) {
		some, err := db.Collect(scanLoose)(tx.Query(ctx, looseColumns+` AND p.id IN (`+db.ListMarks+`)`, args...))
		if err != nil {
			return nil, err
		}
		loose = append(loose, some...)
	}
	return loose, nil
}

func scanPlacementID(s db.Scanner) (id mail.PlacementID, err error) { return id, s.Scan(&id) }

// CloseAll ends every link and folder of an account: its primary was declared
// rebuilt. Their history stays.
func (tx *Tx) CloseAll(ctx context.Context, account mail.AccountID) error {
	for _, query := range []string{
		`UPDATE links SET valid_to = $1 WHERE account_id = $2 AND valid_to = 0`,
		`UPDATE folders SET valid_to = $1 WHERE account_id = $2 AND valid_to = 0`,
		`UPDATE intents SET done_at = $1, outcome = 'the primary begins anew' WHERE account_id = $2 AND done_at = 0`,
	} {
		if _, err := tx.Exec(ctx, query, mail.Micros(tx.Now), account); err != nil {
			return err
		}
	}
	return nil
}
