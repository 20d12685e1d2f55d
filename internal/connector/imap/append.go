package imapconn

import (
	"context"
	"slices"
	"time"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
)

// An AppendMessage is a message to be filed. Lines in Body end in CR LF.
type AppendMessage struct {
	Flags        mail.Flags
	InternalDate time.Time // zero: the server's now
	Body         []byte
}

// Appended is the outcome for one message.
type Appended struct {
	UIDValidity uint32
	UID         uint32 // 0: filed, but the server did not say where (no UIDPLUS)
	Err         error  // not filed, or not known to be when the connection broke
}

// Append files one message. An error that is not an *Error leaves the outcome
// unknown: the caller must look before it tries again.
func (c *Conn) Append(ctx context.Context, mailbox string, m AppendMessage) (Appended, error) {
	results, err := c.AppendAll(ctx, mailbox, []AppendMessage{m})
	if err == nil {
		err = results[0].Err
	}
	return results[0], err
}

// AppendAll files messages, in order: in one MULTIAPPEND where that is offered
// (all or none, RFC 3502), else by pipelined APPENDs. If the server refuses the
// lot it is tried one by one, so that a refusal blocks only its own message.
//
// There is one result for each message. The error tells that the connection
// broke: then the outcome is unknown for those whose Err says the same.
func (c *Conn) AppendAll(ctx context.Context, mailbox string, messages []AppendMessage) ([]Appended, error) {
	results := make([]Appended, len(messages))
	leave, err := c.enter(ctx, false)
	if err != nil {
		return results, err
	}
	defer leave()
	if len(messages) > 1 && c.Has(imap.CapMultiAppend) {
		status, err := c.startAppend(ctx, mailbox, messages).wait()
		switch {
		case err == nil:
			appended(results, status.Code)
			return results, nil
		case !isRefusal(err):
			for i := range results {
				results[i].Err = err
			}
			return results, err
		case fault.Is(err, fault.NotFound) || fault.Retryable(err):
			// The same would be said of each.
			for i := range results {
				results[i].Err = err
			}
			return results, nil
		}
	}
	return results, c.appendEach(ctx, mailbox, messages, results)
}

// appendWindow is how many APPENDs are in flight at most: enough to hide the
// way, few enough that a broken connection leaves few outcomes unknown.
const appendWindow = 32

func (c *Conn) appendEach(ctx context.Context, mailbox string, messages []AppendMessage, results []Appended) error {
	calls := make([]*call, 0, len(messages))
	var broken error
	done := 0
	collect := func(upTo int) {
		for ; done < upTo; done++ {
			status, err := calls[done].wait()
			results[done].Err = err
			switch {
			case err == nil:
				appended(results[done:done+1], status.Code)
			case !isRefusal(err) && broken == nil:
				broken = err
			}
		}
	}
	for i := range messages {
		collect(i - appendWindow)
		calls = append(calls, c.startAppend(ctx, mailbox, messages[i:i+1]))
	}
	collect(len(calls))
	return broken
}

// appended notes what APPENDUID tells: one UID for each message, in order.
func appended(results []Appended, code imap.Code) {
	validity, uids, ok := code.AppendUID()
	if !ok || uids.Count() != uint64(len(results)) {
		return
	}
	i := 0
	for uid := range uids.All() {
		results[i].UIDValidity, results[i].UID = validity, uid
		i++
	}
}

func (c *Conn) startAppend(ctx context.Context, mailbox string, messages []AppendMessage) *call {
	binary := c.Has(imap.CapBinary)
	return c.start(ctx, &command{name: "APPEND", more: make(chan string, 1)}, func(e *imap.Encoder) {
		e.SP().Mailbox(mailbox)
		for _, m := range messages {
			if names := m.Flags.Names(); len(names) > 0 {
				e.SP().Flags(names)
			}
			if !m.InternalDate.IsZero() {
				e.SP().DateTime(m.InternalDate)
			}
			e.SP()
			if binary && slices.Contains(m.Body, 0) {
				e.Raw("~") // a literal8 may hold NUL (RFC 3516 §4.4)
			}
			e.LiteralBytes(m.Body)
		}
	})
}
