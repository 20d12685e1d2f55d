package mailbox

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Mailbox is a folder of an account. Messages, Unseen and Bytes count its live
// placements and are kept in the transaction of each change.
type Mailbox struct {
	ID            mail.MailboxID
	Account       mail.AccountID
	Name          string // full path, levels between "/", NFC
	Role          mail.Role
	UIDValidity   uint32
	UIDNext       uint32
	Modseq        uint64 // highest of any change in it
	Subscribed    bool
	ByRelais      bool // made with the account, not by a person nor at a primary
	Messages      int64
	Unseen        int64
	Bytes         int64
	CreatedModseq uint64
	CreatedAt     time.Time
	DeletedModseq uint64 // 0: live
	DeletedAt     time.Time
}

const boxColumns = `id, account_id, name, role, uidvalidity, uidnext, modseq, subscribed, by_relais,
 messages, unseen, bytes, created_modseq, created_at, deleted_modseq, deleted_at`

func scanMailbox(s db.Scanner) (Mailbox, error) {
	var m Mailbox
	var created, deleted int64
	err := s.Scan(&m.ID, &m.Account, &m.Name, &m.Role, &m.UIDValidity, &m.UIDNext, &m.Modseq, &m.Subscribed, &m.ByRelais,
		&m.Messages, &m.Unseen, &m.Bytes, &m.CreatedModseq, &created, &m.DeletedModseq, &deleted)
	m.CreatedAt, m.DeletedAt = mail.FromMicros(created), mail.FromMicros(deleted)
	return m, err
}

// NewMailbox describes a mailbox to make.
type NewMailbox struct {
	Account  mail.AccountID
	Name     string // full path; parents that are missing are made too
	Role     mail.Role
	Origin   mail.Origin
	ByRelais bool
}

// CreateMailbox makes a mailbox and the parents it lacks, all subscribed.
// fault.Conflict if the name, or the role, is taken.
func (tx *Tx) CreateMailbox(ctx context.Context, n NewMailbox) (Mailbox, error) {
	name, err := CleanName(n.Name)
	if err != nil {
		return Mailbox{}, err
	}
	n.Name = name
	if err := tx.lockAccount(ctx, n.Account); err != nil {
		return Mailbox{}, err
	}
	if _, err := tx.MailboxByName(ctx, n.Account, name); err == nil {
		return Mailbox{}, fault.New(fault.Conflict, "the mailbox exists already")
	} else if !fault.Is(err, fault.NotFound) {
		return Mailbox{}, err
	}
	if n.Role != "" {
		if _, err := tx.MailboxByRole(ctx, n.Account, n.Role); err == nil {
			return Mailbox{}, fault.New(fault.Conflict, "another mailbox has the role %s", n.Role)
		} else if !fault.Is(err, fault.NotFound) {
			return Mailbox{}, err
		}
	}
	if err := tx.createParents(ctx, n.Account, name, n.Origin); err != nil {
		return Mailbox{}, err
	}
	return tx.insertMailbox(ctx, n)
}

func (tx *Tx) createParents(ctx context.Context, acc mail.AccountID, name string, origin mail.Origin) error {
	up := parent(name)
	if up == "" {
		return nil
	}
	if _, err := tx.MailboxByName(ctx, acc, up); !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := tx.createParents(ctx, acc, up, origin); err != nil {
		return err
	}
	_, err := tx.insertMailbox(ctx, NewMailbox{Account: acc, Name: up, Origin: origin})
	return err
}

