package mailbox

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Placement is an email in a mailbox. It keeps its ID when it is moved; UID is
// that of the mailbox it stands in.
type Placement struct {
	ID            mail.PlacementID
	Account       mail.AccountID
	Mailbox       mail.MailboxID
	Email         mail.EmailID
	Thread        mail.ThreadID // unique within the account
	UID           uint32
	Flags         mail.Flags
	Modseq        uint64 // of its last change
	CreatedModseq uint64
	InternalDate  time.Time
	Size          int64
	Hash          mail.Hash
	CreatedAt     time.Time
	DeletedModseq uint64 // 0: live; else it is a tombstone
	DeletedAt     time.Time
	DeletedBy     string
}

// Live tells whether it is no tombstone.
func (p *Placement) Live() bool { return p.DeletedModseq == 0 }

const placementColumns = `id, account_id, mailbox_id, email_id, thread_id, uid, system, keywords, modseq, created_modseq,
 internal_date, size, hash, created_at, deleted_modseq, deleted_at, deleted_by`

func scanPlacement(s db.Scanner) (Placement, error) {
	var p Placement
	var keywords string
	var hash []byte
	var internal, created, deleted int64
	err := s.Scan(&p.ID, &p.Account, &p.Mailbox, &p.Email, &p.Thread, &p.UID, &p.Flags.System, &keywords, &p.Modseq, &p.CreatedModseq,
		&internal, &p.Size, &hash, &created, &p.DeletedModseq, &deleted, &p.DeletedBy)
	p.Flags.Keywords = mail.DecodeKeywords(keywords)
	p.InternalDate, p.CreatedAt, p.DeletedAt = mail.FromMicros(internal), mail.FromMicros(created), mail.FromMicros(deleted)
	copy(p.Hash[:], hash)
	return p, err
}

// Place describes an email to put in a mailbox.
type Place struct {
	// Account of the mailbox; 0 costs a look-up.
	Account mail.AccountID
	// Mailbox, or 0 for the one that has Role (inbox when "").
	Mailbox      mail.MailboxID
	Role         mail.Role
	Email        mail.EmailID
	Hash         mail.Hash
	Size         int64
	Flags        mail.Flags
	InternalDate time.Time     // zero: now
	MessageIDs   []string      // Message-ID, In-Reply-To and References, for the thread; at most MaxThreadIDs count
	Thread       mail.ThreadID // given by a copy; 0: found by MessageIDs
	Origin       mail.Origin
	Actor        string
}

// Place files the email: next UID of the mailbox, next modseq of the account,
// counters, thread and change. fault.NotFound when the mailbox is gone.
func (tx *Tx) Place(ctx context.Context, n Place) (Placement, error) {
	if n.Account == 0 {
		m, err := tx.Mailbox(ctx, n.Mailbox)
		if err != nil {
			return Placement{}, err
		}
		n.Account = m.Account
	}
	if len(n.Flags.Keywords) > mail.MaxKeywords {
		return Placement{}, fault.New(fault.OverLimit, "more than %d keywords on a message", mail.MaxKeywords)
	}
	if n.InternalDate.IsZero() {
		n.InternalDate = tx.Now
	}
	modseq, err := tx.nextModseq(ctx, n.Account)
	if err != nil {
		return Placement{}, err
	}
	p := Placement{
		Account: n.Account, Mailbox: n.Mailbox, Email: n.Email, Thread: n.Thread, Flags: n.Flags, Modseq: modseq, CreatedModseq: modseq,
		InternalDate: n.InternalDate, Size: n.Size, Hash: n.Hash, CreatedAt: tx.Now,
	}
	if p.UID, p.Mailbox, err = tx.nextUID(ctx, &n, modseq); err != nil {
		if back := tx.returnModseq(ctx, n.Account); back != nil {
			return p, back
		}
		return p, err
	}
	if p.Thread == 0 {
		if p.Thread, err = tx.thread(ctx, n.Account, modseq, n.MessageIDs); err != nil {
			return p, err
		}
	}
	err = tx.QueryRow(ctx, `INSERT INTO placements (account_id, mailbox_id, email_id, thread_id, uid, system, keywords, modseq, created_modseq,
 internal_date, size, hash, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $12) RETURNING id`,
		p.Account, p.Mailbox, p.Email, int64(p.Thread), p.UID, int64(p.Flags.System), p.Flags.EncodeKeywords(), modseq,
		mail.Micros(p.InternalDate), p.Size, p.Hash[:], mail.Micros(tx.Now)).Scan(&p.ID)
	if err != nil {
		return p, err
	}
	return p, tx.change(ctx, &Change{Account: p.Account, Modseq: modseq, Origin: n.Origin, Actor: n.Actor, Kind: Placed,
		Placement: p.ID, Email: p.Email, Mailbox: p.Mailbox, UID: p.UID, After: p.Flags})
}

