// Package reconcile walks the ledger of a domain against its primary and says, signed, whether every message is there once.
//
// It trusts no link: both sides are read whole, messages are matched by
// fingerprint as multisets, and what does not pair is a difference. The report
// is JSON with an Ed25519 signature that `relais verify` checks offline
// (docs/formats/report.md).
package reconcile

import (
	"time"

	"relais/internal/mail"
)

// Format names the version of the report.
const Format = "relais reconciliation 1"

// Kind is what differs.
type Kind string

// The kinds of differences.
const (
	Lost    Kind = "lost"    // here, not at the primary
	Doubled Kind = "doubled" // at the primary more often than here
	Extra   Kind = "extra"   // at the primary, not here
	Flags   Kind = "flags"   // on both sides with other flags
	Folder  Kind = "folder"  // on both sides in other folders
	Date    Kind = "date"    // on both sides with another INTERNALDATE, although the mirror set it
	Content Kind = "content" // the primary has other bytes than those it gave back before

	// UnderWay is none yet: the relay or the next pass of the mirror is about to settle it.
	UnderWay Kind = "under way"
)

// Difference is one message that is not as the ledger has it.
type Difference struct {
	Account   string           `json:"account"`
	Kind      Kind             `json:"kind"`
	MessageID string           `json:"message_id,omitempty"`
	SHA256    string           `json:"sha256"`
	Placement mail.PlacementID `json:"placement,omitempty"`
	Here      string           `json:"here,omitempty"`  // folder, flags or date in the ledger
	There     string           `json:"there,omitempty"` // the same at the primary
	UID       uint32           `json:"uid,omitempty"`   // at the primary
	Expected  bool             `json:"expected"`        // the refused list explains it
}

// Refused is an item that the primary would not take, with its own words.
type Refused struct {
	Account    string           `json:"account"`
	Placement  mail.PlacementID `json:"placement,omitempty"`
	Operation  string           `json:"operation"`
	Folder     string           `json:"folder,omitempty"`
	Words      string           `json:"words"`
	At         time.Time        `json:"at"`
	AcceptedBy string           `json:"accepted_by,omitempty"`
}

// Counts are what happened between Since and At by the ledger, and what the walk found.
type Counts struct {
	Received int `json:"received"` // arrived from outside or from a colleague
	Sent     int `json:"sent"`     // sent by people here
	Moved    int `json:"moved"`    // messages moved by people
	Flagged  int `json:"flagged"`  // messages whose flags people changed
	Deleted  int `json:"deleted"`  // messages deleted by people

	Here    int `json:"here"`    // live messages in the ledger
	There   int `json:"there"`   // messages at the primary
	Matched int `json:"matched"` // pairs

	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	Extra   int `json:"extra"`
	Flags   int `json:"flags"`
	Folder  int `json:"folder"`
	Date    int `json:"date"`
	Content int `json:"content"`
	Refused int `json:"refused"`

	UnderWay int `json:"under_way"`
}

func (c *Counts) add(d Counts) {
	for _, p := range []struct{ to, from *int }{
		{&c.Received, &d.Received}, {&c.Sent, &d.Sent}, {&c.Moved, &d.Moved}, {&c.Flagged, &d.Flagged}, {&c.Deleted, &d.Deleted},
		{&c.Here, &d.Here}, {&c.There, &d.There}, {&c.Matched, &d.Matched}, {&c.Lost, &d.Lost}, {&c.Doubled, &d.Doubled},
		{&c.Extra, &d.Extra}, {&c.Flags, &d.Flags}, {&c.Folder, &d.Folder}, {&c.Date, &d.Date}, {&c.Content, &d.Content}, {&c.Refused, &d.Refused},
		{&c.UnderWay, &d.UnderWay},
	} {
		*p.to += *p.from
	}
}

// count counts a difference under its kind.
func (c *Counts) count(k Kind) {
	switch k {
	case Lost:
		c.Lost++
	case Doubled:
		c.Doubled++
	case Extra:
		c.Extra++
	case Flags:
		c.Flags++
	case Folder:
		c.Folder++
	case Date:
		c.Date++
	case Content:
		c.Content++
	case UnderWay:
		c.UnderWay++
	}
}

// Account is the part of a report about one person's mailboxes.
type Account struct {
	Email  string `json:"email"`
	Counts Counts `json:"counts"`
}

// Report is the outcome of a reconciliation.
type Report struct {
	Format      string       `json:"format"`
	Domain      string       `json:"domain"`
	Since       time.Time    `json:"since"` // start of the outage it is about
	At          time.Time    `json:"at"`
	Node        string       `json:"node"`
	Counts      Counts       `json:"counts"`
	Accounts    []Account    `json:"accounts"`
	Differences []Difference `json:"differences"`
	Refused     []Refused    `json:"refused"`
}

// Open counts the differences that neither the refused list explains nor the
// mirror is about to settle.
func (r *Report) Open() int {
	n := 0
	for _, d := range r.Differences {
		if !d.Expected && d.Kind != UnderWay {
			n++
		}
	}
	return n
}
