package mail

import "time"

// Row numbers of the record, each its own type so that the compiler keeps them apart. 0 is none.
//
//nolint:revive // the comment is for all of them
type (
	TenantID    int64 // a company: what is isolated, keyed and erased as one
	DomainID    int64
	PersonID    int64
	GroupID     int64
	AccountID   int64 // what holds mailboxes: a person's, or a shared one
	MailboxID   int64
	EmailID     int64 // immutable content, once per tenant
	PlacementID int64 // an email in a mailbox; stays the same when it is moved
	ThreadID    int64
	LinkID      int64 // a placement's counterpart at a primary
	DutyID      int64 // a message owed to the primary
	QueueID     int64 // a message owed to the outside
)

// Origin says who caused a change, so that the mirror does not send a change back to where it came from.
type Origin string

// The origins.
const (
	ByIntake   Origin = "intake"   // mail that arrived by SMTP
	ByMirror   Origin = "mirror"   // the primary changed, the mirror brought it here
	ByPerson   Origin = "person"   // the account's owner, through IMAP or the web
	ByAdmin    Origin = "admin"    // an administrator
	ByOutbound Origin = "outbound" // Relais itself: the sent copy, a failure notice
)

// Micros is the stored form of a moment: microseconds since 1970 in UTC; 0 is never.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros reads what Micros wrote.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
