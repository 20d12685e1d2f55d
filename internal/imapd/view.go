package imapd

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// view is the selected mailbox as the client knows it: four bytes a message.
type view struct {
	box      mail.MailboxID
	validity uint32
	readOnly bool
	uids     []uint32 // in order; the message number is the index plus one
	modseq   uint64   // all changes up to here are told, or noted in gone
	gone     []uint32 // left the mailbox, and the client was not told yet
	// told are changes of flags that this command told already (or was asked to
	// keep to itself): by UID, up to which modseq.
	told map[uint32]uint64
}

// span is a run of messages of the view: indexes from lo up to, not with, hi.
type span struct{ lo, hi int }

// all is every message.
func (v *view) all() []span {
	if len(v.uids) == 0 {
		return nil
	}
	return []span{{0, len(v.uids)}}
}

// last is the highest UID; 0 if there are no messages.
func (v *view) last() uint32 {
	if len(v.uids) == 0 {
		return 0
	}
	return v.uids[len(v.uids)-1]
}

// index finds a UID.
func (v *view) index(uid uint32) (int, bool) { return slices.BinarySearch(v.uids, uid) }

// spans finds the messages that a set names, in order. Message numbers that do
// not exist are the client's error, UIDs are not (RFC 3501 §6.4.8).
func (v *view) spans(set imap.NumSet, uid bool) ([]span, error) {
	if set.IsSaved() {
		return nil, bad("no search result is kept here")
	}
	n := uint32(len(v.uids))
	if n == 0 && (uid || len(set) == 0) {
		return nil, nil
	}
	var out []span
	if !uid {
		if n == 0 {
			return nil, bad("there are no messages")
		}
		for _, r := range set {
			if r.Last != imap.Star && r.Last > n || r.First > n && r.First != imap.Star {
				return nil, bad("no such message number")
			}
		}
		for _, r := range set.Resolve(n) {
			out = append(out, span{int(r.First) - 1, int(r.Last)})
		}
		return out, nil
	}
	for _, r := range set.Resolve(v.uids[n-1]) {
		lo, _ := v.index(r.First)
		hi, found := v.index(r.Last)
		if found {
			hi++
		}
		if lo < hi {
			out = append(out, span{lo, hi})
		}
	}
	return out, nil
}

// batch is how many messages are read, and how many changed, in one transaction.
const batch = 250

// each reads the placements of the spans in order, by batches, and calls f
// outside of any transaction, so that a slow client holds none open. What left
// the mailbox meanwhile is passed over. prepare, if not nil, runs within the
// transaction that read the batch.
func (c *conn) each(ctx context.Context, spans []span, prepare func(ctx context.Context, tx *record.Tx, some []mailbox.Placement) error, f func([]mailbox.Placement) error) error {
	v := c.box
	for len(spans) > 0 {
		var some []mailbox.Placement
		var rest []span
		err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) error {
			some, rest = make([]mailbox.Placement, 0, batch), slices.Clone(spans)
			for len(rest) > 0 && len(some) < batch {
				s := &rest[0]
				hi := min(s.hi, s.lo+batch-len(some))
				err := tx.Mailbox.Placements(ctx, v.box, v.uids[s.lo], v.uids[hi-1], func(p mailbox.Placement) error {
					some = append(some, p)
					return nil
				})
				if err != nil {
					return err
				}
				if s.lo = hi; s.lo == s.hi {
					rest = rest[1:]
				}
			}
			if prepare == nil {
				return nil
			}
			return prepare(ctx, tx, some)
		})
		if err != nil {
			return err
		}
		// A UID between two that the view knows can't be: UIDs only grow.
		if err := f(some); err != nil {
			return err
		}
		spans = rest
	}
	return nil
}

// tell notes that the client knows of the placement's flags.
func (v *view) tell(p *mailbox.Placement) {
	if v.told == nil {
		v.told = map[uint32]uint64{}
	}
	v.told[p.UID] = p.Modseq
}

// syncBatch is how many changed messages are read at once to tell of them.
const syncBatch = 1000

var errEnough = errors.New("enough for one batch")

