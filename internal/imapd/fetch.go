package imapd

import (
	"context"
	"slices"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// fetch is FETCH and UID FETCH (RFC 3501 §6.4.5, RFC 7162 §3.1.4 and §3.2.6).
func (c *conn) fetch(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	set := c.dec.NumSet()
	c.dec.SP()
	items := c.dec.FetchItems()
	var mod imap.FetchModifiers
	if c.dec.Accept(' ') {
		mod = c.dec.FetchModifiers()
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	plan, err := c.plan(items, r.uid, mod.HasChangedSince)
	if err != nil {
		return imap.Status{}, err
	}
	if mod.Vanished && !(r.uid && c.qresync) {
		return imap.Status{}, bad("VANISHED needs UID FETCH and QRESYNC enabled")
	}
	spans, err := c.box.spans(set, r.uid)
	if err != nil {
		return imap.Status{}, err
	}
	if mod.Vanished {
		if err := c.tellVanished(ctx, set, mod.ChangedSince); err != nil {
			return imap.Status{}, err
		}
	}
	if mod.HasChangedSince {
		if spans, err = c.changed(ctx, spans, mod.ChangedSince); err != nil {
			return imap.Status{}, err
		}
	}
	var summaries map[mail.EmailID][]byte
	prepare := func(ctx context.Context, tx *record.Tx, some []mailbox.Placement) (err error) {
		summaries, err = tx.Mailbox.Summaries(ctx, emails(some))
		return err
	}
	if !plan.summary {
		prepare = nil
	}
	err = c.each(ctx, spans, prepare, func(some []mailbox.Placement) error {
		before := slices.Clone(some)
		if plan.seen && !c.box.readOnly {
			if err := c.markSeen(ctx, some); err != nil {
				return err
			}
		}
		for n := range some {
			m := &message{conn: c, p: &some[n], summaryBytes: summaries[some[n].Email]}
			err := c.sendItems(ctx, plan, m, some[n].Modseq != before[n].Modseq)
			m.release()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return imap.Status{}, err
}

func emails(some []mailbox.Placement) []mail.EmailID {
	ids := make([]mail.EmailID, len(some))
	for i, p := range some {
		ids[i] = p.Email
	}
	return ids
}

// plan is what a FETCH asks for.
type plan struct {
	items         []imap.FetchItem
	summary, seen bool // summaries are needed; \Seen is set
	flags, modseq bool // asked for, or to be told anyway
}

func (c *conn) plan(items []imap.FetchItem, uid, changedSince bool) (*plan, error) {
	p := &plan{items: items}
	if uid && !slices.ContainsFunc(items, func(i imap.FetchItem) bool { return i.Name == imap.ItemUID }) {
		p.items = append([]imap.FetchItem{{Name: imap.ItemUID}}, items...)
	}
	for _, item := range items {
		switch item.Name {
		case imap.ItemFlags:
			p.flags = true
		case imap.ItemModSeq:
			c.condstore, p.modseq = true, true
		case imap.ItemEnvelope, imap.ItemBodyStructure:
			p.summary = true
		case imap.ItemBody:
			p.summary = p.summary || item.Section == nil || len(item.Section.Path) > 0
			p.seen = p.seen || item.Section != nil && !item.Peek
		case imap.ItemRFC822, imap.ItemRFC822Text:
			p.seen = true
		case imap.ItemUID, imap.ItemInternalDate, imap.ItemSize, imap.ItemRFC822Header, imap.ItemEmailID, imap.ItemThreadID:
		default:
			return nil, bad("unknown FETCH item " + item.Name)
		}
		if item.Section != nil && item.Name != imap.ItemBody {
			return nil, bad("a section belongs to BODY")
		}
	}
	if changedSince {
		c.condstore = true
		if !p.modseq {
			p.modseq = true
			p.items = append(p.items, imap.FetchItem{Name: imap.ItemModSeq})
		}
	}
	return p, nil
}

// markSeen sets \Seen on those that lack it, in one transaction, and puts what became of them in some.
func (c *conn) markSeen(ctx context.Context, some []mailbox.Placement) error {
	if !slices.ContainsFunc(some, func(p mailbox.Placement) bool { return !p.Flags.Has(mail.Seen) }) {
		return nil
	}
	var after []mailbox.Placement
	err := c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		tx.As(c.person.Email)
		after = slices.Clone(some)
		for i := range after {
			if after[i].Flags.Has(mail.Seen) {
				continue
			}
			now, err := tx.Mailbox.Placement(ctx, after[i].ID)
			if err != nil {
				return err
			}
			if now.Mailbox != c.box.box || !now.Live() {
				continue // it left meanwhile
			}
			if after[i], err = tx.Mailbox.SetFlags(ctx, now.ID, now.Flags.Union(mail.Flags{System: mail.Seen}), mail.ByPerson); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		copy(some, after)
	}
	return err
}

// sendItems sends one FETCH response. changed says that we just set \Seen.
func (c *conn) sendItems(ctx context.Context, plan *plan, m *message, changed bool) error {
	i, ok := c.box.index(m.p.UID)
	if !ok {
		return nil
	}
	if err := m.load(ctx, plan); err != nil {
		return err
	}
	c.enc.Raw("* ").Number(uint32(i + 1)).Raw(" FETCH ").Open()
	for _, item := range plan.items {
		c.enc.Sep()
		m.send(item)
	}
	if changed {
		if !plan.flags {
			c.enc.Raw(" FLAGS ").Flags(m.p.Flags.Names())
		}
		if c.condstore && !plan.modseq {
			c.enc.Raw(" MODSEQ (").Number64(m.p.Modseq).Raw(")")
		}
		c.box.tell(m.p)
	}
	c.enc.Close().CRLF()
	return c.enc.Err()
}
