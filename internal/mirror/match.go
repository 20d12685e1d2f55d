package mirror

import (
	"context"

	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// matchAll finds the messages that some arrivals are: one that went missing
// elsewhere, a relayed copy that is expected, one that both sides got on their
// own. For those that are none of these it returns filings.
func (p *pass) matchAll(ctx context.Context, batch []arrival) ([]*record.Filing, error) {
	p.matching.Lock()
	defer p.matching.Unlock()
	var filings []*record.Filing
	var late []lateCopy
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := p.refreshLoose(ctx, tx); err != nil {
			return err
		}
		for i := range batch {
			a := &batch[i]
			if a.probe {
				continue
			}
			found, err := p.match(ctx, tx, a)
			if err != nil {
				return err
			}
			if found.placement == 0 {
				filings = append(filings, p.filing(a))
				continue
			}
			p.claimed[found.placement] = true
			s := p.subjectOf(found.placement)
			s.arrived(a)
			s.relayed = found.relayed
			if found.instead != nil {
				late = append(late, lateCopy{s, *found.instead, a})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, l := range late {
		if err := p.takeBack(ctx, l); err != nil {
			return nil, err
		}
	}
	return filings, nil
}

// refreshLoose adds what came in here since the index was made: an SMTP delivery
// at this moment may be the message that the primary shows too.
func (p *pass) refreshLoose(ctx context.Context, tx *record.Tx) error {
	for {
		changes, err := tx.Mailbox.Changes(ctx, p.acct.ID, p.loose.since, changesAtOnce)
		if err != nil || len(changes) == 0 {
			return err
		}
		var came []mail.PlacementID
		for _, c := range changes {
			p.loose.since = c.Modseq
			if c.Origin != mail.ByMirror && (c.Kind == mailbox.Placed || c.Kind == mailbox.Restored) {
				came = append(came, c.Placement)
			}
		}
		rows, err := tx.Link.LooseOf(ctx, came)
		if err != nil {
			return err
		}
		p.loose.add(rows)
	}
}

// match is what an arrival is found to be: a placement, or none.
type match struct {
	placement mail.PlacementID
	relayed   bool       // the copy of it that is owed to the primary
	instead   *link.Link // of the copy that it takes the place of
}

func (p *pass) match(ctx context.Context, tx *record.Tx, a *arrival) (match, error) {
	print := &a.facts.Fingerprint
	if s := p.gone.take(print.Raw, print.Content, a.pair.folder.Key); s != nil {
		return match{placement: s.placement.ID}, nil
	}
	for _, find := range []func(context.Context, *record.Tx, *arrival) (match, error){p.expected, p.copied} {
		if m, err := find(ctx, tx, a); err != nil || m.placement != 0 {
			return m, err
		}
	}
	return match{placement: p.loose.take(print.Raw, print.Content, a.pair.folder.Mailbox, p.claimed)}, nil
}

// arrived notes where the primary has the subject's message.
func (s *subject) arrived(a *arrival) {
	s.remote, s.there = present, merge.State{Mailbox: a.pair.folder.Mailbox, Flags: a.msg.Flags}
	s.folder, s.uid = a.pair, a.msg.UID
	s.hash, s.print = a.facts.Fingerprint.Raw, a.facts.Fingerprint.Content
}

// expected asks the duties: the id in Relais's own Received line says which
// message this is a relayed copy of. When the mirror has appended that message
// meanwhile, the copy is late and our append is taken back. (Not so for the very
// bytes that we appended: that is a copy which a person made of it.)
func (p *pass) expected(ctx context.Context, tx *record.Tx, a *arrival) (match, error) {
	for _, id := range a.ids {
		owed, err := owedTo(ctx, tx, id, p.acct.ID)
		if err != nil {
			return match{}, err
		}
		for _, o := range owed {
			if p.claimed[o.placement] {
				continue
			}
			l, linked, err := tx.Link.ByPlacement(ctx, o.placement)
			switch {
			case err != nil:
				return match{}, err
			case !linked && !o.closed:
				return match{placement: o.placement, relayed: true}, nil
			case !linked:
				// It was seen before and is gone since. What is live here still needs a
				// counterpart; what was deleted here must not be taken for this new one.
				placement, err := tx.Mailbox.Placement(ctx, o.placement)
				if err != nil {
					return match{}, err
				}
				if placement.Live() {
					return match{placement: o.placement}, nil
				}
			case l.Appended && l.ServerHash != a.facts.Fingerprint.Raw:
				return match{placement: o.placement, relayed: true, instead: &l}, nil
			}
		}
	}
	return match{}, nil
}

// copied looks for a move that was under way when a pass was killed, on a server
// without MOVE: the copy has come, the original is still there.
func (p *pass) copied(ctx context.Context, tx *record.Tx, a *arrival) (match, error) {
	for _, i := range p.intents {
		if i.Kind != link.MoveIntent || i.Folder != a.pair.folder.Key || i.UIDValidity != a.pair.delta.Token.UIDValidity ||
			a.msg.UID < i.UIDNext || p.claimed[i.Placement] {
			continue
		}
		l, linked, err := tx.Link.ByPlacement(ctx, i.Placement)
		if err != nil {
			return match{}, err
		}
		same := l.ServerHash == a.facts.Fingerprint.Raw || l.ServerPrint == a.facts.Fingerprint.Content
		if linked && same && l.Folder != i.Folder {
			return match{placement: i.Placement, instead: &l}, nil
		}
	}
	return match{}, nil
}
