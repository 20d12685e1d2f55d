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

// AppendAll files messages, in order: by MULTIAPPEND where that is offered (RFC
// 3502: a lot is filed whole or not at all), else by pipelined APPENDs. If the
// server refuses a lot it is tried one by one, so that a refusal blocks only its
// own message.
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
	if !c.Has(imap.CapMultiAppend) {
		return results, c.appendEach(ctx, mailbox, messages, results)
	}
	for from := 0; from < len(messages); {
		to := from + lot(messages[from:])
		if err := c.appendLot(ctx, mailbox, messages[from:to], results[from:to]); err != nil {
			for i := range results[to:] {
				results[to+i].Err = err
			}
			return results, err
		}
		from = to
	}
	return results, nil
}

// A lot has at most this many messages and bytes, so that a refusal or a broken
// connection costs little; one message may be bigger.
const (
	lotMessages = 500
	lotBytes    = 32 << 20
)

// lot is how many of the messages go together.
func lot(messages []AppendMessage) int {
	size := 0
	for i, m := range messages[:min(len(messages), lotMessages)] {
		if size += len(m.Body); size > lotBytes && i > 0 {
			return i
		}
	}
	return min(len(messages), lotMessages)
}

// appendLot files the messages by one command, or each by its own when the lot
// was refused for a reason that may concern one message alone.
func (c *Conn) appendLot(ctx context.Context, mailbox string, messages []AppendMessage, results []Appended) error {
	if len(messages) == 1 {
		return c.appendEach(ctx, mailbox, messages, results)
	}
	status, err := c.startAppend(ctx, mailbox, messages).wait()
	if err == nil {
		appended(results, status.Code)
		return nil
	}
	refused := isRefusal(err)
	if refused && !fault.Is(err, fault.NotFound) && !fault.Retryable(err) {
		return c.appendEach(ctx, mailbox, messages, results)
	}
	for i := range results {
		results[i].Err = err
	}
	if refused {
		return nil // the same would be said of each
	}
	return err
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
