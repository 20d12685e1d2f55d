package mirror

import (
	"context"
	"fmt"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// scan reads what changed at the primary in every folder that changed at all:
// changed flags and losses of linked messages become subjects, the rest is fresh.
func (p *pass) scan(ctx context.Context) error {
	for _, pr := range p.pairs {
		if pr.lost {
			if err := p.lose(ctx, pr, nil); err != nil {
				return err
			}
			continue
		}
		if pr.there.NoSelect || pr.boxGone || unchanged(pr) {
			continue
		}
		since := tokenOf(pr.folder.Token)
		if pr.loss == merge.Reset || pr.folder.UIDValidity == 0 {
			since = Token{}
		}
		delta, err := p.far.Scan(ctx, pr.folder.Name, since)
		if why := refusedBy(err); why != nil { // nothing is concluded about it
			if err := p.refuseFolder(ctx, "open folder", pr.folder.Name, why); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("scan %q: %w", pr.folder.Name, err)
		}
		if err := p.older(ctx, pr, &delta); err != nil {
			return err
		}
		pr.delta = &delta
		if err := p.sift(ctx, pr); err != nil {
			return err
		}
		if err := p.proceed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// older notices that a folder was set back to an older copy: it would give UIDs
// again that stood for other messages. A person decides; what the older copy
// shows is then matched by content.
func (p *pass) older(ctx context.Context, pr *pair, delta *Delta) error {
	then := pr.folder.Token
	if delta.Token.UIDValidity != then.UIDValidity || delta.Token.UIDNext == 0 || delta.Token.UIDNext >= then.UIDNext {
		return nil
	}
	if p.freeze.Decision == link.Undecided {
		return p.trip(ctx, "the primary was set back to an older copy",
			map[string]any{"folder": pr.folder.Name, "uidnext": delta.Token.UIDNext, "uidnext_before": then.UIDNext})
	}
	pr.loss, pr.setBack = merge.Reset, true
	if !delta.Complete {
		again, err := p.far.Scan(ctx, pr.folder.Name, Token{})
		if err != nil {
			return err
		}
		*delta = again
	}
	return nil
}

// unchanged tells whether the state that LIST-STATUS gave is the one of the last
// pass. Without CONDSTORE a change of flags can't be seen there.
func unchanged(pr *pair) bool {
	now, then := pr.there.Token, pr.folder.Token
	return now.HighestModseq != 0 && now == tokenOf(then)
}

// sift sorts a folder's items: known ones by their links, the others are fresh.
func (p *pass) sift(ctx context.Context, pr *pair) error {
	run := freshRun{pair: pr}
	seen := make(map[uint32]bool, len(pr.delta.Items))
	var undeleted, expunged []link.IntentID
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		run.items, undeleted, expunged = nil, nil, nil
		known := map[uint32]*link.Link{}
		validity := pr.delta.Token.UIDValidity
		if pr.loss != merge.Reset {
			links, err := tx.Link.OfFolder(ctx, pr.folder.Key)
			if err != nil {
				return err
			}
			for i, l := range links {
				if l.UIDValidity == validity {
					known[l.UID] = &links[i]
				}
			}
		}
		for _, item := range pr.delta.Items {
			if seen[item.UID] {
				continue
			}
			seen[item.UID] = true
			flags := bounded(item.Flags)
			l := known[item.UID]
			if l == nil {
				if intent, waits := p.expunges[remoteID{pr.folder.Key, validity, item.UID}]; waits {
					if flags.Has(mail.Deleted) {
						continue
					}
					undeleted = append(undeleted, intent) // a person wants it after all
				}
				run.items = append(run.items, item)
				continue
			}
			if flags.Equal(l.Base.Without(l.Unkept)) || flags.Equal(l.Base) {
				continue
			}
			s := p.subjectOf(l.Placement)
			s.link, s.remote, s.there = l, present, merge.State{Mailbox: pr.folder.Mailbox, Flags: flags}
		}
		for _, uid := range pr.delta.Vanished {
			if intent, waits := p.expunges[remoteID{pr.folder.Key, validity, uid}]; waits {
				expunged = append(expunged, intent)
			}
			if l := known[uid]; l != nil {
				if err := p.miss(ctx, tx, *l, merge.Deleted); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(run.items) > 0 {
		p.fresh = append(p.fresh, run)
	}
	if pr.delta.Complete || pr.delta.Reset {
		for id, intent := range p.expunges {
			if id.folder == pr.folder.Key && (id.validity != pr.delta.Token.UIDValidity || !seen[id.uid]) {
				expunged = append(expunged, intent)
			}
		}
		if err := p.lose(ctx, pr, seen); err != nil {
			return err
		}
	}
	return p.endExpunges(ctx, undeleted, expunged)
}

// lose notes as gone every link of a folder whose UID was not seen there.
func (p *pass) lose(ctx context.Context, pr *pair, seen map[uint32]bool) error {
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		links, err := tx.Link.OfFolder(ctx, pr.folder.Key)
		if err != nil {
			return err
		}
		for _, l := range links {
			if pr.loss == merge.Deleted && pr.delta != nil && l.UIDValidity == pr.delta.Token.UIDValidity && seen[l.UID] {
				continue
			}
			loss := pr.loss
			if loss == merge.Deleted && pr.delta != nil && l.UIDValidity != pr.delta.Token.UIDValidity {
				loss = merge.Reset
			}
			if err := p.miss(ctx, tx, l, loss); err != nil {
				return err
			}
		}
		return nil
	})
}

// miss notes one link as gone for now.
func (p *pass) miss(ctx context.Context, tx *record.Tx, l link.Link, loss merge.Loss) error {
	s := p.subjectOf(l.Placement)
	s.link, s.remote, s.loss = &l, gone, loss
	placement, err := tx.Mailbox.Placement(ctx, l.Placement)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	s.deletedHere = !placement.Live()
	hash, print := l.ServerHash, l.ServerPrint
	if hash.IsZero() { // the server did not say where the append went
		email, err := tx.Mailbox.EmailOfPlacement(ctx, l.Placement)
		if err != nil {
			return err
		}
		hash = email.Hash
		copy(print[:], email.Print)
	}
	p.gone.add(hash, print, s)
	return nil
}

// bounded cuts what a message may have more keywords at a primary than here.
func bounded(f mail.Flags) mail.Flags {
	if len(f.Keywords) > mail.MaxKeywords {
		f.Keywords = f.Keywords[:mail.MaxKeywords]
	}
	return f
}
