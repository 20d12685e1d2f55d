package mirror

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"relais/internal/intake/trace"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// How much of a folder is read at once, and how much may be on its way into the record.
const (
	fetchChunk  = 250      // messages asked for in one FETCH
	filingBytes = 64 << 20 // bytes of messages being filed
	filingAtime = 32       // messages being filed at a time: they share commits
)

// arrival is a message that is new at the primary.
type arrival struct {
	pair  *pair
	msg   Message
	facts mime.Facts
}

// takeFresh reads what is new at the primary, newest first, and joins each
// message to what the ledger expects; what nobody expects is filed here.
func (p *pass) takeFresh(ctx context.Context) error {
	if !p.mode.Pull {
		return nil
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(filingAtime)
	budget := semaphore.NewWeighted(filingBytes)
	err := p.eachFresh(gctx, func(a arrival) error {
		filing, err := p.match(gctx, a)
		if err != nil || filing == nil {
			return err
		}
		size := min(int64(len(a.msg.Body)), filingBytes)
		if err := budget.Acquire(gctx, size); err != nil {
			return err
		}
		group.Go(func() error {
			defer budget.Release(size)
			_, err := p.s.Store.File(gctx, filing)
			return err
		})
		return nil
	})
	if werr := group.Wait(); werr != nil {
		return werr
	}
	return err
}

// eachFresh streams the fresh messages, the newest of each folder first.
func (p *pass) eachFresh(ctx context.Context, each func(arrival) error) error {
	for _, run := range p.fresh {
		items := slices.Clone(run.items)
		slices.SortFunc(items, func(a, b Item) int { return int(int64(b.UID) - int64(a.UID)) })
		for chunk := range slices.Chunk(items, fetchChunk) {
			uids := make([]uint32, len(chunk))
			for i, item := range chunk {
				uids[i] = item.UID
			}
			err := p.far.Fetch(ctx, run.pair.folder.Name, uids, func(m Message) error {
				return each(arrival{pair: run.pair, msg: m, facts: mime.Examine(m.Body)})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// match finds the message that an arrival is: one that went missing elsewhere, a
// relayed copy that is expected, one that both sides got on their own. It
// returns a filing when it is none of these.
func (p *pass) match(ctx context.Context, a arrival) (*record.Filing, error) {
	if trace.IsProbe(a.msg.Body) {
		return nil, nil
	}
	if s := p.gone.take(a.facts.Fingerprint.Raw, a.facts.Fingerprint.Content); s != nil {
		s.arrived(a)
		return nil, nil
	}
	var found *mailbox.Placement
	var late *link.Link
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		found, late, err = p.expected(ctx, tx, a)
		if err != nil || found != nil {
			return err
		}
		found, err = p.alike(ctx, tx, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return p.filing(a), nil
	}
	p.claimed[found.ID] = true
	s := p.subjectOf(found.ID)
	s.arrived(a)
	if late != nil {
		return nil, p.takeBack(ctx, s, *late, a)
	}
	return nil, nil
}

// arrived notes where the primary has the subject's message.
func (s *subject) arrived(a arrival) {
	s.remote, s.there = present, merge.State{Mailbox: a.pair.folder.Mailbox, Flags: a.msg.Flags}
	s.folder, s.uid, s.hash = a.pair, a.msg.UID, a.facts.Fingerprint.Raw
}

// expected asks the duties: the id in Relais's own Received line says which
// message this is a relayed copy of. When the mirror has appended that message
// meanwhile, the copy is late and our append is taken back.
func (p *pass) expected(ctx context.Context, tx *record.Tx, a arrival) (*mailbox.Placement, *link.Link, error) {
	for _, id := range trace.IntakeIDs(a.msg.Body) {
		placed, err := placementOfIntake(ctx, tx, id, p.acct.ID)
		if err != nil {
			return nil, nil, err
		}
		if placed == 0 || p.claimed[placed] {
			continue
		}
		placement, err := tx.Mailbox.Placement(ctx, placed)
		if err != nil {
			return nil, nil, err
		}
		l, linked, err := tx.Link.ByPlacement(ctx, placed)
		switch {
		case err != nil:
			return nil, nil, err
		case !linked:
			return &placement, nil, nil
		case l.Appended:
			return &placement, &l, nil
		}
	}
	return nil, nil, nil
}

// alike looks for a live message here without a counterpart and with the same
// bytes, or else the same content: those in the same mailbox first.
func (p *pass) alike(ctx context.Context, tx *record.Tx, a arrival) (*mailbox.Placement, error) {
	candidates, err := tx.Link.UnlinkedLike(ctx, p.acct.ID, p.acct.Tenant, a.facts.Fingerprint.Raw, a.facts.Fingerprint.MessageID, a.facts.Fingerprint.Content)
	if err != nil {
		return nil, err
	}
	var best *mailbox.Placement
	for _, id := range candidates {
		if p.claimed[id] {
			continue
		}
		c, err := tx.Mailbox.Placement(ctx, id)
		if err != nil {
			return nil, err
		}
		if best == nil || (best.Mailbox != a.pair.folder.Mailbox && c.Mailbox == a.pair.folder.Mailbox) {
			best = &c
		}
	}
	return best, nil
}

// filing is the filing of a message that is new here, with its link in the same transaction.
func (p *pass) filing(a arrival) *record.Filing {
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
