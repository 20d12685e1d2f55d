package imapconn

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mirror"
)

// NewPrimary makes the merge engine's view of an IMAP server out of a pool.
func NewPrimary(pool *Pool) mirror.Primary { return &primary{pool: pool} }

type primary struct {
	pool     *Pool
	noDots   atomic.Bool // see folderNames
	recalled sync.Map    // logins whose folders were looked at for it
	trimmed  atomic.Int64
}

// trim closes, now and then, what was left unused: connections of people who are gone, say.
func (p *primary) trim() {
	now := time.Now().Unix()
	if last := p.trimmed.Load(); now-last >= 60 && p.trimmed.CompareAndSwap(last, now) {
		p.pool.Trim()
	}
}

// MaxSessions is the pool's limit.
func (p *primary) MaxSessions() int { return p.pool.Max() }

// Close ends the pool and its connections.
func (p *primary) Close() error { return p.pool.Close() }

// Open leases a connection and learns how the server names folders.
func (p *primary) Open(ctx context.Context, login string) (mirror.Session, error) {
	p.trim()
	lease, err := p.pool.Lease(ctx, login)
	if err != nil {
		return nil, err
	}
	s := &session{Lease: lease, names: folderNames{noDots: &p.noDots}}
	space, err := lease.namespace(ctx)
	s.names.Namespace = space
	if _, done := p.recalled.Load(login); err == nil && !done {
		if err = s.names.recall(ctx, lease.Conn); err == nil {
			p.recalled.Store(login, true)
		}
	}
	if err != nil {
		lease.Release()
		return nil, err
	}
	return s, nil
}

// session is a leased connection as the merge engine uses it: one goroutine, folder names with "/".
type session struct {
	*Lease
	names folderNames
}

var _ mirror.Session = (*session)(nil)

// Close gives the connection back.
func (s *session) Close() error {
	s.Release()
	return nil
}

// Caps tells what the server offers.
func (s *session) Caps() mirror.Caps {
	return mirror.Caps{
		Condstore: s.Has(imap.CapCondStore), Qresync: s.Enabled(imap.CapQResync), UIDPlus: s.Has(imap.CapUIDPlus),
		Move: s.Has(imap.CapMove), MultiAppend: s.Has(imap.CapMultiAppend), ObjectID: s.Has(imap.CapObjectID),
	}
}

// Folders lists the folders of the personal namespace with their state.
func (s *session) Folders(ctx context.Context) ([]mirror.Folder, error) {
	// Servers tell the STATUS of the selected mailbox as this session last saw it, not as it is.
	if err := s.Unselect(ctx); err != nil {
		return nil, err
	}
	if s.Selected() != "" { // no UNSELECT
		if err := s.Noop(ctx); err != nil {
			return nil, err
		}
	}
	boxes, err := s.List(ctx, ListOptions{Status: []imap.StatusItem{imap.StatusUIDValidity, imap.StatusUIDNext,
		imap.StatusMessages, imap.StatusHighestModSeq, imap.StatusMailboxID}})
	if err != nil {
		return nil, err
	}
	out := make([]mirror.Folder, 0, len(boxes))
	for _, b := range boxes {
		name, ours := s.names.decode(b.Name)
		if !ours {
			continue // another's namespace
		}
		if b.Status == nil && !b.NoSelect {
			// Dovecot lists a deleted folder that has others below it as if it were one, and tells no status of it.
			status, err := s.Status(ctx, b.Name, imap.StatusUIDValidity, imap.StatusUIDNext, imap.StatusMessages, imap.StatusHighestModSeq)
			switch {
			case err == nil:
				b.Status = &status
			case !isRefusal(err):
				return nil, err
			case fault.Is(err, fault.NotFound):
				b.NoSelect = true
			}
		}
		f := mirror.Folder{Name: name, Role: b.Role, NoSelect: b.NoSelect, Subscribed: b.Subscribed}
		if b.Status != nil {
			number := func(item imap.StatusItem) uint64 { n, _ := b.Status.Get(item); return n }
			f.Token = mirror.Token{UIDValidity: uint32(number(imap.StatusUIDValidity)), UIDNext: uint32(number(imap.StatusUIDNext)),
				HighestModseq: number(imap.StatusHighestModSeq), Messages: uint32(number(imap.StatusMessages))}
			f.Messages, f.ObjectID = f.Token.Messages, b.Status.MailboxID
		}
		out = append(out, f)
	}
	return out, nil
}

