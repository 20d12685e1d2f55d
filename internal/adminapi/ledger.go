package adminapi

import (
	"context"
	"net/http"
	"time"

	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// LedgerEntry is one event in the life of a message or a mailbox.
type LedgerEntry struct {
	Modseq  uint64    `json:"modseq"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind" enum:"place,flags,move,expunge,restore,mailbox-create,mailbox-rename,mailbox-delete,mailbox-change"`
	Origin  string    `json:"origin" doc:"intake, mirror, person, admin or outbound"`
	Actor   string    `json:"actor,omitempty"`
	Message int64     `json:"message,omitempty" doc:"the placement"`
	Mailbox string    `json:"mailbox,omitempty" doc:"where it is after the event"`
	UID     uint32    `json:"uid,omitempty"`
	From    string    `json:"from,omitempty" doc:"the mailbox that it left"`
	Before  []string  `json:"before,omitempty" doc:"flags"`
	After   []string  `json:"after,omitempty"`
}

// Ledger is a page of an account's ledger.
type Ledger struct {
	Email   string        `json:"email"`
	Modseq  uint64        `json:"modseq" doc:"the latest of the account"`
	Entries []LedgerEntry `json:"entries"`
}

// Owed is a message owed to a primary.
type Owed struct {
	ID        int64     `json:"id"`
	Recipient string    `json:"recipient"`
	From      string    `json:"from"`
	State     string    `json:"state" enum:"owed,claimed,handed,seen,refused,unseen,accepted"`
	Attempts  int       `json:"attempts"`
	Reply     string    `json:"reply,omitempty" doc:"the primary's latest words"`
	OwedAt    time.Time `json:"owed_at"`
	HandedAt  time.Time `json:"handed_at,omitzero"`
	Intake    string    `json:"intake"`
}

// Duties are what a domain's primary is owed.
type Duties struct {
	Domain string           `json:"domain"`
	Counts map[string]int64 `json:"counts" doc:"messages by state"`
	Open   []Owed           `json:"open" doc:"what is not settled"`
}

func (a *API) ledgerRoutes() {
	handle(a, http.MethodGet, "/people/{email}/ledger", "list-ledger", "List the events of an account", a.listLedger)
	handle(a, http.MethodGet, "/domains/{domain}/duties", "list-duties", "List what a domain's primary is owed", a.listDuties)
}

func (a *API) listLedger(ctx context.Context, in *struct {
	PersonPath
	After uint64 `query:"after" doc:"events with a higher modseq"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"10000"`
}) (*body[Ledger], error) {
	out := &body[Ledger]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		acc, err := tx.Mailbox.Account(ctx, p.Account)
		if err != nil {
			return err
		}
		out.Body = Ledger{Email: p.Email, Modseq: acc.Modseq, Entries: []LedgerEntry{}}
		changes, err := tx.Mailbox.Changes(ctx, p.Account, in.After, in.Limit)
		if err != nil {
			return err
		}
		names := boxNames{tx: tx.Mailbox}
		for _, c := range changes {
			e := LedgerEntry{
				Modseq: c.Modseq, At: c.At, Kind: string(c.Kind), Origin: string(c.Origin), Actor: c.Actor,
				Message: int64(c.Placement), UID: c.UID, Before: c.Before.Names(), After: c.After.Names(),
			}
			e.Mailbox, e.From = names.of(ctx, c.Mailbox), names.of(ctx, c.FromMailbox)
			out.Body.Entries = append(out.Body.Entries, e)
		}
		return names.err
	})
}

// unsettled are the states of duties that somebody still has to do something about.
var unsettled = []duty.State{duty.Owed, duty.Claimed, duty.Handed, duty.Refused, duty.Unseen}

func (a *API) listDuties(ctx context.Context, in *DomainPath) (*body[Duties], error) {
	out := &body[Duties]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, in.Domain)
		if err != nil {
			return err
		}
		out.Body = Duties{Domain: d.Name, Counts: map[string]int64{}, Open: []Owed{}}
		counts, err := tx.Duty.Count(ctx, d.ID)
		if err != nil {
			return err
		}
		for state, n := range counts {
			out.Body.Counts[string(state)] = n
		}
		open, err := tx.Duty.OfDomain(ctx, d.ID, unsettled...)
		for _, o := range open {
			out.Body.Open = append(out.Body.Open, Owed{int64(o.ID), o.Recipient, o.MailFrom, string(o.State), o.Attempts, o.Reply, o.OwedAt, o.HandedAt, o.Intake})
		}
		return err
	})
}

// boxNames finds the names of mailboxes, each once. The first error stays.
type boxNames struct {
	tx    *mailbox.Tx
	known map[mail.MailboxID]string
	err   error
}

// of is the mailbox's latest name; "" for none.
func (b *boxNames) of(ctx context.Context, id mail.MailboxID) string {
	if id == 0 || b.err != nil {
		return ""
	}
	name, ok := b.known[id]
	if ok {
		return name
	}
	if b.known == nil {
		b.known = map[mail.MailboxID]string{}
	}
	m, err := b.tx.Mailbox(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		b.err = err
	}
	b.known[id] = m.Name
	return m.Name
}
