package mirror

import (
	"cmp"
	"context"
	"slices"

	"relais/internal/crashpoint"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mime"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// How much one MULTIAPPEND carries.
const (
	appendMessages = 100
	appendBytes    = 8 << 20
)

// appendThere adds the messages that the primary lacks, folder by folder, in the order of their dates.
func (p *pass) appendThere(ctx context.Context) error {
	todo := p.ordered(func(s *subject) bool { return s.out.Op == merge.AppendThere })
	keys, groups := batches(todo, func(s *subject) mail.MailboxID { return s.out.Mailbox })
	for _, box := range keys {
		pr := p.byBox[box]
		group := slices.DeleteFunc(groups[box], p.restingDraft)
		resting := len(groups[box]) - len(group)
		p.waiting += resting
		if pr == nil || pr.lost {
			// Its folder is made by the next pass.
			p.waiting += len(group)
			if err := p.laterAll(ctx, groups[box]); err != nil {
				return err
			}
			continue
		}
		if resting > 0 {
			if err := p.laterAll(ctx, p.ordered(func(s *subject) bool {
				return s.out.Op == merge.AppendThere && s.out.Mailbox == box && p.restingDraft(s)
			})); err != nil {
				return err
			}
		}
		slices.SortStableFunc(group, func(a, b *subject) int {
			return cmp.Or(a.placement.InternalDate.Compare(b.placement.InternalDate), cmp.Compare(a.placement.UID, b.placement.UID))
		})
		for len(group) > 0 {
			n, bytes := 0, int64(0)
			for n < len(group) && n < appendMessages && (n == 0 || bytes+group[n].placement.Size <= appendBytes) {
				bytes += group[n].placement.Size
				n++
			}
			if err := p.appendChunk(ctx, pr, group[:n]); err != nil {
				return err
			}
			group = group[n:]
		}
	}
	return nil
}

// appendChunk appends some messages to one folder. APPEND is not idempotent, so
// the intent is committed first: after an unknown outcome the next pass scans the
// folder and finds by content what had arrived, before anything is repeated.
func (p *pass) appendChunk(ctx context.Context, pr *pair, group []*subject) error {
	messages := make([]Append, len(group))
	for i, s := range group {
		body, err := p.s.Store.Body(ctx, p.acct.Tenant, s.placement.Hash)
		if err != nil {
			return err
		}
		flags, unkept := keepable(pr, s.out.Flags)
		s.unkept = unkept
		messages[i] = Append{Body: body, Flags: flags, Date: s.placement.InternalDate}
	}
	intents := make([]link.IntentID, len(group))
	err := p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i, s := range group {
			if s.link != nil { // the primary lost it: the new copy gets a link of its own
				if err := tx.Link.Close(ctx, s.link.ID); err != nil {
					return err
				}
			}
			if err := claimAppend(ctx, tx, s.placement.ID); err != nil {
				return err
			}
			id, err := tx.Link.BeginIntent(ctx, link.Intent{Account: p.acct.ID, Kind: link.AppendIntent, Placement: s.placement.ID,
				Folder: pr.folder.Key, UIDValidity: pr.there.Token.UIDValidity, UIDNext: pr.there.Token.UIDNext})
			if err != nil {
				return err
			}
			intents[i] = id
		}
		return nil
	})
	if err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.MirrorAppendIntended)
	results, err := p.far.Append(ctx, pr.folder.Name, messages)
	crashpoint.Hit(crashpoint.MirrorAppendSent)
	if err != nil {
		return err
	}
	prints, err := p.readBack(ctx, pr, results)
	if err != nil {
		return err
	}
	err = p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i, s := range group {
			if err := p.appended(ctx, tx, pr, s, intents[i], messages[i], results[i], prints); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.MirrorAppendLinked)
	for i, s := range group {
		if why := results[i].Refused; why != nil {
			if err := p.refuseAll(ctx, []*subject{s}, "append", pr, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// appended notes the outcome of one append.
func (p *pass) appended(ctx context.Context, tx *record.Tx, pr *pair, s *subject, intent link.IntentID, sent Append, at Appended, prints map[uint32]serverVersion) error {
	if at.Refused != nil {
		if err := releaseAppend(ctx, tx, s.placement.ID, at.Refused.Words); err != nil {
			return err
		}
		return tx.Link.FinishIntent(ctx, intent, "refused")
	}
	if err := tx.Link.FinishIntent(ctx, intent, "done"); err != nil || at.UID == 0 {
		return err // without a UID the next pass finds it by content
	}
	l, err := tx.Link.Open(ctx, link.Link{Account: p.acct.ID, Placement: s.placement.ID, Folder: pr.folder.Key,
		UIDValidity: at.UIDValidity, UID: at.UID, Base: sent.Flags.Union(s.unkept), BaseMailbox: pr.folder.Mailbox,
		ServerHash: prints[at.UID].hash, ServerPrint: prints[at.UID].print, Unkept: s.unkept, Appended: true})
	if err != nil {
		return err
	}
	if err := seen(ctx, tx, p.acct.ID, s.placement.ID, l.ID); err != nil {
		return err
	}
	return tx.Link.ClearPending(ctx, s.placement.ID)
}

// serverVersion is a message as the server gives it back.
type serverVersion struct {
	hash  mail.Hash
	print [32]byte
}

// readBack reads what the server made of appended messages: Exchange, for one,
// rewrites headers and MIME, and the base must know its version.
func (p *pass) readBack(ctx context.Context, pr *pair, results []Appended) (map[uint32]serverVersion, error) {
	var uids []uint32
	for _, r := range results {
		if r.UID != 0 {
			uids = append(uids, r.UID)
		}
	}
	out := make(map[uint32]serverVersion, len(uids))
	if len(uids) == 0 {
		return out, nil
	}
	err := p.far.Fetch(ctx, pr.folder.Name, uids, func(m Message) error {
		out[m.UID] = serverVersion{mail.Sum(m.Body), mime.FingerprintOf(m.Body).Content}
		return nil
	})
	return out, err
}