// news is what happened in a mailbox since the client last heard.
type news struct {
	box           mailbox.Mailbox
	gone, arrived []uint32
	changed       []mailbox.Placement // in order of modseq
	more          bool                // there are more changed ones
}

// sync tells the client what others changed in the mailbox: what left it if
// expunge, then what arrived, then flags.
func (c *conn) sync(ctx context.Context, expunge bool) error {
	v := c.box
	known := v.last()
	for more := true; more; {
		n, err := c.news(ctx, known)
		if err != nil {
			return err
		}
		if n.box.DeletedModseq != 0 {
			c.bye("the mailbox was deleted")
			c.leaving = true
			return nil
		}
		if more = n.more; more {
			v.modseq = n.changed[len(n.changed)-1].Modseq
		} else {
			v.modseq = max(v.modseq, n.box.Modseq)
		}
		v.gone = append(v.gone, n.gone...)
		if expunge {
			c.tellGone()
		}
		if len(n.arrived) > 0 {
			v.uids = append(v.uids, n.arrived...)
			c.enc.Raw("* ").Number(uint32(len(v.uids))).Raw(" EXISTS\r\n* 0 RECENT\r\n")
		}
		slices.SortFunc(n.changed, func(a, b mailbox.Placement) int { return cmp.Compare(a.UID, b.UID) })
		for _, p := range n.changed {
			if i, ok := v.index(p.UID); ok && v.told[p.UID] < p.Modseq {
				c.tellFlags(i, &p)
			}
		}
	}
	v.told = nil
	return c.enc.Err()
}

// news reads a batch of what happened. Of messages above known the client
// hears that they arrived, not that their flags changed since.
func (c *conn) news(ctx context.Context, known uint32) (n news, err error) {
	v := c.box
	err = c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		n = news{}
		if n.box, err = tx.Mailbox.Mailbox(ctx, v.box); err != nil || n.box.Modseq <= v.modseq {
			return err
		}
		if n.gone, err = tx.Mailbox.Vanished(ctx, v.box, v.modseq); err != nil {
			return err
		}
		// By UID, not by modseq: an earlier arrival may have changed later.
		err = tx.Mailbox.Placements(ctx, v.box, v.last()+1, 0, func(p mailbox.Placement) error {
			n.arrived = append(n.arrived, p.UID)
			return nil
		})
		if err != nil {
			return err
		}
		err = tx.Mailbox.ChangedSince(ctx, v.box, v.modseq, func(p mailbox.Placement) error {
			switch {
			case p.UID > known:
				return nil
			case len(n.changed) == syncBatch:
				n.more = true
				return errEnough
			}
			n.changed = append(n.changed, p)
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	return n, err
}

// tellGone tells the client which messages left the mailbox, and forgets them.
func (c *conn) tellGone() {
	v := c.box
	if len(v.gone) == 0 {
		return
	}
	slices.Sort(v.gone)
	gone := slices.Compact(v.gone)
	v.gone = nil
	known := gone[:0]
	for _, uid := range gone {
		if _, ok := v.index(uid); ok {
			known = append(known, uid)
		}
	}
	if len(known) == 0 {
		return
	}
	if c.qresync {
		c.enc.Raw("* VANISHED ").NumSet(imap.NumSetOf(known...)).CRLF()
	} else {
		// From the last to the first no number moves under us.
		for _, uid := range slices.Backward(known) {
			i, _ := v.index(uid)
			c.enc.Raw("* ").Number(uint32(i + 1)).Raw(" EXPUNGE\r\n")
		}
	}
	v.uids = slices.DeleteFunc(v.uids, func(uid uint32) bool {
		_, ok := slices.BinarySearch(known, uid)
		return ok
	})
}

// tellFlags sends the flags of the message at index i.
func (c *conn) tellFlags(i int, p *mailbox.Placement) {
	c.enc.Raw("* ").Number(uint32(i + 1)).Raw(" FETCH (UID ").Number(p.UID).Raw(" FLAGS ").Flags(p.Flags.Names())
	if c.condstore {
		c.enc.Raw(" MODSEQ (").Number64(p.Modseq).Raw(")")
	}
	c.enc.Raw(")\r\n")
}