// Bounds on what one folder may make us hold: a server can claim anything.
const (
	maxItems    = 5_000_000 // messages
	maxVanished = 200_000   // UIDs that QRESYNC says are gone; beyond it all flags are read instead
)

// Scan opens the folder and asks what changed since the token: by QRESYNC where
// it is offered, else by a pass over the flags of every message.
func (s *session) Scan(ctx context.Context, folder string, since mirror.Token) (mirror.Delta, error) {
	var o SelectOptions
	quick := since.UIDValidity != 0 && since.HighestModseq != 0 && s.Enabled(imap.CapQResync)
	if quick {
		o.QResync = &imap.QResync{UIDValidity: since.UIDValidity, ModSeq: since.HighestModseq}
	}
	sel, err := s.Select(ctx, s.names.encode(folder), o)
	if err != nil {
		return mirror.Delta{}, refusal(err)
	}
	d := mirror.Delta{
		Token:    mirror.Token{UIDValidity: sel.UIDValidity, UIDNext: sel.UIDNext, HighestModseq: sel.HighestModSeq, Messages: sel.Exists},
		Reset:    since.UIDValidity != 0 && since.UIDValidity != sel.UIDValidity,
		ReadOnly: sel.ReadOnly,
	}
	if sel.PermanentFlags != nil {
		d.Permanent, d.AnyWord = mail.ParseFlags(sel.PermanentFlags...), sel.Keeps("$relais-any")
	}
	item := func(m *Message) error {
		if len(d.Items) >= maxItems {
			return fault.New(fault.OverLimit, "the primary lists more than %d messages in %q", maxItems, folder)
		}
		d.Items = append(d.Items, mirror.Item{UID: m.UID, Flags: m.Flags, Modseq: m.ModSeq})
		d.Token.UIDNext = max(d.Token.UIDNext, m.UID+1)
		return nil
	}
	// A position below the one that we had is that of an index made anew: it tells nothing.
	vanished := sel.Vanished.Resolve(sel.UIDNext)
	if quick && !d.Reset && sel.UIDNext != 0 && sel.HighestModSeq >= since.HighestModseq && vanished.Count() <= maxVanished {
		for _, m := range sel.Changed {
			if err := item(m); err != nil {
				return d, err
			}
		}
		for uid := range vanished.All() {
			d.Vanished = append(d.Vanished, uid)
		}
		return d, nil
	}
	d.Complete = true
	if sel.Exists == 0 {
		return d, nil
	}
	return d, s.FetchFlags(ctx, 0, item)
}

// Fetch streams whole messages of a folder.
func (s *session) Fetch(ctx context.Context, folder string, uids []uint32, each func(mirror.Message) error) error {
	if err := s.open(ctx, folder); err != nil {
		return err
	}
	o := FetchOptions{Flags: true, InternalDate: true, Sections: []imap.FetchItem{WholeMessage}}
	return s.Conn.Fetch(ctx, imap.NumSetOf(uids...), o, func(m *Message) error {
		if m.Body() == nil {
			return nil
		}
		return each(mirror.Message{UID: m.UID, Flags: m.Flags, Date: m.InternalDate, Body: m.Body()})
	})
}

// open selects the folder unless it is selected.
func (s *session) open(ctx context.Context, folder string) error {
	name := s.names.encode(folder)
	if s.Selected() == name {
		return nil
	}
	_, err := s.Select(ctx, name, SelectOptions{})
	return refusal(err)
}

// Append adds messages, all or each on its own, as the server can.
func (s *session) Append(ctx context.Context, folder string, messages []mirror.Append) ([]mirror.Appended, error) {
	list := make([]AppendMessage, len(messages))
	for i, m := range messages {
		list[i] = AppendMessage{Flags: m.Flags, InternalDate: m.Date, Body: m.Body}
	}
	results, err := s.AppendAll(ctx, s.names.encode(folder), list)
	if err != nil {
		return nil, err
	}
	out := make([]mirror.Appended, len(results))
	for i, r := range results {
		out[i] = mirror.Appended{UIDValidity: r.UIDValidity, UID: r.UID}
		if r.Err != nil {
			refused, ok := errors.AsType[*mirror.Refused](refusal(r.Err))
			if !ok {
				return nil, r.Err
			}
			out[i].Refused = refused
		}
	}
	return out, nil
}

