package mirror

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"relais/internal/mail"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// writeThere brings the primary to what was decided: appends, then flags, moves
// and deletions, each in as few commands as the server allows. What the server
// refuses blocks only that item; an error ends the pass before anything is
// concluded from it.
func (p *pass) writeThere(ctx context.Context) error {
	if !p.mode.Push {
		return nil
	}
	for _, stage := range []func(context.Context) error{p.appendThere, p.flagThere, p.moveThere, p.deleteThere} {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ordered lists the subjects that keep says yes to, in the order of their placements, so that a pass is the same each time.
func (p *pass) ordered(keep func(*subject) bool) []*subject {
	var out []*subject
	for _, s := range p.subjects {
		if keep(s) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *subject) int { return cmp.Compare(a.placement.ID, b.placement.ID) })
	return out
}

// batches groups subjects by a key, in the order in which each key first comes.
func batches[K comparable](subjects []*subject, key func(*subject) K) ([]K, map[K][]*subject) {
	var keys []K
	groups := map[K][]*subject{}
	for _, s := range subjects {
		k := key(s)
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], s)
	}
	return keys, groups
}

// commandUIDs bounds the UIDs of one command.
const commandUIDs = 500

// primaryHas is what the primary has of a subject's message before this stage.
func (s *subject) primaryHas() merge.State {
	if s.remote == present || s.link == nil {
		return s.there
	}
	return merge.State{Mailbox: s.link.BaseMailbox, Flags: s.link.Base.Without(s.link.Unkept)}
}

// flagThere sets flags there. Flags that the folder can't keep are noted as
// such, and never read as removed later.
func (p *pass) flagThere(ctx context.Context) error {
	type key struct {
		pair        *pair
		add, remove string
	}
	todo := p.ordered(func(s *subject) bool { return s.out.FlagsThere })
	keys, groups := batches(todo, func(s *subject) key {
		pr, _ := s.where(p)
		has := s.primaryHas().Flags
		add, unkept := keepable(pr, s.out.Flags.Without(has))
		s.unkept = s.unkept.Union(unkept)
		return key{pr, add.String(), has.Without(s.out.Flags).String()}
	})
	for _, k := range keys {
		for group := range slices.Chunk(groups[k], commandUIDs) {
			has := group[0].primaryHas().Flags
			add, _ := keepable(k.pair, group[0].out.Flags.Without(has))
			remove := has.Without(group[0].out.Flags)
			if !add.Equal(mail.Flags{}) || !remove.Equal(mail.Flags{}) {
				err := p.far.SetFlags(ctx, k.pair.folder.Name, p.uids(group), add, remove)
				if refused, ok := errors.AsType[*Refused](err); ok {
					if err := p.refuseAll(ctx, group, "set flags", k.pair, refused); err != nil {
						return err
					}
					continue
				}
				if err != nil {
					return err
				}
			}
			for _, s := range group {
				s.flagged = true
			}
		}
	}
	return nil
}

// keepable parts flags into those that the folder keeps and those that it does not.
func keepable(pr *pair, f mail.Flags) (keeps, unkept mail.Flags) {
	permanent := pr.folder.Permanent
	if pr.delta != nil {
		permanent = pr.delta.Permanent
	}
	if permanent.Equal(mail.Flags{}) {
		return f, mail.Flags{} // the server did not say: all are kept (RFC 9051 §7.1)
	}
	any := pr.folder.AnyWord || (pr.delta != nil && pr.delta.AnyWord)
	keeps.System = f.System & permanent.System
	unkept.System = f.System &^ permanent.System
	for _, w := range f.Keywords {
		if any || permanent.HasKeyword(w) {
			keeps.Keywords = append(keeps.Keywords, w)
		} else {
			unkept.Keywords = append(unkept.Keywords, w)
		}
	}
	return keeps, unkept
}

// moveThere moves messages there and notes where they went.
func (p *pass) moveThere(ctx context.Context) error {
	type key struct{ from, to *pair }
	todo := p.ordered(func(s *subject) bool { return s.out.MoveThere })
	keys, groups := batches(todo, func(s *subject) key {
		from, _ := s.where(p)
		return key{from, p.byBox[s.out.Mailbox]}
	})
	for _, k := range keys {
		if k.to == nil || k.to.lost {
			// The folder is made by the next pass.
			p.waiting += len(groups[k])
			if err := p.laterAll(ctx, groups[k]); err != nil {
				return err
			}
			continue
		}
		for group := range slices.Chunk(groups[k], commandUIDs) {
			moved, err := p.far.Move(ctx, k.from.folder.Name, p.uids(group), k.to.folder.Name)
			if refused, ok := errors.AsType[*Refused](err); ok {
				if err := p.refuseAll(ctx, group, "move", k.to, refused); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return err
			}
			went := map[uint32]Moved{}
			for _, m := range moved {
				went[m.From] = m
			}
			for _, s := range group {
				_, uid := s.where(p)
				s.moved = true
				s.folder, s.uid, s.validity = k.to, went[uid].To, went[uid].UIDValidity
			}
		}
	}
	return nil
}

// deleteThere removes messages that were deleted here, except those whose whole folder goes.
func (p *pass) deleteThere(ctx context.Context) error {
	todo := p.ordered(func(s *subject) bool { return s.out.Op == merge.DeleteThere })
	keys, groups := batches(todo, func(s *subject) *pair { pr, _ := s.where(p); return pr })
	for _, pr := range keys {
		for group := range slices.Chunk(groups[pr], commandUIDs) {
			pending, err := p.far.Delete(ctx, pr.folder.Name, p.uids(group))
			if refused, ok := errors.AsType[*Refused](err); ok {
				if err := p.refuseAll(ctx, group, "delete", pr, refused); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return err
			}
			if pending {
				p.log.Info("pending expunge: the server can't delete single messages", "folder", pr.folder.Name, "messages", len(group))
			}
			err = p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
				for _, s := range group {
					if err := tx.Link.Close(ctx, s.link.ID); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// uids are the UIDs of the subjects in the folder where the primary has them.
func (p *pass) uids(group []*subject) []uint32 {
	out := make([]uint32, len(group))
	for i, s := range group {
		_, out[i] = s.where(p)
	}
	slices.Sort(out)
	return out
}