// insertMailbox takes a modseq and a UIDVALIDITY that the account never gave:
// the time in seconds, or one more than the last (RFC 9051 §2.3.1.1).
func (tx *Tx) insertMailbox(ctx context.Context, n NewMailbox) (Mailbox, error) {
	m := Mailbox{Account: n.Account, Name: n.Name, Role: n.Role, UIDNext: 1, Subscribed: true, ByRelais: n.ByRelais, CreatedAt: tx.Now}
	err := tx.QueryRow(ctx, `UPDATE accounts SET modseq = modseq + 1,
 uidvalidity = CASE WHEN uidvalidity < $2 THEN $2 ELSE uidvalidity + 1 END WHERE id = $1 RETURNING modseq, uidvalidity`,
		n.Account, tx.Now.Unix()).Scan(&m.Modseq, &m.UIDValidity)
	if err != nil {
		return m, found(err, "account")
	}
	tx.Touched.Account(n.Account)
	m.CreatedModseq = m.Modseq
	err = tx.QueryRow(ctx, `INSERT INTO mailboxes (account_id, name, role, uidvalidity, modseq, subscribed, by_relais, created_modseq, created_at)
 VALUES ($1, $2, $3, $4, $5, 1, $6, $5, $7) RETURNING id`,
		m.Account, m.Name, string(m.Role), m.UIDValidity, m.Modseq, db.Bool(m.ByRelais), mail.Micros(tx.Now)).Scan(&m.ID)
	if err != nil {
		return m, err
	}
	return m, tx.boxChange(ctx, m.Account, m.Modseq, MailboxCreated, m.ID, n.Origin, BoxDetail{Name: m.Name, Role: m.Role})
}

// lockAccount makes what follows see, and keep, the account's latest state.
func (tx *Tx) lockAccount(ctx context.Context, id mail.AccountID) error {
	if tx.Dialect() != db.Postgres {
		return nil
	}
	return found(tx.QueryRow(ctx, `SELECT id FROM accounts WHERE id = $1 FOR NO KEY UPDATE`, id).Scan(&id), "account")
}

// Mailboxes lists the live mailboxes of the account by name.
func (tx *Tx) Mailboxes(ctx context.Context, acc mail.AccountID) ([]Mailbox, error) {
	return db.Collect(scanMailbox)(tx.Query(ctx,
		`SELECT `+boxColumns+` FROM mailboxes WHERE account_id = $1 AND deleted_modseq = 0 ORDER BY name`, acc))
}

// Mailbox finds a mailbox by its row, live or deleted; fault.NotFound.
func (tx *Tx) Mailbox(ctx context.Context, id mail.MailboxID) (Mailbox, error) {
	m, err := scanMailbox(tx.QueryRow(ctx, `SELECT `+boxColumns+` FROM mailboxes WHERE id = $1`, id))
	return m, found(err, "mailbox")
}

// MailboxByName finds a live mailbox by its full path; fault.NotFound.
func (tx *Tx) MailboxByName(ctx context.Context, acc mail.AccountID, name string) (Mailbox, error) {
	name, err := CleanName(name)
	if err != nil {
		return Mailbox{}, fault.Wrap(err, fault.NotFound, "no such mailbox")
	}
	m, err := scanMailbox(tx.QueryRow(ctx,
		`SELECT `+boxColumns+` FROM mailboxes WHERE account_id = $1 AND name = $2 AND deleted_modseq = 0`, acc, name))
	return m, found(err, "mailbox")
}

// MailboxByRole finds the live mailbox that has the role; at most one has. fault.NotFound.
func (tx *Tx) MailboxByRole(ctx context.Context, acc mail.AccountID, role mail.Role) (Mailbox, error) {
	m, err := scanMailbox(tx.QueryRow(ctx,
		`SELECT `+boxColumns+` FROM mailboxes WHERE account_id = $1 AND role = $2 AND role <> '' AND deleted_modseq = 0`, acc, string(role)))
	return m, found(err, "mailbox")
}

// EnsureRole is MailboxByRole, and makes the mailbox where a person has deleted it.
func (tx *Tx) EnsureRole(ctx context.Context, acc mail.AccountID, role mail.Role, origin mail.Origin) (Mailbox, error) {
	m, err := tx.MailboxByRole(ctx, acc, role)
	if !fault.Is(err, fault.NotFound) {
		return m, err
	}
	for _, d := range defaults {
		if d.role != role {
			continue
		}
		if m, err = tx.MailboxByName(ctx, acc, d.name); err == nil {
			return tx.SetRole(ctx, m.ID, role, origin)
		}
		return tx.CreateMailbox(ctx, NewMailbox{Account: acc, Name: d.name, Role: role, Origin: origin, ByRelais: true})
	}
	return m, err
}

