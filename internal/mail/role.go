package mail

import "strings"

// Role is what a mailbox is for: its special use (RFC 6154), spelled as JMAP
// spells roles (RFC 8621 §2). "" is none.
type Role string

// The roles.
const (
	Inbox   Role = "inbox"
	Drafts  Role = "drafts"
	Sent    Role = "sent"
	Trash   Role = "trash"
	Junk    Role = "junk"
	Archive Role = "archive"
	All     Role = "all"
)

// Attribute is the IMAP special-use attribute ("\Sent"); "" for the inbox and for none (RFC 6154 §2).
func (r Role) Attribute() string {
	switch r {
	case Drafts, Sent, Trash, Junk, Archive, All:
		return `\` + strings.ToUpper(string(r[:1])) + string(r[1:])
	}
	return ""
}

// RoleOf reads an IMAP special-use attribute; "" when it is none that we keep.
func RoleOf(attribute string) Role {
	for _, r := range []Role{Drafts, Sent, Trash, Junk, Archive, All} {
		if strings.EqualFold(attribute, r.Attribute()) {
			return r
		}
	}
	return ""
}