// nextUID counts the placement into its mailbox and takes its UID. By role it
// needs no look-up before, and makes the mailbox where it is gone.
func (tx *Tx) nextUID(ctx context.Context, n *Place, modseq uint64) (uid uint32, box mail.MailboxID, err error) {
	if n.Mailbox != 0 {
		uid, err = tx.arrive(ctx, n.Account, n.Mailbox, modseq, n.Flags, n.Size)
		return uid, n.Mailbox, err
	}
	role := n.Role
	if role == "" {
		role = mail.Inbox
	}
	var next int64
	err = tx.QueryRow(ctx, `UPDATE mailboxes SET uidnext = uidnext + 1, modseq = $3, messages = messages + 1, unseen = unseen + $4, bytes = bytes + $5
 WHERE account_id = $1 AND role = $2 AND role <> '' AND deleted_modseq = 0 AND uidnext < $6 RETURNING uidnext, id`,
		n.Account, string(role), modseq, unseen(n.Flags), n.Size, int64(maxUIDNext)).Scan(&next, &box)
	if db.NoRows(err) {
		// The new mailbox takes a later modseq than the placement in it; its own
		// modseq stays the highest.
		m, err := tx.EnsureRole(ctx, n.Account, role, n.Origin)
		if err != nil {
			return 0, 0, err
		}
		uid, err := tx.arrive(ctx, n.Account, m.ID, m.Modseq, n.Flags, n.Size)
		return uid, m.ID, err
	}
	return uint32(next - 1), box, err
}

// maxUIDNext is one more than the highest UID, which has 32 bits (RFC 9051 §2.3.1.1).
const maxUIDNext = 1 << 32

// arrive counts one placement into the mailbox and returns its UID.
func (tx *Tx) arrive(ctx context.Context, acc mail.AccountID, box mail.MailboxID, modseq uint64, f mail.Flags, size int64) (uint32, error) {
	var next int64
	err := tx.QueryRow(ctx, `UPDATE mailboxes SET uidnext = uidnext + 1, modseq = $3, messages = messages + 1, unseen = unseen + $4, bytes = bytes + $5
 WHERE id = $1 AND account_id = $2 AND deleted_modseq = 0 AND uidnext < $6 RETURNING uidnext`,
		box, acc, modseq, unseen(f), size, int64(maxUIDNext)).Scan(&next)
	if db.NoRows(err) {
		m, err := tx.Mailbox(ctx, box)
		if err == nil && m.Account == acc && m.DeletedModseq == 0 {
			return 0, fault.New(fault.OverLimit, "the mailbox has given all its UIDs")
		}
		return 0, fault.New(fault.NotFound, "no such mailbox")
	}
	return uint32(next - 1), err
}

// leave takes one placement out of the mailbox's counters.
func (tx *Tx) leave(ctx context.Context, box mail.MailboxID, modseq uint64, f mail.Flags, size int64) error {
	_, err := tx.Exec(ctx, `UPDATE mailboxes SET modseq = $2, messages = messages - 1, unseen = unseen - $3, bytes = bytes - $4 WHERE id = $1`,
		box, modseq, unseen(f), size)
	return err
}

func unseen(f mail.Flags) int64 { return db.Bool(!f.Has(mail.Seen)) }
