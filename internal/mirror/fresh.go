package mirror

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"relais/internal/fault"
	"relais/internal/intake/trace"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mime"
	"relais/internal/record"
)

// How much of a folder is read at once, and how much of it is on its way into the record.
const (
	fetchChunk    = 500     // messages asked for in one FETCH
	batchMessages = 50      // messages that are matched and filed together
	batchBytes    = 4 << 20 // and their size; one message may be bigger
	batchesAtOnce = 2       // while the next is being read
)

// arrival is a message that is new at the primary.
type arrival struct {
	pair  *pair
	msg   Message
	facts mime.Facts
	ids   []string // of Relais's own Received lines
	probe bool
}

// takeFresh reads what is new at the primary, newest first, and joins each
// message to what the ledger expects; what nobody expects is filed here.
// Messages are read, taken apart and filed at the same time.
func (p *pass) takeFresh(ctx context.Context) error {
	if len(p.fresh) == 0 {
		return nil
	}
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		account, err := tx.Mailbox.Account(ctx, p.acct.ID)
		if err != nil {
			return err
		}
		rows, err := tx.Link.Loose(ctx, p.acct.ID)
		p.loose = newLooseIndex(rows, account.Modseq)
		return err
	})
	if err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(batchesAtOnce)
	err = p.eachBatch(gctx, func(batch []arrival) {
		group.Go(func() error { return p.takeBatch(gctx, batch) })
	})
	if werr := group.Wait(); werr != nil {
		return werr
	}
	return err
}

// eachBatch streams the fresh messages, the newest of each folder first.
func (p *pass) eachBatch(ctx context.Context, each func([]arrival)) error {
	var batch []arrival
	size := 0
	hand := func() {
		if len(batch) > 0 {
			each(batch)
			batch, size = nil, 0
		}
	}
	defer hand()
	for _, run := range p.fresh {
		items := slices.Clone(run.items)
		slices.SortFunc(items, func(a, b Item) int { return int(int64(b.UID) - int64(a.UID)) })
		for chunk := range slices.Chunk(items, fetchChunk) {
			if err := p.proceed(ctx); err != nil {
				return err
			}
			uids := make([]uint32, len(chunk))
			asked := make(map[uint32]bool, len(chunk))
			for i, item := range chunk {
				uids[i], asked[item.UID] = item.UID, true
			}
			err := p.far.Fetch(ctx, run.pair.folder.Name, uids, func(m Message) error {
				if !asked[m.UID] { // twice, or never
					return nil
				}
				delete(asked, m.UID)
				m.Flags = bounded(m.Flags)
				batch = append(batch, arrival{pair: run.pair, msg: m})
				if size += len(m.Body); len(batch) >= batchMessages || size >= batchBytes {
					hand()
				}
				return ctx.Err()
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// takeBatch matches some arrivals and files those that are new here.
func (p *pass) takeBatch(ctx context.Context, batch []arrival) error {
	for i := range batch {
		a := &batch[i]
		a.facts, a.ids, a.probe = mime.Examine(a.msg.Body), trace.IntakeIDs(a.msg.Body), trace.IsProbe(a.msg.Body)
	}
	filings, err := p.matchAll(ctx, batch)
	if err != nil || len(filings) == 0 {
		return err
	}
	_, err = p.s.Store.FileAll(ctx, filings, p.still)
	switch fault.CodeOf(err) {
	case fault.Invalid, fault.OverLimit, fault.TooLarge:
		return p.fileEach(ctx, filings)
	case fault.NotFound:
		// A person has deleted the mailbox at this moment: the next pass knows.
		return fault.Wrap(err, fault.Temporary, "a mailbox was deleted meanwhile")
	}
	return err
}

// fileEach files one by one, so that what the record refuses blocks only itself.
func (p *pass) fileEach(ctx context.Context, filings []*record.Filing) error {
	for _, f := range filings {
		_, err := p.s.Store.FileAll(ctx, []*record.Filing{f}, p.still)
		switch fault.CodeOf(err) {
		case fault.Invalid, fault.OverLimit, fault.TooLarge:
			if err := p.refuseFolder(ctx, fileHere, f.Facts.Fingerprint.MessageID, &Refused{Words: fault.Public(err)}); err != nil {
				return err
			}
		case "":
		default:
			return err
		}
	}
	return nil
}

// filing is the filing of a message that is new here, with its link in the same transaction.
func (p *pass) filing(a *arrival) *record.Filing {
	return &record.Filing{
		Tenant: p.acct.Tenant, Body: a.msg.Body, Hash: a.facts.Fingerprint.Raw, Facts: a.facts, Origin: mail.ByMirror,
		Places: []record.Place{{Account: p.acct.ID, Mailbox: a.pair.folder.Mailbox, Flags: a.msg.Flags, InternalDate: a.msg.Date}},
		Then: func(ctx context.Context, tx *record.Tx, filed *record.Filed) error {
			_, err := tx.Link.Open(ctx, link.Link{
				Account: p.acct.ID, Placement: filed.Placements[0].ID, Folder: a.pair.folder.Key,
				UIDValidity: a.pair.delta.Token.UIDValidity, UID: a.msg.UID,
				Base: a.msg.Flags, BaseMailbox: a.pair.folder.Mailbox,
				ServerHash: a.facts.Fingerprint.Raw, ServerPrint: a.facts.Fingerprint.Content,
			})
			return err
		},
	}
}
