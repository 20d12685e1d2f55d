package imapd

import (
	"context"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// store is STORE and UID STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).
func (c *conn) store(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	set := c.dec.NumSet()
	c.dec.SP()
	args := c.dec.Store()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	spans, err := c.box.spans(set, r.uid)
	if err != nil {
		return imap.Status{}, err
	}
	c.condstore = c.condstore || args.HasUnchangedSince
	change := flagChange{args, mail.ParseFlags(args.Flags...)}
	var modified imap.NumSet
	err = c.each(ctx, spans, nil, func(some []mailbox.Placement) error {
		after, stale, err := c.change(ctx, change, some)
		if err != nil {
			return err
		}
		for _, p := range stale {
			if i, ok := c.box.index(p.UID); r.uid {
				modified.Add(p.UID)
			} else if ok {
				modified.Add(uint32(i + 1))
			}
		}
		for _, p := range after {
			c.box.tell(&p)
			i, ok := c.box.index(p.UID)
			if !ok {
				continue
			}
			if !args.Silent {
				c.tellFlags(i, &p)
			} else if c.condstore { // the new modseq is told all the same (RFC 7162 §3.1.3)
				c.enc.Raw("* ").Number(uint32(i + 1)).Raw(" FETCH (UID ").Number(p.UID).Raw(" MODSEQ (").Number64(p.Modseq).Raw("))\r\n")
			}
		}
		return c.enc.Err()
	})
	if err != nil || len(modified) == 0 {
		return imap.Status{}, err
	}
	return imap.Status{Code: imap.MakeCode(imap.CodeModified, modified.String()), Text: "some have changed since"}, nil
}

type flagChange struct {
	imap.Store
	flags mail.Flags
}

func (f *flagChange) apply(old mail.Flags) mail.Flags {
	switch f.Op {
	case imap.StoreAdd:
		return old.Union(f.flags)
	case imap.StoreRemove:
		return old.Without(f.flags)
	}
	return f.flags
}

// change sets the flags of a batch in one transaction; stale are those that
// changed since the client last looked, and are left as they are.
func (c *conn) change(ctx context.Context, f flagChange, some []mailbox.Placement) (after, stale []mailbox.Placement, err error) {
	err = c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		tx.As(c.person.Email)
		after, stale = nil, nil
		for _, p := range some {
			now, err := tx.Mailbox.Placement(ctx, p.ID)
			if err != nil {
				return err
			}
			if now.Mailbox != c.box.box || !now.Live() {
				continue // it left meanwhile, and the client will be told
			}
			if f.HasUnchangedSince && now.Modseq > f.UnchangedSince {
				stale = append(stale, now)
				continue
			}
			if now, err = tx.Mailbox.SetFlags(ctx, now.ID, f.apply(now.Flags), mail.ByPerson); err != nil {
				return err
			}
			after = append(after, now)
		}
		return nil
	})
	return after, stale, err
}
