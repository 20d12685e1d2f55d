package imapconn

import (
	"fmt"
	"strings"

	"relais/internal/fault"
	"relais/internal/imap"
)

// An Error is the server's refusal (NO), complaint (BAD) or farewell (BYE) in
// its own words. It wraps a *fault.Error, so that fault.CodeOf and
// fault.Retryable judge it.
type Error struct {
	Command string // "APPEND", "greeting", …
	Status  imap.Status
}

// Error is for logs and reports: `APPEND: NO [OVERQUOTA] Quota exceeded`.
func (e *Error) Error() string { return e.Command + ": " + e.Words() }

// Words are the server's own: "NO [OVERQUOTA] Quota exceeded".
func (e *Error) Words() string {
	s := e.Status.Word
	if !e.Status.Code.IsZero() {
		s += " " + e.Status.Code.String()
	}
	if e.Status.Text != "" {
		s += " " + e.Status.Text
	}
	return s
}

// Unwrap is the refusal as a fault.
func (e *Error) Unwrap() error {
	code := e.code()
	return fault.New(code, "the primary's IMAP server refused (%s)", code)
}

// Is tells whether the server's response code is code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Command == "" && t.Status.Code.Name == e.Status.Code.Name && t.Status.Code.Name != ""
}

// WithCode is what errors.Is compares with to find a refusal with this response code.
func WithCode(name string) error {
	return &Error{Status: imap.Status{Code: imap.Code{Name: name}}}
}

// code maps response codes (RFC 5530 and others) to ours.
func (e *Error) code() fault.Code {
	switch e.Status.Code.Name {
	case imap.CodeOverQuota, imap.CodeLimit:
		return fault.OverLimit
	case imap.CodeTooBig:
		return fault.TooLarge
	case imap.CodeTryCreate, imap.CodeNonExistent:
		return fault.NotFound
	case imap.CodeAlreadyExists, imap.CodeHasChildren:
		return fault.Conflict
	case imap.CodeThrottled, imap.CodeInUse, imap.CodeServerBug, imap.CodeExpungeIssued:
		return fault.Temporary
	case imap.CodeUnavailable:
		return fault.Unavailable
	case imap.CodeAuthenticationFailed, imap.CodeExpired:
		return fault.Unauthenticated
	case imap.CodeAuthorizationFailed, imap.CodeNoPerm, imap.CodePrivacyRequired, imap.CodeContactAdmin:
		return fault.Denied
	case imap.CodeCorruption:
		return fault.Corrupt
	case imap.CodeCannot, imap.CodeBadCharset, imap.CodeUnknownCTE, imap.CodeUseAttr, imap.CodeClientBug, imap.CodeParse:
		return fault.Invalid
	}
	switch text := strings.ToLower(e.Status.Text); {
	case e.Status.Word == imap.Bye:
		return fault.Unavailable
	case e.Status.Word == imap.No && (strings.Contains(text, "doesn't exist") || strings.Contains(text, "does not exist")):
		return fault.NotFound // Dovecot 2.3 and Exchange give no code to SELECT of a missing mailbox
	case e.Status.Word == imap.No && strings.Contains(text, "already exists"):
		return fault.Conflict
	case e.Status.Word == imap.No && strings.Contains(text, "quota"):
		return fault.OverLimit
	case e.Status.Word == imap.Bad:
		return fault.Invalid
	case e.Command == "LOGIN" || e.Command == "AUTHENTICATE":
		return fault.Unauthenticated
	}
	return fault.Denied
}

// An UnsupportedError says which capability the server lacks for what was asked. Nothing was sent.
type UnsupportedError struct{ Capability string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the server does not offer %s", e.Capability)
}

// Unwrap is the lack as a fault.
func (e *UnsupportedError) Unwrap() error {
	return fault.New(fault.Invalid, "the primary's IMAP server does not offer %s", e.Capability)
}

// need is an *UnsupportedError unless the server offers the capability.
func (c *Conn) need(capability string) error {
	if c.Has(capability) {
		return nil
	}
	return &UnsupportedError{capability}
}
