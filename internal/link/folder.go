package link

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// Folder is a folder of the primary that is joined to a mailbox here.
type Folder struct {
	Key      int64 // stays the same through the folder's history
	Account  mail.AccountID
	Name     string // the primary's, UTF-8, "/" between levels
	Mailbox  mail.MailboxID
	BaseName string // the mailbox's name when both sides last agreed
	Role     mail.Role
	ObjectID string // MAILBOXID (RFC 8474)
	NoSelect bool
	ReadOnly bool // nothing can be written there: pull only
	// Subscribed is what both sides last agreed on.
	Subscribed bool
	Token
	Permanent mail.Flags // PERMANENTFLAGS
	AnyWord   bool       // new keywords are taken (\*)
}

// Token is the position up to which the folder was read.
type Token struct {
	UIDValidity   uint32
	UIDNext       uint32
	HighestModseq uint64
	Messages      uint32
}

const folderColumns = `id, account_id, name, mailbox_id, base_name, role, object_id, no_select,
 read_only, subscribed, uidvalidity, uidnext,
 highest_modseq, messages, permanent_system, permanent_keywords, any_keyword`

func scanFolder(s db.Scanner) (Folder, error) {
	var f Folder
	var keywords string
	err := s.Scan(&f.Key, &f.Account, &f.Name, &f.Mailbox, &f.BaseName, &f.Role, &f.ObjectID, &f.NoSelect,
		&f.ReadOnly, &f.Subscribed, &f.UIDValidity, &f.UIDNext,
		&f.HighestModseq, &f.Messages, &f.Permanent.System, &keywords, &f.AnyWord)
	f.Permanent.Keywords = mail.DecodeKeywords(keywords)
	return f, err
}

// Folders lists the current folders of an account, by name.
func (tx *Tx) Folders(ctx context.Context, account mail.AccountID) ([]Folder, error) {
	return db.Collect(scanFolder)(tx.Query(ctx, `SELECT `+folderColumns+` FROM folders WHERE account_id = $1 AND valid_to = 0 ORDER BY name`, account))
}

// OpenFolder files a folder that is new to the base and gives it its key.
func (tx *Tx) OpenFolder(ctx context.Context, f Folder) (Folder, error) {
	// Keys are numbered within an account, since accounts are merged at the same time.
	err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(id), $1 * 1000000) + 1 FROM folders WHERE account_id = $1`, f.Account).Scan(&f.Key)
	if err != nil {
		return f, err
	}
	return f, tx.insertFolder(ctx, f)
}

func (tx *Tx) insertFolder(ctx context.Context, f Folder) error {
	_, err := tx.Exec(ctx, `INSERT INTO folders (`+folderColumns+`, valid_from)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		f.Key, f.Account, f.Name, f.Mailbox, f.BaseName, string(f.Role), f.ObjectID, db.Bool(f.NoSelect),
		db.Bool(f.ReadOnly), db.Bool(f.Subscribed), f.UIDValidity, f.UIDNext,
		int64(f.HighestModseq), f.Messages, f.Permanent.System, f.Permanent.EncodeKeywords(), db.Bool(f.AnyWord), mail.Micros(tx.Now))
	return err
}

// CloseFolder ends a folder and its links.
func (tx *Tx) CloseFolder(ctx context.Context, key int64) error {
	for _, query := range []string{
		`UPDATE folders SET valid_to = $1 WHERE id = $2 AND valid_to = 0`,
		`UPDATE links SET valid_to = $1 WHERE folder_id = $2 AND valid_to = 0`,
	} {
		if _, err := tx.Exec(ctx, query, mail.Micros(tx.Now), key); err != nil {
			return err
		}
	}
	return nil
}

// ChangeFolder closes the current row of the folder and opens f in its place; its links go on.
func (tx *Tx) ChangeFolder(ctx context.Context, f Folder) error {
	if _, err := tx.Exec(ctx, `UPDATE folders SET valid_to = $1 WHERE id = $2 AND valid_to = 0`, mail.Micros(tx.Now), f.Key); err != nil {
		return err
	}
	return tx.insertFolder(ctx, f)
}

// SaveToken notes up to where a folder was read, and what it keeps. Another
// UIDVALIDITY is another identity, and so a new row of its history.
func (tx *Tx) SaveToken(ctx context.Context, f Folder, then Token) error {
	if then.UIDValidity != f.UIDValidity {
		f.Token = then
		return tx.ChangeFolder(ctx, f)
	}
	_, err := tx.Exec(ctx, `UPDATE folders SET uidnext = $1, highest_modseq = $2, messages = $3, permanent_system = $4,
 permanent_keywords = $5, any_keyword = $6, read_only = $7 WHERE id = $8 AND valid_to = 0`,
		then.UIDNext, int64(then.HighestModseq), then.Messages, f.Permanent.System, f.Permanent.EncodeKeywords(), db.Bool(f.AnyWord),
		db.Bool(f.ReadOnly), f.Key)
	return err
}

// SetSubscribed notes what both sides agree on about a folder's subscription.
func (tx *Tx) SetSubscribed(ctx context.Context, key int64, on bool) error {
	_, err := tx.Exec(ctx, `UPDATE folders SET subscribed = $1 WHERE id = $2 AND valid_to = 0`, db.Bool(on), key)
	return err
}

// FoldersAsOf lists the folders of an account as the base had them at a moment.
func (tx *Tx) FoldersAsOf(ctx context.Context, account mail.AccountID, at time.Time) ([]Folder, error) {
	return db.Collect(scanFolder)(tx.Query(ctx, `SELECT `+folderColumns+` FROM folders
 WHERE account_id = $1 AND valid_from <= $2 AND (valid_to = 0 OR valid_to > $2) ORDER BY name`, account, mail.Micros(at)))
}
