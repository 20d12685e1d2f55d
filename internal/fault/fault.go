// Package fault gives every error a code, a public text, a private cause and whether a retry helps.
//
// Rooms below the doors return faults; each door has one table from Code to its
// own replies (SMTP, IMAP, JMAP, HTTP problems, exit statuses).
package fault

import (
	"errors"
	"fmt"
)

// Code says what kind of error it is. A door maps codes, never texts.
type Code string

// The codes. Temporary, Unavailable and Frozen are worth a retry, the others are not.
const (
	Invalid         Code = "invalid"         // the caller's words are wrong: say which and what is allowed
	NotFound        Code = "not-found"       // no such thing
	Conflict        Code = "conflict"        // exists already, or changed meanwhile
	Denied          Code = "denied"          // known, but not allowed
	Unauthenticated Code = "unauthenticated" // sign-in missing or wrong
	OverLimit       Code = "over-limit"      // quota, rate or count
	TooLarge        Code = "too-large"       // one item is too big
	Temporary       Code = "temporary"       // will pass: try again later
	Unavailable     Code = "unavailable"     // the other side (primary, DNS, node) does not answer
	Frozen          Code = "frozen"          // a breaker waits for a person
	AwaitsPerson    Code = "awaits-person"   // a decision is needed
	Corrupt         Code = "corrupt"         // stored bytes are not what was stored
	Internal        Code = "internal"        // a bug, or the machine
)

// Error is what crosses a room's door.
type Error struct {
	Code   Code
	Public string // safe to show to a stranger: no secret, no path, no content
	Cause  error  // private; may be nil
}

// Error is the text for logs: public text and cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Public
	}
	return e.Public + ": " + e.Cause.Error()
}

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error with a public text in fmt form.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Public: fmt.Sprintf(format, args...)}
}

// Wrap gives cause a code and a public text. A nil cause gives nil.
func Wrap(cause error, code Code, format string, args ...any) error {
	if cause == nil {
		return nil
	}
	return &Error{Code: code, Public: fmt.Sprintf(format, args...), Cause: cause}
}

// CodeOf is the code of the outermost fault in err's chain: Internal when there
// is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is tells whether err's code is code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// Public is the text of err that a stranger may see.
func Public(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Public
	}
	return "internal error"
}

// Retryable tells whether trying the same again later can help.
func Retryable(err error) bool {
	switch CodeOf(err) {
	case Temporary, Unavailable, Frozen:
		return true
	}
	return false
}