// live finds a mailbox that is not deleted and holds its account's lock.
func (tx *Tx) live(ctx context.Context, id mail.MailboxID) (Mailbox, error) {
	m, err := tx.Mailbox(ctx, id)
	if err != nil {
		return m, err
	}
	if tx.Dialect() == db.Postgres {
		if err := tx.lockAccount(ctx, m.Account); err != nil {
			return m, err
		}
		if m, err = tx.Mailbox(ctx, id); err != nil {
			return m, err
		}
	}
	if m.DeletedModseq != 0 {
		return m, fault.New(fault.NotFound, "no such mailbox")
	}
	return m, nil
}

// SetSubscribed notes whether clients should show the mailbox.
func (tx *Tx) SetSubscribed(ctx context.Context, id mail.MailboxID, subscribed bool, origin mail.Origin) (Mailbox, error) {
	m, err := tx.live(ctx, id)
	if err != nil || m.Subscribed == subscribed {
		return m, err
	}
	m.Subscribed = subscribed
	return tx.changeMailbox(ctx, m, origin, BoxDetail{Subscribed: &subscribed})
}

// SetRole gives the mailbox a role, "" to take it away; fault.Conflict where another mailbox has it.
func (tx *Tx) SetRole(ctx context.Context, id mail.MailboxID, role mail.Role, origin mail.Origin) (Mailbox, error) {
	m, err := tx.live(ctx, id)
	if err != nil || m.Role == role {
		return m, err
	}
	if m.Role == mail.Inbox || role == mail.Inbox {
		return m, fault.New(fault.Denied, "the inbox keeps its role")
	}
	if role != "" {
		if _, err := tx.MailboxByRole(ctx, m.Account, role); !fault.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.New(fault.Conflict, "another mailbox has the role %s", role)
			}
			return m, err
		}
	}
	detail := BoxDetail{Role: role, FromRole: m.Role}
	m.Role = role
	return tx.changeMailbox(ctx, m, origin, detail)
}

// SetByRelais notes that a default mailbox now also stands for something else than Relais's own wish.
func (tx *Tx) SetByRelais(ctx context.Context, id mail.MailboxID, byRelais bool) error {
	_, err := tx.Exec(ctx, `UPDATE mailboxes SET by_relais = $2 WHERE id = $1`, id, db.Bool(byRelais))
	return err
}

func (tx *Tx) changeMailbox(ctx context.Context, m Mailbox, origin mail.Origin, detail BoxDetail) (Mailbox, error) {
	modseq, err := tx.nextModseq(ctx, m.Account)
	if err != nil {
		return m, err
	}
	m.Modseq = modseq
	_, err = tx.Exec(ctx, `UPDATE mailboxes SET role = $2, subscribed = $3, modseq = $4 WHERE id = $1`,
		m.ID, string(m.Role), db.Bool(m.Subscribed), modseq)
	if err != nil {
		return m, err
	}
	return m, tx.boxChange(ctx, m.Account, modseq, MailboxChanged, m.ID, origin, detail)
}

