package mirror

import (
	"cmp"
	"context"
	"slices"

	"relais/internal/crashpoint"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
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
		var resting []*subject
		group := groups[box]
		group = slices.DeleteFunc(group, func(s *subject) bool {
			rests := p.restingDraft(s)
			if rests {
				resting = append(resting, s)
			}
			return rests
		})
		if err := p.wait(ctx, resting, link.ForQuiet); err != nil {
			return err
		}
		if len(group) == 0 {
			continue
		}
		pr, err := p.target(ctx, box)
		if why := refusedBy(err); why != nil {
			err = p.refuse(ctx, group, "append", p.byBox[box], why)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if pr == nil {
			if err := p.wait(ctx, group, link.ForFolder); err != nil {
				return err
			}
			continue
		}
		slices.SortStableFunc(group, func(a, b *subject) int {
			return cmp.Or(a.placement.InternalDate.Compare(b.placement.InternalDate), cmp.Compare(a.placement.UID, b.placement.UID))
		})
		if err := p.appendFolder(ctx, pr, group); err != nil {
			return err
		}
	}
	return nil
}

// appendFolder appends lot by lot. The bodies of the next lot are read while the
// server works on this one.
func (p *pass) appendFolder(ctx context.Context, pr *pair, group []*subject) error {
	lots := lotsOf(group)
	type prepared struct {
		messages []Append
		err      error
	}
	next := make(chan prepared)
	ctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		for range next { // until the reading has ended
		}
	}()
	go func() {
		defer close(next)
		for _, lot := range lots {
			messages, err := p.bodies(ctx, pr, lot)
			select {
			case next <- prepared{messages, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for _, lot := range lots {
		if err := p.proceed(ctx); err != nil {
			return err
		}
		ready := <-next
		if ready.err != nil {
			return ready.err
		}
		if err := p.appendLot(ctx, pr, lot, ready.messages); err != nil {
			return err
		}
	}
	return nil
}

func lotsOf(group []*subject) (lots [][]*subject) {
	for len(group) > 0 {
		n, bytes := 0, int64(0)
		for n < len(group) && n < appendMessages && (n == 0 || bytes+group[n].placement.Size <= appendBytes) {
			bytes += group[n].placement.Size
			n++
		}
		lots = append(lots, group[:n])
		group = group[n:]
	}
	return lots
}

func (p *pass) bodies(ctx context.Context, pr *pair, lot []*subject) ([]Append, error) {
	messages := make([]Append, len(lot))
	for i, s := range lot {
		body, err := p.s.Store.Body(ctx, p.acct.Tenant, s.placement.Hash)
		if err != nil {
			return nil, err
		}
		var flags mail.Flags
		flags, s.unkept = keepable(pr, s.out.Flags)
		messages[i] = Append{Body: body, Flags: flags, Date: s.placement.InternalDate}
	}
	return messages, nil
}

// appendLot appends some messages to one folder. APPEND is not idempotent, so
// the intent is committed first: after an unknown outcome the next pass scans the
// folder and finds by content what had arrived, before anything is repeated.
func (p *pass) appendLot(ctx context.Context, pr *pair, lot []*subject, messages []Append) error {
	intents := make([]link.IntentID, len(lot))
	err := p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i, s := range lot {
			if s.link != nil { // the primary lost it: the new copy gets a link of its own
				if err := tx.Link.Close(ctx, s.link.ID); err != nil {
					return err
				}
			}
			if err := claimAppend(ctx, tx, s); err != nil {
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
	versions, err := p.readBack(ctx, pr, lot, results)
	if err != nil {
		return err
	}
	err = p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i, s := range lot {
			if err := p.appended(ctx, tx, pr, s, intents[i], messages[i], results[i], versions); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.MirrorAppendLinked)
	var untold []*subject
	for i, s := range lot {
		if why := results[i].Refused; why != nil {
			if err := p.refuse(ctx, []*subject{s}, "append", pr, why); err != nil {
				return err
			}
		} else if results[i].UID == 0 {
			untold = append(untold, s) // the next pass finds it by content
		}
	}
	return p.wait(ctx, untold, link.ForUID)
}

// appended notes the outcome of one append.
func (p *pass) appended(ctx context.Context, tx *record.Tx, pr *pair, s *subject, intent link.IntentID, sent Append, at Appended, versions map[uint32]serverVersion) error {
	if at.Refused != nil {
		if err := releaseAppend(ctx, tx, s, at.Refused.Words); err != nil {
			return err
		}
		return tx.Link.FinishIntent(ctx, intent, "refused")
	}
	if at.UID == 0 {
		return tx.Link.FinishIntent(ctx, intent, "done, UID not told")
	}
	if err := tx.Link.FinishIntent(ctx, intent, "done"); err != nil {
		return err
	}
	l, err := tx.Link.Open(ctx, link.Link{Account: p.acct.ID, Placement: s.placement.ID, Folder: pr.folder.Key,
		UIDValidity: at.UIDValidity, UID: at.UID, Base: sent.Flags.Union(s.unkept), BaseMailbox: pr.folder.Mailbox,
		ServerHash: versions[at.UID].hash, ServerPrint: versions[at.UID].print, Unkept: s.unkept, Appended: true})
	if err != nil {
		return err
	}
	if err := p.seen(ctx, tx, s, l.ID); err != nil {
		return err
	}
	return p.clear(ctx, tx, s)
}

// serverVersion is a message as the server gives it back.
type serverVersion struct {
	hash  mail.Hash
	print [32]byte
}

// readBack reads what the server made of appended messages: Exchange, for one,
// rewrites headers and MIME, and the base must know its version.
func (p *pass) readBack(ctx context.Context, pr *pair, lot []*subject, results []Appended) (map[uint32]serverVersion, error) {
	sent := map[uint32]*mailbox.Placement{}
	var uids []uint32
	for i, r := range results {
		if r.UID != 0 {
			uids, sent[r.UID] = append(uids, r.UID), &lot[i].placement
		}
	}
	out := make(map[uint32]serverVersion, len(uids))
	if len(uids) == 0 {
		return out, nil
	}
	var same []mail.EmailID // came back as they were: their fingerprints are known
	err := p.far.Fetch(ctx, pr.folder.Name, uids, func(m Message) error {
		v := serverVersion{hash: mail.Sum(m.Body)}
		if was := sent[m.UID]; was != nil && was.Hash == v.hash {
			same = append(same, was.Email)
		} else {
			v.print = mime.FingerprintOf(m.Body).Content
		}
		out[m.UID] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	var known map[mail.EmailID][32]byte
	err = p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		known, err = tx.Mailbox.Prints(ctx, same)
		return err
	})
	for uid, was := range sent {
		if v, ok := out[uid]; ok && v.hash == was.Hash {
			out[uid] = serverVersion{v.hash, known[was.Email]}
		}
	}
	return out, err
}
