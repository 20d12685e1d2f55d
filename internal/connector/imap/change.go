package imapconn

import (
	"context"

	"relais/internal/fault"
	"relais/internal/imap"
)

// Search finds UIDs in the selected mailbox. Text in the key may be UTF-8.
func (c *Conn) Search(ctx context.Context, key imap.SearchKey) (imap.NumSet, error) {
	var found imap.NumSet
	cmd := &command{name: "UID SEARCH", search: func(s imap.SearchData) {
		found = append(found, s.All...).Normal()
	}}
	_, err := c.exec(ctx, cmd, func(e *imap.Encoder) {
		if c.Has(imap.CapESearch) {
			e.Raw(" RETURN (ALL)")
		}
		if !ascii(key) {
			e.Raw(" CHARSET UTF-8")
		}
		e.SP().SearchKey(key)
	})
	return found, err
}

// ascii tells whether no text in the key needs CHARSET.
func ascii(k imap.SearchKey) bool {
	for _, s := range k.Text + k.Field {
		if s >= 0x80 {
			return false
		}
	}
	for _, sub := range k.Keys {
		if !ascii(sub) {
			return false
		}
	}
	return true
}

// Stored is the outcome of Store.
type Stored struct {
	// Modified are the UIDs left alone because they changed after UnchangedSince.
	Modified imap.NumSet
	// Messages is what the server told of the others: new mod-sequences and, unless silent, flags.
	Messages []*Message
}

// Store changes the flags of messages in the selected mailbox. UnchangedSince
// needs CONDSTORE. A set too long for one line goes in several commands.
func (c *Conn) Store(ctx context.Context, uids imap.NumSet, s imap.Store) (Stored, error) {
	var out Stored
	if s.HasUnchangedSince {
		if err := c.need(imap.CapCondStore); err != nil {
			return out, err
		}
	}
	for part := range uids.Split(setBytes) {
		sink := &fetchSink{uids: part, each: func(m *Message) error {
			out.Messages = append(out.Messages, m)
			return nil
		}}
		status, err := c.exec(ctx, &command{name: "UID STORE", fetch: sink}, func(e *imap.Encoder) { e.SP().NumSet(part).SP().Store(s) })
		if status.Code.Name == imap.CodeModified {
			if set, ok := status.Code.Set(); ok {
				out.Modified = append(out.Modified, set...).Normal()
			}
			if isRefusal(err) { // RFC 7162 §3.1.3 lets a server say NO [MODIFIED]
				err = nil
			}
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Copied is the outcome of Copy and Move: which UID became which. Without
// UIDPLUS, or when the server did not say, Known is false.
type Copied struct {
	Known       bool
	UIDValidity uint32            // of the target
	UIDs        map[uint32]uint32 // old to new; messages gone meanwhile are missing
}

// maxCopied bounds how many pairs a COPYUID may stand for.
const maxCopied = 1_000_000

func (k *Copied) take(code imap.Code) {
	validity, from, to, ok := code.CopyUID()
	if !ok || from.Count() > maxCopied {
		return
	}
	if k.UIDs == nil {
		k.UIDs = make(map[uint32]uint32, from.Count())
	}
	k.Known, k.UIDValidity = true, validity
	var targets []uint32
	for uid := range to.All() {
		targets = append(targets, uid)
	}
	i := 0
	for uid := range from.All() {
		k.UIDs[uid] = targets[i]
		i++
	}
}

// Copy copies messages of the selected mailbox. fault.NotFound when the target is not there.
func (c *Conn) Copy(ctx context.Context, uids imap.NumSet, to string) (Copied, error) {
	return c.copy(ctx, "UID COPY", uids, to)
}

// Move moves messages of the selected mailbox (RFC 6851). It needs MOVE.
func (c *Conn) Move(ctx context.Context, uids imap.NumSet, to string) (Copied, error) {
	if err := c.need(imap.CapMove); err != nil {
		return Copied{}, err
	}
	return c.copy(ctx, "UID MOVE", uids, to)
}

func (c *Conn) copy(ctx context.Context, name string, uids imap.NumSet, to string) (Copied, error) {
	var out Copied
	for part := range uids.Split(setBytes) {
		// MOVE tells COPYUID in an untagged OK, before the expunges (RFC 6851 §4.3).
		cmd := &command{name: name, code: out.take}
		status, err := c.exec(ctx, cmd, func(e *imap.Encoder) { e.SP().NumSet(part).SP().Mailbox(to) })
		if err != nil {
			return out, err
		}
		out.take(status.Code)
	}
	return out, nil
}

// Expunge removes those of the messages that carry \Deleted (RFC 4315 §2.1). It
// needs UIDPLUS: without it EXPUNGE would also remove what others marked.
func (c *Conn) Expunge(ctx context.Context, uids imap.NumSet) error {
	if err := c.need(imap.CapUIDPlus); err != nil {
		return err
	}
	if len(uids) == 0 {
		return fault.New(fault.Invalid, "an expunge of no messages")
	}
	for part := range uids.Split(setBytes) {
		if _, err := c.exec(ctx, &command{name: "UID EXPUNGE"}, func(e *imap.Encoder) { e.SP().NumSet(part) }); err != nil {
			return err
		}
	}
	return nil
}
