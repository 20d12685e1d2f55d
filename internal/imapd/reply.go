package imapd

import (
	"context"
	"errors"

	"relais/internal/fault"
	"relais/internal/imap"
)

// statusError is an answer that a command ends with.
type statusError imap.Status

func (e *statusError) Error() string { return e.Word + " " + e.Text }

func no(code, text string) error {
	return &statusError{imap.No, imap.MakeCode(code), text}
}

func bad(text string) error { return &statusError{imap.Bad, imap.Code{}, text} }

// codes is the door's table from faults to response codes (RFC 5530).
var codes = map[fault.Code]string{
	fault.Invalid:         imap.CodeCannot,
	fault.NotFound:        imap.CodeNonExistent,
	fault.Conflict:        imap.CodeAlreadyExists,
	fault.Denied:          imap.CodeNoPerm,
	fault.Unauthenticated: imap.CodeAuthenticationFailed,
	fault.OverLimit:       imap.CodeLimit,
	fault.TooLarge:        imap.CodeTooBig,
	fault.Temporary:       imap.CodeUnavailable,
	fault.Unavailable:     imap.CodeUnavailable,
	fault.Frozen:          imap.CodeUnavailable,
	fault.Corrupt:         imap.CodeCorruption,
	fault.Internal:        imap.CodeServerBug,
}

// statusOf is the answer to a command that failed with err.
func (c *conn) statusOf(err error) imap.Status {
	if s, ok := errors.AsType[*statusError](err); ok {
		return imap.Status(*s)
	}
	if limit, ok := errors.AsType[*imap.LimitError](err); ok {
		if limit.What == "literal" {
			return imap.Status{Word: imap.No, Code: imap.MakeCode(imap.CodeTooBig), Text: "the message is too large"}
		}
		return imap.Status{Word: imap.Bad, Text: limit.Error()}
	}
	if syntax, ok := errors.AsType[*imap.SyntaxError](err); ok {
		return imap.Status{Word: imap.Bad, Text: syntax.Error()}
	}
	if errors.Is(err, context.Canceled) {
		return imap.Status{Word: imap.No, Code: imap.MakeCode(imap.CodeUnavailable), Text: "closing down"}
	}
	code := fault.CodeOf(err)
	if code == fault.Internal || code == fault.Corrupt {
		c.log.Error("command failed", "account", c.person.Account, "err", err)
	}
	return imap.Status{Word: imap.No, Code: imap.MakeCode(codes[code]), Text: fault.Public(err)}
}

// tryCreate turns a missing target mailbox into the code by which clients create it (RFC 3501 §6.3.11).
func tryCreate(err error) error {
	if fault.Is(err, fault.NotFound) {
		return no(imap.CodeTryCreate, "no such mailbox")
	}
	return err
}
