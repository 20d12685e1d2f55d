package mailbox

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// ChangeKind says what happened; the values are stored.
type ChangeKind string

// The kinds of changes. A copy is a Placed of the same email.
const (
	Placed         ChangeKind = "place"
	Flagged        ChangeKind = "flags"
	Moved          ChangeKind = "move"
	Expunged       ChangeKind = "expunge"
	Restored       ChangeKind = "restore"
	MailboxCreated ChangeKind = "mailbox-create"
	MailboxRenamed ChangeKind = "mailbox-rename"
	MailboxDeleted ChangeKind = "mailbox-delete"
	MailboxChanged ChangeKind = "mailbox-change"
)

// Change is one event of an account. Mailbox and UID say where the placement
// stands after it, FromMailbox and FromUID where it no longer stands: a move has
// both, an expunge only the latter, place, flags and restore only the former.
// Changes of mailboxes have only Mailbox, and Detail (BoxDetail as JSON).
type Change struct {
	Account     mail.AccountID
	Modseq      uint64
	At          time.Time
	Origin      mail.Origin
	Actor       string
	Kind        ChangeKind
	Placement   mail.PlacementID
	Email       mail.EmailID
	Mailbox     mail.MailboxID
	UID         uint32
	FromMailbox mail.MailboxID
	FromUID     uint32
	Before      mail.Flags
	After       mail.Flags
	Detail      string
}

// BoxDetail is the detail of a change of a mailbox. Name and Role are the new
// ones (of a deleted mailbox: the last ones).
type BoxDetail struct {
	Name       string    `json:"name,omitempty"`
	FromName   string    `json:"from_name,omitempty"`
	Role       mail.Role `json:"role,omitempty"`
	FromRole   mail.Role `json:"from_role,omitempty"`
	Subscribed *bool     `json:"subscribed,omitempty"`
}

const changeColumns = `account_id, modseq, at, origin, actor, kind, placement_id, email_id, mailbox_id, uid,
 from_mailbox_id, from_uid, before_system, before_keywords, after_system, after_keywords, detail`

// change writes one row; its modseq was just taken.
func (tx *Tx) change(ctx context.Context, c *Change) error {
	actor := c.Actor
	if actor == "" {
		actor = tx.Actor
	}
	_, err := tx.Exec(ctx, `INSERT INTO changes (`+changeColumns+`)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		c.Account, c.Modseq, mail.Micros(tx.Now), string(c.Origin), actor, string(c.Kind), c.Placement, c.Email, c.Mailbox, c.UID,
		c.FromMailbox, c.FromUID, int64(c.Before.System), c.Before.EncodeKeywords(), int64(c.After.System), c.After.EncodeKeywords(), c.Detail)
	return err
}

func scanChange(s db.Scanner) (Change, error) {
	var c Change
	var at int64
	var before, after string
	err := s.Scan(&c.Account, &c.Modseq, &at, &c.Origin, &c.Actor, &c.Kind, &c.Placement, &c.Email, &c.Mailbox, &c.UID,
		&c.FromMailbox, &c.FromUID, &c.Before.System, &before, &c.After.System, &after, &c.Detail)
	c.At = mail.FromMicros(at)
	c.Before.Keywords, c.After.Keywords = mail.DecodeKeywords(before), mail.DecodeKeywords(after)
	return c, err
}

// Changes lists at most limit changes of the account after modseq, in order.
func (tx *Tx) Changes(ctx context.Context, acc mail.AccountID, after uint64, limit int) ([]Change, error) {
	return db.Collect(scanChange)(tx.Query(ctx,
		`SELECT `+changeColumns+` FROM changes WHERE account_id = $1 AND modseq > $2 ORDER BY modseq LIMIT $3`, acc, after, limit))
}

// ChangesOf lists all changes of one placement, in order: its life.
func (tx *Tx) ChangesOf(ctx context.Context, id mail.PlacementID) ([]Change, error) {
	return db.Collect(scanChange)(tx.Query(ctx,
		`SELECT `+changeColumns+` FROM changes WHERE account_id = (SELECT account_id FROM placements WHERE id = $1)
 AND modseq >= (SELECT created_modseq FROM placements WHERE id = $1) AND modseq <= (SELECT modseq FROM placements WHERE id = $1)
 AND placement_id = $1 ORDER BY modseq`, id))
}

// by names who makes a change: the actor, or what the origin says.
func (tx *Tx) by(origin mail.Origin) string {
	if tx.Actor != "" {
		return tx.Actor
	}
	return string(origin)
}
