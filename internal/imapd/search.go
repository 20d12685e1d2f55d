package imapd

import (
	"context"
	"slices"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// search is SEARCH and UID SEARCH (RFC 3501 §6.4.4, RFC 4731, RFC 7162 §3.1.5).
func (c *conn) search(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	args := c.dec.Search()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	switch args.Charset {
	case "", "US-ASCII", "UTF-8":
	default:
		return imap.Status{}, &statusError{imap.No, imap.MakeCode(imap.CodeBadCharset, "(US-ASCII UTF-8)"), "UTF-8 is what is spoken here"}
	}
	for _, o := range args.Return {
		switch o {
		case "MIN", "MAX", "ALL", "COUNT":
		default:
			return imap.Status{}, bad("unknown RETURN option")
		}
	}
	usesModSeq := args.Key.UsesModSeq()
	c.condstore = c.condstore || usesModSeq
	k, err := c.compile(&args.Key)
	if err != nil {
		return imap.Status{}, err
	}
	var found []uint32
	var highest uint64
	v := c.box
	err = c.each(ctx, v.all(), nil, func(some []mailbox.Placement) error {
		return c.searchBatch(ctx, k, some, func(p *mailbox.Placement) {
			i, ok := v.index(p.UID)
			if !ok {
				return
			}
			n := uint32(i + 1)
			if r.uid {
				n = p.UID
			}
			found = append(found, n)
			highest = max(highest, p.Modseq)
		})
	})
	if err != nil {
		return imap.Status{}, err
	}
	if !usesModSeq {
		highest = 0
	}
	c.tellFound(r, args.Return, found, highest)
	return imap.Status{}, c.enc.Err()
}

// searchBatch calls hit with the matching placements of a batch, in order. What
// the rows tell is looked at first, then the summaries, then the messages.
func (c *conn) searchBatch(ctx context.Context, k *key, some []mailbox.Placement, hit func(*mailbox.Placement)) error {
	verdicts := make([]verdict, len(some))
	var open []mailbox.Placement
	for i := range some {
		m := &candidate{message{conn: c, p: &some[i]}}
		if verdicts[i] = k.match(m); verdicts[i] == unknown {
			open = append(open, some[i])
		}
	}
	if open != nil {
		var summaries map[mail.EmailID][]byte
		err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
			summaries, err = tx.Mailbox.Summaries(ctx, emails(open))
			return err
		})
		if err != nil {
			return err
		}
		for i := range some {
			if verdicts[i] != unknown {
				continue
			}
			m := &candidate{message{conn: c, p: &some[i], summaryBytes: summaries[some[i].Email]}}
			if verdicts[i], err = k.look(ctx, m); err != nil {
				return err
			}
		}
	}
	for i := range some {
		if verdicts[i] == yes {
			hit(&some[i])
		}
	}
	return ctx.Err()
}

// look decides by the summary, and where that is not enough by the message.
func (k *key) look(ctx context.Context, m *candidate) (verdict, error) {
	defer m.release()
	if _, err := m.summary(ctx); err != nil {
		return unknown, err
	}
	if v := k.match(m); v != unknown {
		return v, nil
	}
	if err := m.body(ctx); err != nil {
		return unknown, err
	}
	return k.match(m), nil
}

func (c *conn) tellFound(r *request, options []string, found []uint32, highest uint64) {
	if options == nil {
		c.enc.Raw("* SEARCH")
		for _, n := range found {
			c.enc.SP().Number(n)
		}
		if highest != 0 && len(found) > 0 {
			c.enc.Raw(" (MODSEQ ").Number64(highest).Raw(")")
		}
		c.enc.CRLF()
		return
	}
	data := imap.SearchData{Tag: r.tag, UID: r.uid, ModSeq: highest}
	n := len(found)
	if slices.Contains(options, "MIN") && n > 0 {
		data.Min = found[0]
	}
	if slices.Contains(options, "MAX") && n > 0 {
		data.Max = found[n-1]
	}
	if slices.Contains(options, "ALL") {
		data.All = imap.NumSetOf(found...)
	}
	if slices.Contains(options, "COUNT") {
		data.Count, data.HasCount = uint32(n), true
	}
	c.enc.ESearchData(data)
}
