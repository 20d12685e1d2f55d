package mirror

import (
	"context"
	"slices"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mime"
	"relais/internal/record"
)

// moveThere moves messages there and notes where they went.
func (p *pass) moveThere(ctx context.Context) error {
	type key struct{ from, to *pair }
	todo := p.ordered(func(s *subject) bool { return s.out.MoveThere })
	keys, groups := batches(todo, func(s *subject) key {
		from, _ := s.where(p)
		return key{from, p.byBox[s.out.Mailbox]}
	})
	for _, k := range keys {
		to, err := p.target(ctx, groups[k][0].out.Mailbox)
		if why := refusedBy(err); why != nil {
			if err := p.refuse(ctx, groups[k], "move", k.to, why); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if to == nil {
			if err := p.wait(ctx, groups[k], link.ForFolder); err != nil {
				return err
			}
			continue
		}
		for group := range slices.Chunk(groups[k], commandUIDs) {
			err := p.moveGroup(ctx, k.from, k.to, group)
			if why := refusedBy(err); why != nil {
				err = p.refuse(ctx, group, "move", k.to, why)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) moveGroup(ctx context.Context, from, to *pair, group []*subject) error {
	if from.readOnly() || to.readOnly() {
		return readOnly
	}
	if !p.far.Caps().Move {
		return p.moveByCopy(ctx, from, to, group)
	}
	moved, err := p.far.Move(ctx, from.folder.Name, p.uids(group), to.folder.Name)
	if err != nil {
		return err
	}
	went := make(map[uint32]Moved, len(moved))
	for _, m := range moved {
		went[m.From] = m
	}
	for _, s := range group {
		_, uid := s.where(p)
		s.moved = true
		s.folder, s.uid, s.validity = to, went[uid].To, went[uid].UIDValidity
	}
	return nil
}

// moveByCopy moves on a server without MOVE: copy, see the copy, remove the
// original. COPY is not idempotent, so the intent comes first: a pass that finds a
// copy of an earlier one goes on from there.
func (p *pass) moveByCopy(ctx context.Context, from, to *pair, group []*subject) error {
	before, err := p.far.Scan(ctx, to.folder.Name, Token{})
	if err != nil {
		return err
	}
	intents := make([]link.IntentID, len(group))
	err = p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i, s := range group {
			// The link must name what is to be copied, before it can be taken over by the copy.
			if err := p.settleLink(ctx, tx, s); err != nil {
				return err
			}
			intents[i], err = tx.Link.BeginIntent(ctx, link.Intent{Account: p.acct.ID, Kind: link.MoveIntent, Placement: s.placement.ID,
				Folder: to.folder.Key, UIDValidity: before.Token.UIDValidity, UIDNext: before.Token.UIDNext})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	copied, err := p.far.Copy(ctx, from.folder.Name, p.uids(group), to.folder.Name)
	if err != nil {
		return err
	}
	copies, err := p.seeCopies(ctx, to, before.Token, copied)
	if err != nil {
		return err
	}
	var unseen []*subject
	err = p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		unseen = nil
		for i, s := range group {
			uid := copies.take(s)
			outcome := "the copy was not seen"
			if uid == 0 {
				unseen = append(unseen, s)
			} else {
				outcome = "done"
				if _, err := tx.Link.BeginIntent(ctx, removal(link.TakeBackIntent, *s.link)); err != nil {
					return err
				}
				moved := *s.link
				moved.Folder, moved.UIDValidity, moved.UID, moved.BaseMailbox = to.folder.Key, copies.validity, uid, to.folder.Mailbox
				if moved, err = tx.Link.Rebase(ctx, moved); err != nil {
					return err
				}
				s.link, s.moved, s.folder, s.uid, s.validity = &moved, true, to, uid, copies.validity
			}
			if err := tx.Link.FinishIntent(ctx, intents[i], outcome); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.notCopied(ctx, from, to, unseen); err != nil {
		return err
	}
	return p.finishRemovals(ctx)
}

// notCopied handles messages of which no copy was seen: those that went away
// meanwhile are left to the next pass, the others are as good as refused.
func (p *pass) notCopied(ctx context.Context, from, to *pair, unseen []*subject) error {
	if len(unseen) == 0 {
		return nil
	}
	now, err := p.far.Scan(ctx, from.folder.Name, Token{})
	if err != nil {
		return err
	}
	left := map[uint32]bool{}
	for _, item := range now.Items {
		left[item.UID] = true
	}
	var gone, stuck []*subject
	for _, s := range unseen {
		if left[s.link.UID] {
			stuck = append(stuck, s)
		} else {
			gone = append(gone, s)
		}
	}
	if err := p.wait(ctx, gone, link.ForUID); err != nil || len(stuck) == 0 {
		return err
	}
	return p.refuse(ctx, stuck, "move", to, &Refused{Words: "the copy could not be seen in the folder"})
}

// settleLink makes the link of a subject that has none, or is where the link does not say, before it is copied.
func (p *pass) settleLink(ctx context.Context, tx *record.Tx, s *subject) error {
	if s.link != nil && s.folder == nil {
		return nil
	}
	if err := p.rebase(ctx, tx, s, p.primaryHas(s)); err != nil {
		return err
	}
	l, linked, err := tx.Link.ByPlacement(ctx, s.placement.ID)
	if err != nil || !linked {
		return fault.Wrap(err, fault.Internal, "message %d has no link", s.placement.ID)
	}
	s.link, s.folder = &l, nil
	return nil
}

// copies are what was seen of copies in their folder.
type copies struct {
	validity uint32
	byHash   map[mail.Hash][]uint32
	byPrint  map[[32]byte][]uint32
	taken    map[uint32]bool
}

// take gives the UID of a copy of the subject's message, each once; 0 for none.
func (c *copies) take(s *subject) uint32 {
	for _, list := range [][]uint32{c.byHash[s.link.ServerHash], c.byPrint[s.link.ServerPrint]} {
		for _, uid := range list {
			if !c.taken[uid] {
				c.taken[uid] = true
				return uid
			}
		}
	}
	return 0
}

// seeCopies reads what came into the folder since before.
func (p *pass) seeCopies(ctx context.Context, to *pair, before Token, told []Moved) (*copies, error) {
	c := &copies{validity: before.UIDValidity, byHash: map[mail.Hash][]uint32{}, byPrint: map[[32]byte][]uint32{}, taken: map[uint32]bool{}}
	var uids []uint32
	for _, m := range told {
		if m.To != 0 {
			uids = append(uids, m.To)
		}
	}
	if len(uids) == 0 { // no COPYUID
		now, err := p.far.Scan(ctx, to.folder.Name, Token{})
		if err != nil {
			return nil, err
		}
		for _, item := range now.Items {
			if now.Token.UIDValidity == before.UIDValidity && item.UID >= before.UIDNext {
				uids = append(uids, item.UID)
			}
		}
	}
	if len(uids) == 0 {
		return c, nil
	}
	return c, p.far.Fetch(ctx, to.folder.Name, uids, func(m Message) error {
		print := mime.FingerprintOf(m.Body)
		c.byHash[print.Raw] = append(c.byHash[print.Raw], m.UID)
		c.byPrint[print.Content] = append(c.byPrint[print.Content], m.UID)
		return nil
	})
}