// SetFlags adds and removes flags.
func (s *session) SetFlags(ctx context.Context, folder string, uids []uint32, add, remove mail.Flags) error {
	if err := s.open(ctx, folder); err != nil {
		return err
	}
	for _, c := range []struct {
		op    imap.StoreOp
		flags mail.Flags
	}{{imap.StoreAdd, add}, {imap.StoreRemove, remove}} {
		if names := c.flags.Names(); len(names) > 0 {
			if _, err := s.Store(ctx, imap.NumSetOf(uids...), imap.Store{Op: c.op, Silent: true, Flags: names}); err != nil {
				return refusal(err)
			}
		}
	}
	return nil
}

// Move moves messages.
func (s *session) Move(ctx context.Context, folder string, uids []uint32, to string) ([]mirror.Moved, error) {
	return s.copy(ctx, s.Conn.Move, folder, uids, to)
}

// Copy copies messages.
func (s *session) Copy(ctx context.Context, folder string, uids []uint32, to string) ([]mirror.Moved, error) {
	return s.copy(ctx, s.Conn.Copy, folder, uids, to)
}

func (s *session) copy(ctx context.Context, do func(context.Context, imap.NumSet, string) (Copied, error), folder string, uids []uint32, to string) ([]mirror.Moved, error) {
	if err := s.open(ctx, folder); err != nil {
		return nil, err
	}
	copied, err := do(ctx, imap.NumSetOf(uids...), s.names.encode(to))
	if err != nil {
		return nil, refusal(err)
	}
	out := make([]mirror.Moved, 0, len(uids))
	for _, uid := range uids {
		out = append(out, mirror.Moved{From: uid, To: copied.UIDs[uid], UIDValidity: copied.UIDValidity})
	}
	return out, nil
}

// Delete removes messages where UIDPLUS lets it touch only them.
func (s *session) Delete(ctx context.Context, folder string, uids []uint32) (pending bool, err error) {
	if err := s.open(ctx, folder); err != nil {
		return false, err
	}
	set := imap.NumSetOf(uids...)
	if _, err := s.Store(ctx, set, imap.Store{Op: imap.StoreAdd, Silent: true, Flags: mail.Flags{System: mail.Deleted}.Names()}); err != nil {
		return false, refusal(err)
	}
	if !s.Has(imap.CapUIDPlus) {
		return true, nil
	}
	return false, refusal(s.Expunge(ctx, set))
}

// CreateFolder makes a folder, for a role where the server knows them.
func (s *session) CreateFolder(ctx context.Context, folder string, role mail.Role) error {
	err := s.names.retry(ctx, s.Conn, folder, func(name string) error {
		_, err := s.Create(ctx, name, role)
		return err
	})
	if fault.Is(err, fault.Conflict) {
		return nil // made meanwhile, or by a pass that was killed
	}
	return refusal(err)
}

// RenameFolder gives a folder another name.
func (s *session) RenameFolder(ctx context.Context, from, to string) error {
	if s.Selected() == s.names.encode(from) {
		if err := s.Unselect(ctx); err != nil {
			return err
		}
	}
	return refusal(s.names.retry(ctx, s.Conn, to, func(name string) error {
		return s.Rename(ctx, s.names.encode(from), name)
	}))
}

// DeleteFolder removes a folder with what is in it.
func (s *session) DeleteFolder(ctx context.Context, folder string) error {
	if s.Selected() == s.names.encode(folder) {
		if err := s.Unselect(ctx); err != nil {
			return err
		}
	}
	err := s.Conn.Delete(ctx, s.names.encode(folder))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return refusal(err)
}

// Subscribe puts a folder on the list that mail programs show, or takes it off.
func (s *session) Subscribe(ctx context.Context, folder string, on bool) error {
	if on {
		return refusal(s.Conn.Subscribe(ctx, s.names.encode(folder)))
	}
	return refusal(s.Unsubscribe(ctx, s.names.encode(folder)))
}

// Wait returns when the folder is not as it was, or ctx ends. The end of ctx ends
// the waiting and not a command, which would end the connection.
func (s *session) Wait(ctx context.Context, folder string, since mirror.Token) error {
	sel, err := s.Select(context.WithoutCancel(ctx), s.names.encode(folder), SelectOptions{})
	if err != nil {
		return refusal(err)
	}
	if sel.UIDValidity != since.UIDValidity || sel.UIDNext > since.UIDNext || sel.HighestModSeq > since.HighestModseq || sel.Exists != since.Messages {
		return nil
	}
	_, err = s.Idle(ctx)
	return err
}

// refusal turns a definite NO into a *mirror.Refused; what a retry may mend stays what it is.
func refusal(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || fault.Retryable(err) || e.Status.Word == imap.Bye {
		return err
	}
	return &mirror.Refused{Code: e.Status.Code.Name, Words: e.Words()}
}
