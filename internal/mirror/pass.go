package mirror

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror/merge"
	"relais/internal/record"
)

// pass is one merge of one account. Its methods are the stages, in the order of run.
type pass struct {
	s    *Service
	far  Session
	acct account
	mode Mode
	log  *slog.Logger

	started  time.Time
	freeze   link.Freeze // the last one that was decided
	state    link.State  // where the last pass left the account
	until    uint64      // changes here up to this modseq are merged by this pass
	pending  map[mail.PlacementID]link.Waiting
	intents  []link.Intent              // whose outcome was not known when the pass began
	expunges map[remoteID]link.IntentID // marked \Deleted there, until they can be expunged

	pairs    []*pair // folders joined to mailboxes
	byBox    map[mail.MailboxID]*pair
	byFolder map[int64]*pair
	losses   map[int64]merge.Loss        // by folder key: why its links mean nothing any more
	lost     map[int64]bool              // by folder key: the primary has it no more
	barred   map[mail.MailboxID]*Refused // mailboxes whose folder is refused

	folderRefusals map[folderAct]link.Refusal // open when the pass began
	stillRefused   map[folderAct]bool         // met by this pass

	matching sync.Mutex // holds subjects, gone, loose and claimed while arrivals are matched
	subjects map[mail.PlacementID]*subject
	gone     *goneIndex // linked messages that the primary no longer shows where they were
	fresh    []freshRun // new at the primary, not yet matched
	loose    *looseIndex
	claimed  map[mail.PlacementID]bool
	refusing bool // a person refused what the breaker stopped: deletions are undone
	waiting  int  // what this pass left for later: a relay owns it, or a draft rests
	refused  int  // what the primary refused
}

// remoteID names a message of the primary.
type remoteID struct {
	folder        int64
	validity, uid uint32
}

// pair is a folder joined to a mailbox.
type pair struct {
	folder link.Folder
	there  Folder
	box    mailbox.Mailbox
	delta  *Delta // nil when the folder did not change

	boxGone bool       // the mailbox was deleted here
	setBack bool       // it is an older copy of itself, and a person knows
	lost    bool       // the primary has the folder no more
	loss    merge.Loss // how a message that is linked to it was lost, when the folder was reset or lost
}

// freshRun is a folder's new messages, by UID.
type freshRun struct {
	pair  *pair
	items []Item
}

// remote says what a pass knows of a subject at the primary.
type remote int

const (
	untouched remote = iota // as the base has it
	present                 // seen: there, folder and uid tell how and where
	gone                    // not where the link says, and nowhere else
)

// subject is one message that changed on either side.
type subject struct {
	link      *link.Link        // current link; nil when it has none
	placement mailbox.Placement // as it is here, a tombstone too
	remote    remote
	there     merge.State // what the primary has, when present
	folder    *pair       // where the primary has it, when present and not where the link says
	uid       uint32
	hash      mail.Hash // the server's version, when it was read
	print     [32]byte
	// deletedHere tells, while arrivals are matched, that the placement is a tombstone.
	deletedHere bool
	relayed     bool // known by the id in our own Received line: both sides got it from us
	loss        merge.Loss
	in          merge.Input
	out         merge.Outcome
	duties      []openDuty

	// What writeThere achieved.
	flagged, moved, deleted bool
	validity                uint32     // UIDVALIDITY of the folder it was moved to
	unkept                  mail.Flags // what the server can't keep
	later                   bool       // looked at again by a coming pass
}

// where tells in which folder and under which UID the primary has the message.
func (s *subject) where(p *pass) (*pair, uint32) {
	if s.folder != nil {
		return s.folder, s.uid
	}
	if s.link != nil {
		return p.byFolder[s.link.Folder], s.link.UID
	}
	return nil, 0
}

