package record

import (
	"context"
	"errors"
	"time"

	"relais/internal/blob"
	"relais/internal/crashpoint"
	"relais/internal/db"
	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
)

// RepeatWindow is how long a sender's repeat of a transmission is recognised.
const RepeatWindow = 24 * time.Hour

// Filing is a message to file with all that follows from it, together or not at all.
type Filing struct {
	Tenant mail.TenantID
	Body   []byte
	Hash   mail.Hash // of Body; zero: computed here
	Facts  mime.Facts
	Places []Place
	Intake *Intake    // how it arrived by SMTP; nil for other ways
	Duties []duty.New // Tenant, Intake, Email and placements are filled in here
	Origin mail.Origin
	Actor  string
	// Then runs last in the transaction, for what else has to be filed with it.
	// Not called for a repeat. It may run more than once.
	Then func(ctx context.Context, tx *Tx, filed *Filed) error
}

// Place is a mailbox that receives the message: Mailbox, or 0 for the one that
// has Role, the inbox when that is "" too. Of a person's own message to herself
// the inbox comes before Sent: duties go with an account's first place.
type Place struct {
	Account      mail.AccountID
	Mailbox      mail.MailboxID
	Role         mail.Role
	Flags        mail.Flags
	InternalDate time.Time // zero: now
}

// Intake is an arrival by SMTP. RepeatKey is a hash of envelope, peer,
// Message-ID and bytes; nil suppresses nothing.
type Intake struct {
	ID        string // 26 characters; stands in Relais's own Received line
	Peer      string
	Helo      string
	MailFrom  string
	RepeatKey []byte
	Person    mail.PersonID // who submitted it; 0: it came from outside
}

// Filed is what became of a Filing.
type Filed struct {
	Email      mail.EmailID
	Placements []mailbox.Placement // in the order of Places
	Duties     []mail.DutyID       // in the order of Duties
	Repeat     bool                // the sender's repeat: nothing was filed, the first stands
}

// errBodyGone says that a body known before the transaction is not known in it.
var errBodyGone = errors.New("the body went meanwhile")

// File stores the message durably: its body unless the tenant has it, then its
// rows. On an error nothing of it counts, with one exception: a fault.Unavailable
// that wraps db.ErrUnknownOutcome, for a message without Intake.
func (s *Store) File(ctx context.Context, f *Filing) (*Filed, error) {
	if f.Hash.IsZero() {
		f.Hash = mail.Sum(f.Body)
	}
	crashpoint.Hit(crashpoint.FileBeforeBody)
	rows := f.rows()
	_, err := s.Locate(ctx, f.Tenant, f.Hash)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	known := err == nil
	for {
		if !known {
			refs, err := s.cfg.Bodies.Append(ctx, []blob.Put{{Tenant: f.Tenant, Hash: f.Hash, Body: f.Body}})
			if err != nil {
				return nil, err
			}
			rows.body.Ref = refs[0]
		}
		crashpoint.Hit(crashpoint.FileAfterBody)
		filed, err := s.fileRows(ctx, f, rows, known)
		if known && errors.Is(err, errBodyGone) {
			known = false
			continue
		}
		if err != nil {
			return nil, err
		}
		crashpoint.Hit(crashpoint.FileAfterRows)
		return filed, nil
	}
}

// rows are what can be made ready before the transaction, where only one runs at a time.
type rows struct {
	body  mailbox.BodyRow
	email mailbox.Email
}

func (f *Filing) rows() *rows {
	print := &f.Facts.Fingerprint
	return &rows{
		body: mailbox.BodyRow{Tenant: f.Tenant, Hash: f.Hash, Size: int64(len(f.Body))},
		email: mailbox.Email{
			Tenant: f.Tenant, Hash: f.Hash, Size: int64(len(f.Body)), MessageID: print.MessageID, SentAt: print.Date, Sender: print.From,
			BaseSubject: f.Facts.Summary.BaseSubject, Print: print.Content[:], Summary: f.Facts.Summary.Encode(),
		},
	}
}

func (s *Store) fileRows(ctx context.Context, f *Filing, rows *rows, known bool) (filed *Filed, err error) {
	err = s.Update(ctx, func(ctx context.Context, tx *Tx) error {
		filed = &Filed{}
		return tx.file(ctx, f, rows, known, filed)
	})
	if !errors.Is(err, db.ErrUnknownOutcome) || f.Intake == nil {
		return filed, err
	}
	// The rows are committed or they are not: the arrival's tells which.
	found := s.View(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Intake(ctx, f.Intake.ID)
		return err
	})
	if found == nil {
		return filed, nil
	}
	return nil, errors.Join(err, found)
}

func (tx *Tx) file(ctx context.Context, f *Filing, rows *rows, known bool, filed *Filed) error {
	if f.Intake != nil {
		fresh, err := tx.addIntake(ctx, f)
		if err != nil {
			return err
		}
		if !fresh {
			filed.Repeat = true
			return nil
		}
	}
	if known {
		// Locked against compaction and erasure until the rows that need it are there.
		if err := tx.Mailbox.HoldBody(ctx, f.Tenant, f.Hash); fault.Is(err, fault.NotFound) {
			return errBodyGone
		} else if err != nil {
			return err
		}
	} else if err := tx.Mailbox.AddBody(ctx, rows.body); err != nil {
		return err
	}
	email, _, err := tx.Mailbox.AddEmail(ctx, rows.email)
	if err != nil {
		return err
	}
	filed.Email = email.ID
	if err := tx.place(ctx, f, filed); err != nil {
		return err
	}
	if err := tx.owe(ctx, f, filed); err != nil {
		return err
	}
	if f.Then == nil {
		return nil
	}
	return f.Then(ctx, tx, filed)
}

func (tx *Tx) place(ctx context.Context, f *Filing, filed *Filed) error {
	if len(f.Places) > 1 {
		accounts := make([]mail.AccountID, len(f.Places))
		for i, p := range f.Places {
			accounts[i] = p.Account
		}
		if err := tx.Mailbox.LockAccounts(ctx, accounts...); err != nil {
			return err
		}
	}
	filed.Placements = make([]mailbox.Placement, len(f.Places))
	for i, p := range f.Places {
		var err error
		filed.Placements[i], err = tx.Mailbox.Place(ctx, mailbox.Place{
			Account: p.Account, Mailbox: p.Mailbox, Role: p.Role, Email: filed.Email, Hash: f.Hash, Size: int64(len(f.Body)),
			Flags: p.Flags, InternalDate: p.InternalDate, MessageIDs: f.Facts.MessageIDs, Origin: f.Origin, Actor: f.Actor,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// owe files the duties, each with the placements of its account or members.
func (tx *Tx) owe(ctx context.Context, f *Filing, filed *Filed) error {
	for _, d := range f.Duties {
		d.Tenant, d.Email, d.Placement = f.Tenant, filed.Email, filed.in(d.Account)
		if f.Intake != nil {
			d.Intake = f.Intake.ID
		}
		members := make([]duty.Member, len(d.Members))
		for i, m := range d.Members {
			members[i] = duty.Member{Account: m.Account, Placement: filed.in(m.Account)}
		}
		d.Members = members
		id, err := tx.Duty.New(ctx, d)
		if err != nil {
			return err
		}
		filed.Duties = append(filed.Duties, id)
	}
	return nil
}

// in is the first placement in the account; 0 for none.
func (f *Filed) in(acc mail.AccountID) mail.PlacementID {
	for _, p := range f.Placements {
		if p.Account == acc && acc != 0 {
			return p.ID
		}
	}
	return 0
}
