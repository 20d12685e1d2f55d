// Package duty keeps what is owed to the primaries: one row per message and recipient, from owed to seen.
//
//	owed ⇄ claimed → handed → seen
//	          │         └──→ unseen → seen
//	          └→ refused → accepted (from owed and unseen too, when the message was deleted here)
//
// A relay's 250 is not yet the mailbox: only the mirror seeing the message there
// closes the row. It may see it in any open state, since an answer can be lost.
package duty

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// State of a duty; the values are stored.
type State string

// The states.
const (
	Owed     State = "owed"     // waits for relay or append
	Claimed  State = "claimed"  // one of them is at it
	Handed   State = "handed"   // the primary said 250, or took the APPEND
	Seen     State = "seen"     // the mirror saw it in the mailbox: closed
	Refused  State = "refused"  // the primary said no, with its words
	Unseen   State = "unseen"   // handed over, not seen within the time: listed
	Accepted State = "accepted" // a person accepted the refusal, or deleted the message here: closed
)

// By says which way of handing over has the claim.
type By string

// The ways.
const (
	Relay  By = "relay"
	Append By = "append"
)

// Duty is a message owed to the primary for one recipient address. Of a group's
// message there is one, with the members who should receive it.
type Duty struct {
	ID           mail.DutyID
	Tenant       mail.TenantID
	Domain       mail.DomainID
	Intake       string // id of the message's arrival
	Email        mail.EmailID
	Recipient    string
	Group        mail.GroupID
	Account      mail.AccountID   // 0 for a group, and while the recipient is unknown here
	Placement    mail.PlacementID // 0 likewise
	MailFrom     string           // envelope sender, "" is <>
	SMTPUTF8     bool
	State        State
	ClaimedBy    By
	ClaimedUntil time.Time
	Attempts     int
	NextAt       time.Time // no attempt before; while claimed: the end of the lease
	Reply        string    // the server's latest words
	Link         mail.LinkID
	OwedAt       time.Time
	HandedAt     time.Time
	SeenAt       time.Time
}

// Member is an account that receives the message of a group's duty.
type Member struct {
	Account   mail.AccountID
	Placement mail.PlacementID
	Link      mail.LinkID
	SeenAt    time.Time
}

// New describes a duty to file.
type New struct {
	Tenant    mail.TenantID
	Domain    mail.DomainID
	Intake    string
	Email     mail.EmailID
	Recipient string
	Group     mail.GroupID
	Account   mail.AccountID
	Placement mail.PlacementID
	MailFrom  string
	SMTPUTF8  bool
	NextAt    time.Time // zero: now
	Members   []Member
}

// Tx works on the tables of this package within one transaction.
type Tx struct {
	db.Tx
	Now     time.Time
	Touched *db.Touched
}

// In makes a Tx. What becomes due through it is noted in touched under Topic.
func In(tx db.Tx, now time.Time, touched *db.Touched) *Tx {
	return &Tx{Tx: tx, Now: now, Touched: touched}
}

// Topic is what watchers of new duties listen to.
const Topic = "duty"

const columns = `id, tenant_id, domain_id, intake_id, email_id, recipient, group_id, account_id, placement_id, mail_from, smtputf8,
 state, claimed_by, claimed_until, attempts, next_at, reply, link_id, owed_at, handed_at, seen_at`

func scan(s db.Scanner) (Duty, error) {
	var d Duty
	var until, next, owed, handed, seen int64
	err := s.Scan(&d.ID, &d.Tenant, &d.Domain, &d.Intake, &d.Email, &d.Recipient, &d.Group, &d.Account, &d.Placement, &d.MailFrom, &d.SMTPUTF8,
		&d.State, &d.ClaimedBy, &until, &d.Attempts, &next, &d.Reply, &d.Link, &owed, &handed, &seen)
	d.ClaimedUntil, d.NextAt = mail.FromMicros(until), mail.FromMicros(next)
	d.OwedAt, d.HandedAt, d.SeenAt = mail.FromMicros(owed), mail.FromMicros(handed), mail.FromMicros(seen)
	return d, err
}

// New files a duty in state owed.
func (tx *Tx) New(ctx context.Context, n New) (mail.DutyID, error) {
	if n.NextAt.IsZero() {
		n.NextAt = tx.Now
	}
	var id mail.DutyID
	err := tx.QueryRow(ctx, `INSERT INTO duties (tenant_id, domain_id, intake_id, email_id, recipient, group_id, account_id, placement_id,
 mail_from, smtputf8, state, next_at, owed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'owed', $11, $12) RETURNING id`,
		n.Tenant, n.Domain, n.Intake, n.Email, db.Text(n.Recipient), n.Group, n.Account, n.Placement,
		db.Text(n.MailFrom), db.Bool(n.SMTPUTF8), mail.Micros(n.NextAt), mail.Micros(tx.Now)).Scan(&id)
	if err != nil {
		return 0, err
	}
	for _, m := range n.Members {
		_, err := tx.Exec(ctx, `INSERT INTO duty_members (duty_id, account_id, placement_id) VALUES ($1, $2, $3)
 ON CONFLICT (duty_id, account_id) DO NOTHING`, id, m.Account, m.Placement)
		if err != nil {
			return 0, err
		}
	}
	tx.Touched.Topic(Topic)
	return id, nil
}

// Duty finds a duty; fault.NotFound.
func (tx *Tx) Duty(ctx context.Context, id mail.DutyID) (Duty, error) {
	d, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM duties WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "no such duty")
	}
	return d, err
}

// Members lists the members of a group's duty.
func (tx *Tx) Members(ctx context.Context, id mail.DutyID) ([]Member, error) {
	return db.Collect(func(s db.Scanner) (Member, error) {
		var m Member
		var seen int64
		err := s.Scan(&m.Account, &m.Placement, &m.Link, &seen)
		m.SeenAt = mail.FromMicros(seen)
		return m, err
	})(tx.Query(ctx, `SELECT account_id, placement_id, link_id, seen_at FROM duty_members WHERE duty_id = $1 ORDER BY account_id`, id))
}