// RenameMailbox gives the mailbox a new full path and moves its children along;
// UIDVALIDITY and UIDs stay. Missing parents are made. Each mailbox renamed is one
// change. fault.Denied for INBOX, fault.Conflict if a name is taken.
func (tx *Tx) RenameMailbox(ctx context.Context, id mail.MailboxID, name string, origin mail.Origin) (Mailbox, error) {
	name, err := CleanName(name)
	if err != nil {
		return Mailbox{}, err
	}
	m, err := tx.live(ctx, id)
	if err != nil || m.Name == name {
		return m, err
	}
	if m.Name == "INBOX" {
		return m, fault.New(fault.Denied, "INBOX cannot be renamed")
	}
	if strings.HasPrefix(name, m.Name+Separator) {
		return m, fault.New(fault.Invalid, "a mailbox cannot move below itself")
	}
	all, err := tx.Mailboxes(ctx, m.Account)
	if err != nil {
		return m, err
	}
	moved := []Mailbox{m}
	for _, b := range all {
		if b.Name == name || strings.HasPrefix(b.Name, name+Separator) {
			return m, fault.New(fault.Conflict, "the mailbox %q exists already", b.Name)
		}
		if strings.HasPrefix(b.Name, m.Name+Separator) {
			moved = append(moved, b)
		}
	}
	for i, b := range moved {
		if moved[i].Name, err = CleanName(name + strings.TrimPrefix(b.Name, m.Name)); err != nil {
			return m, err
		}
	}
	if err := tx.createParents(ctx, m.Account, name, origin); err != nil {
		return m, err
	}
	for i := range moved {
		b := &moved[i]
		if b.Modseq, err = tx.nextModseq(ctx, b.Account); err != nil {
			return m, err
		}
		if _, err := tx.Exec(ctx, `UPDATE mailboxes SET name = $2, modseq = $3 WHERE id = $1`, b.ID, b.Name, b.Modseq); err != nil {
			return m, err
		}
		old := m.Name + strings.TrimPrefix(b.Name, name)
		if err := tx.boxChange(ctx, b.Account, b.Modseq, MailboxRenamed, b.ID, origin, BoxDetail{Name: b.Name, FromName: old}); err != nil {
			return m, err
		}
	}
	return moved[0], nil
}

// DeleteMailbox makes a tombstone of the mailbox and of every placement in it,
// each one change. Children stay. fault.Denied for INBOX.
func (tx *Tx) DeleteMailbox(ctx context.Context, id mail.MailboxID, origin mail.Origin) error {
	m, err := tx.live(ctx, id)
	if err != nil {
		return err
	}
	if m.Name == "INBOX" {
		return fault.New(fault.Denied, "INBOX cannot be deleted")
	}
	if m.Messages > 0 {
		if err := tx.expungeAll(ctx, m, origin); err != nil {
			return err
		}
	}
	modseq, err := tx.nextModseq(ctx, m.Account)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE mailboxes SET messages = 0, unseen = 0, bytes = 0, modseq = $2, deleted_modseq = $2, deleted_at = $3 WHERE id = $1`,
		id, modseq, mail.Micros(tx.Now))
	if err != nil {
		return err
	}
	return tx.boxChange(ctx, m.Account, modseq, MailboxDeleted, id, origin, BoxDetail{Name: m.Name, Role: m.Role})
}

// expungeAll makes the tombstones and the changes of a whole mailbox in two
// statements: its placements in order of UID get the next modseqs.
func (tx *Tx) expungeAll(ctx context.Context, m Mailbox, origin mail.Origin) error {
	last, err := tx.nextModseqs(ctx, m.Account, m.Messages)
	if err != nil {
		return err
	}
	before := last - uint64(m.Messages)
	_, err = tx.Exec(ctx, `UPDATE placements SET modseq = $2 + r.n, deleted_modseq = $2 + r.n, deleted_at = $3, deleted_by = $4
 FROM (SELECT id AS rid, row_number() OVER (ORDER BY uid) AS n FROM placements WHERE mailbox_id = $1 AND deleted_modseq = 0) AS r
 WHERE id = r.rid`, m.ID, before, mail.Micros(tx.Now), tx.by(origin))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO changes (account_id, modseq, at, origin, actor, kind, placement_id, email_id, mailbox_id, uid,
 from_mailbox_id, from_uid, before_system, before_keywords, after_system, after_keywords, detail)
 SELECT account_id, modseq, CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT), id, email_id, 0, 0, mailbox_id, uid, system, keywords, system, keywords, ''
 FROM placements WHERE mailbox_id = $1 AND deleted_modseq > $2`,
		m.ID, before, mail.Micros(tx.Now), string(origin), tx.Actor, string(Expunged))
	return err
}

// boxChange writes the change of a mailbox.
func (tx *Tx) boxChange(ctx context.Context, acc mail.AccountID, modseq uint64, kind ChangeKind, id mail.MailboxID, origin mail.Origin, d BoxDetail) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return tx.change(ctx, &Change{Account: acc, Modseq: modseq, Kind: kind, Mailbox: id, Origin: origin, Detail: string(text)})
}
