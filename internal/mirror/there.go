package mirror

import (
	"cmp"
	"context"
	"slices"

	"relais/internal/link"
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
		if err := p.proceed(ctx); err != nil {
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

// readOnly tells whether nothing can be written to the folder.
func (pr *pair) readOnly() bool {
	if pr.delta != nil {
		return pr.delta.ReadOnly
	}
	return pr.folder.ReadOnly
}

// target is the folder at the primary into which something of a mailbox is put;
// nil while it is still to be made, by the next pass. The error may be a *Refused.
func (p *pass) target(ctx context.Context, box mail.MailboxID) (*pair, error) {
	pr := p.byBox[box]
	switch why := p.barred[box]; {
	case why != nil:
		return nil, why
	case pr == nil || pr.lost:
		return nil, nil
	case pr.readOnly():
		return nil, readOnly
	case !pr.there.NoSelect:
		return pr, nil
	}
	// Only a place in the tree until now: it becomes a folder.
	if err := p.far.CreateFolder(ctx, pr.folder.Name, pr.box.Role); err != nil {
		if why := refusedBy(err); why != nil {
			p.barred[box] = why
		}
		return nil, err
	}
	pr.there.NoSelect, pr.folder.NoSelect = false, false
	return pr, p.update(ctx, func(ctx context.Context, tx *record.Tx) error { return tx.Link.ChangeFolder(ctx, pr.folder) })
}

// primaryHas is what the primary has of a subject's message before this stage.
func (p *pass) primaryHas(s *subject) merge.State {
	if s.remote == present || s.link == nil {
		return s.there
	}
	return merge.State{Mailbox: p.baseMailbox(s.link), Flags: s.link.Base.Without(s.link.Unkept)}
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
		add, unkept, remove := p.difference(pr, s)
		s.unkept = s.unkept.Union(unkept)
		return key{pr, add.String(), remove.String()}
	})
	for _, k := range keys {
		for group := range slices.Chunk(groups[k], commandUIDs) {
			add, _, remove := p.difference(k.pair, group[0])
			if !add.Equal(mail.Flags{}) || !remove.Equal(mail.Flags{}) {
				if err := p.setFlags(ctx, k.pair, group, add, remove); err != nil {
					if why := refusedBy(err); why == nil {
						return err
					} else if err := p.refuse(ctx, group, "set flags", k.pair, why); err != nil {
						return err
					}
					continue
				}
			}
			for _, s := range group {
				s.flagged = true
			}
		}
	}
	return nil
}

func (p *pass) setFlags(ctx context.Context, pr *pair, group []*subject, add, remove mail.Flags) error {
	if pr.readOnly() {
		return readOnly
	}
	return p.far.SetFlags(ctx, pr.folder.Name, p.uids(group), add, remove)
}

// difference is what is to be added and removed at the primary, and what of it the folder can't keep.
func (p *pass) difference(pr *pair, s *subject) (add, unkept, remove mail.Flags) {
	has := p.primaryHas(s).Flags
	add, unkept = keepable(pr, s.out.Flags.Without(has))
	return add, unkept, has.Without(s.out.Flags)
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

// deleteThere removes messages that were deleted here.
func (p *pass) deleteThere(ctx context.Context) error {
	todo := p.ordered(func(s *subject) bool { return s.out.Op == merge.DeleteThere })
	keys, groups := batches(todo, func(s *subject) *pair { pr, _ := s.where(p); return pr })
	for _, pr := range keys {
		for group := range slices.Chunk(groups[pr], commandUIDs) {
			if err := p.deleteGroup(ctx, pr, group); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) deleteGroup(ctx context.Context, pr *pair, group []*subject) error {
	var pending bool
	var err error = readOnly
	if !pr.readOnly() {
		pending, err = p.far.Delete(ctx, pr.folder.Name, p.uids(group))
	}
	if why := refusedBy(err); why != nil {
		return p.refuse(ctx, group, "delete", pr, why)
	}
	if err != nil {
		return err
	}
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, s := range group {
			s.deleted = true
			id := remoteID{pr.folder.Key, s.validityThere(p), 0}
			_, id.uid = s.where(p)
			if pending {
				intent, err := tx.Link.BeginIntent(ctx, link.Intent{Account: p.acct.ID, Kind: link.ExpungeIntent, Placement: s.placement.ID,
					Folder: id.folder, UIDValidity: id.validity, UIDNext: id.uid})
				if err != nil {
					return err
				}
				p.expunges[id] = intent
			}
			if s.link == nil { // a relayed copy of what was deleted here
				if err := p.seen(ctx, tx, s, 0); err != nil {
					return err
				}
				continue
			}
			if err := tx.Link.Close(ctx, s.link.ID); err != nil {
				return err
			}
			if err := p.clear(ctx, tx, s); err != nil {
				return err
			}
		}
		return nil
	})
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

// validityThere is the UIDVALIDITY under which the primary has the message.
func (s *subject) validityThere(p *pass) uint32 {
	switch {
	case s.validity != 0:
		return s.validity
	case s.folder == nil:
		return s.link.UIDValidity
	case s.folder.delta != nil:
		return s.folder.delta.Token.UIDValidity
	}
	return s.folder.there.Token.UIDValidity
}
