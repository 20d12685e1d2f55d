package mirror

import (
	"context"
	"fmt"

	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// goneIndex holds the linked messages that the primary no longer shows where
// they were, to recognise them where they went. A move must never look like a
// deletion, so it is filled from all folders before anything is concluded.
type goneIndex struct {
	byHash  map[mail.Hash][]*subject
	byPrint map[[32]byte][]*subject
}

// add notes a subject under the server's version of it.
func (g *goneIndex) add(hash mail.Hash, print [32]byte, s *subject) {
	if g.byHash == nil {
		g.byHash, g.byPrint = map[mail.Hash][]*subject{}, map[[32]byte][]*subject{}
	}
	g.byHash[hash] = append(g.byHash[hash], s)
	g.byPrint[print] = append(g.byPrint[print], s)
}

// take gives a gone subject with that content, one whose hash is equal before
// one whose fingerprint is; each is given once, so that two identical copies stay two.
func (g *goneIndex) take(hash mail.Hash, print [32]byte) *subject {
	for _, s := range g.byHash[hash] {
		if s.remote == gone {
			return s
		}
	}
	for _, s := range g.byPrint[print] {
		if s.remote == gone {
			return s
		}
	}
	return nil
}

// scan reads what changed at the primary in every folder that changed at all:
// changed flags and losses of linked messages become subjects, the rest is fresh.
func (p *pass) scan(ctx context.Context) error {
	p.gone = &goneIndex{}
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
		if err != nil {
			return fmt.Errorf("scan %q: %w", pr.folder.Name, err)
		}
		pr.delta = &delta
		if err := p.sift(ctx, pr); err != nil {
			return err
		}
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
	seen := map[uint32]bool{}
	err := p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, item := range pr.delta.Items {
			seen[item.UID] = true
			l, ok, err := tx.Link.ByRemote(ctx, pr.folder.Key, pr.delta.Token.UIDValidity, item.UID)
			if err != nil {
				return err
			}
			if !ok {
				run.items = append(run.items, item)
				continue
			}
			flags := item.Flags
			if flags.Equal(l.Base.Without(l.Unkept)) || flags.Equal(l.Base) {
				continue
			}
			s := p.subjectOf(l.Placement)
			s.link, s.remote, s.there = &l, present, merge.State{Mailbox: pr.folder.Mailbox, Flags: flags}
		}
		for _, uid := range pr.delta.Vanished {
			l, ok, err := tx.Link.ByRemote(ctx, pr.folder.Key, pr.delta.Token.UIDValidity, uid)
			if err != nil {
				return err
			}
			if ok {
				if err := p.miss(ctx, tx, l, merge.Deleted); err != nil {
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
		return p.lose(ctx, pr, seen)
	}
	return nil
}

// lose notes as gone every link of a folder whose UID was not seen there.
func (p *pass) lose(ctx context.Context, pr *pair, seen map[uint32]bool) error {
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		links, err := tx.Link.OfFolder(ctx, pr.folder.Key)
		if err != nil {
			return err
		}
		for _, l := range links {
			if pr.delta != nil && l.UIDValidity == pr.delta.Token.UIDValidity && seen[l.UID] {
				continue
			}
			if err := p.miss(ctx, tx, l, pr.loss); err != nil {
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