// pass merges one account once.
func (s *Service) pass(ctx context.Context, far Primary, a account, mode Mode) (*pass, error) {
	done, err := s.turn(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	p := &pass{s: s, acct: a, mode: mode, log: s.Log.With("account", a.Email),
		pending: map[mail.PlacementID]link.Waiting{}, expunges: map[remoteID]link.IntentID{},
		byBox: map[mail.MailboxID]*pair{}, byFolder: map[int64]*pair{}, losses: map[int64]merge.Loss{}, lost: map[int64]bool{},
		barred: map[mail.MailboxID]*Refused{}, folderRefusals: map[folderAct]link.Refusal{}, stillRefused: map[folderAct]bool{}, subjects: map[mail.PlacementID]*subject{}, gone: newGoneIndex(), claimed: map[mail.PlacementID]bool{}}
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	session, err := far.Open(ctx, a.Login)
	if err != nil {
		return nil, err
	}
	p.far = session
	defer func() {
		if err := session.Close(); err != nil {
			p.log.Debug("close the session", "err", err)
		}
	}()
	return p, p.run(ctx)
}

func (p *pass) run(ctx context.Context) error {
	stages := []func(context.Context) error{
		p.finishRemovals, // what a killed pass left half done
		p.joinFolders,    // both trees of folders
		p.scan,           // what changed there
		p.takeFresh,      // what is new there: matched or filed
		p.finishRemovals, // of copies of which others took the place
		p.readLocal,      // what changed here
		p.decide,         // the table of package merge
		p.guard,          // the breaker
		p.writeThere,     // first the primary …
		p.writeHere,      // … then the record, with the new base
		p.dropFolders,    // gone on one side
		p.finish,         // tokens: from here on the pass counts
	}
	for _, stage := range stages {
		if err := p.proceed(ctx); err != nil {
			return err
		}
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin reads where the last pass ended, and refuses a frozen account.
func (p *pass) begin(ctx context.Context) error {
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		p.started = tx.Now
		f, err := p.frozen(ctx, tx)
		if err != nil {
			return err
		}
		if p.state, err = tx.Link.State(ctx, p.acct.ID); err != nil {
			return err
		}
		if f.ID > p.state.SettledFreeze { // decided, and not yet carried out here
			p.freeze, p.refusing = f, f.Decision == link.Refuse
		} else {
			p.freeze = link.Freeze{DecidedAt: f.DecidedAt}
		}
		if p.intents, err = tx.Link.OpenIntents(ctx, p.acct.ID); err != nil {
			return err
		}
		for _, i := range p.intents {
			if i.Kind == link.ExpungeIntent {
				p.expunges[remoteID{i.Folder, i.UIDValidity, i.UIDNext}] = i.ID
			}
		}
		waiting, err := tx.Link.Pending(ctx, p.acct.ID)
		if err != nil {
			return err
		}
		for _, w := range waiting {
			p.pending[w.Placement] = w
		}
		refusals, err := tx.Link.Refusals(ctx, p.acct.ID)
		if err != nil {
			return err
		}
		for _, r := range refusals {
			if r.Placement == 0 {
				p.folderRefusals[folderAct{r.Operation, r.Name}] = r
			}
		}
		account, err := tx.Mailbox.Account(ctx, p.acct.ID)
		p.until = account.Modseq
		return err
	})
}

// frozen is fault.Frozen while a freeze waits for a person; else it gives the last one that was decided.
func (p *pass) frozen(ctx context.Context, tx *record.Tx) (link.Freeze, error) {
	f, err := tx.Link.Freeze(ctx, p.acct.Tenant, p.acct.ID)
	if err == nil && f.Open() {
		err = fault.New(fault.Frozen, "the mirror of %s is frozen: %s", p.acct.Email, f.Reason)
	}
	return f, err
}

// proceed ends the pass when its person or its domain's state says so.
func (p *pass) proceed(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.s.Gate == nil {
		return nil
	}
	mode, err := p.s.Gate.Mode(ctx, p.acct.Domain)
	if err == nil && mode != p.mode {
		err = fault.New(fault.Temporary, "the state of the domain has changed")
	}
	return err
}

// update writes to the record, unless the mirror was frozen or its base was
// closed since the pass began: then nothing that the pass knows is true any more.
func (p *pass) update(ctx context.Context, fn func(context.Context, *record.Tx) error) error {
	return p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := p.still(ctx, tx); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

func (p *pass) still(ctx context.Context, tx *record.Tx) error {
	if _, err := p.frozen(ctx, tx); err != nil {
		return err
	}
	now, err := tx.Link.State(ctx, p.acct.ID)
	if err == nil && !now.RebuiltAt.Equal(p.state.RebuiltAt) {
		err = fault.New(fault.Temporary, "the primary was declared rebuilt meanwhile")
	}
	return err
}

// finish saves the tokens of the folders that were read and the point up to
// which our changes are merged.
func (p *pass) finish(ctx context.Context) error {
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, pair := range p.pairs {
			if pair.lost || pair.boxGone {
				continue
			}
			f := pair.folder
			if f.NoSelect != pair.there.NoSelect {
				f.NoSelect = pair.there.NoSelect
				if err := tx.Link.ChangeFolder(ctx, f); err != nil {
					return err
				}
			}
			if pair.delta == nil {
				continue
			}
			f.Permanent, f.AnyWord, f.ReadOnly = pair.delta.Permanent, pair.delta.AnyWord, pair.delta.ReadOnly
			if err := tx.Link.SaveToken(ctx, f, link.Token(pair.delta.Token)); err != nil {
				return err
			}
		}
		for _, i := range p.intents {
			// What had arrived was found by now, and what had not was done again.
			if i.Kind == link.AppendIntent || i.Kind == link.MoveIntent {
				if err := tx.Link.FinishIntent(ctx, i.ID, "looked at"); err != nil {
					return err
				}
			}
		}
		state := p.state
		if p.mode.Push {
			if err := p.resolveFolders(ctx, tx); err != nil {
				return err
			}
			state.MergedModseq, state.LookedAtAll = p.until, p.state.LookAtAll
			state.SettledFreeze = max(state.SettledFreeze, p.freeze.ID)
		}
		state.PulledAt = p.started
		return tx.Link.SaveState(ctx, state)
	})
}

// subjectOf is the subject of a placement, made when there is none yet. Its
// placement is read when all subjects are known.
func (p *pass) subjectOf(id mail.PlacementID) *subject {
	s := p.subjects[id]
	if s == nil {
		s = &subject{placement: mailbox.Placement{ID: id}}
		p.subjects[id] = s
	}
	return s
}
