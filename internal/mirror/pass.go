package mirror

import (
	"context"
	"log/slog"
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
	pairs    []*pair     // folders joined to mailboxes
	byBox    map[mail.MailboxID]*pair
	byFolder map[int64]*pair
	there    map[string]Folder // what the primary lists, by name

	losses    map[int64]merge.Loss // by folder key: why its links mean nothing any more
	lost      map[int64]bool       // by folder key: the primary has it no more
	dropThere []*link.Folder       // deleted here: to be deleted there

	subjects map[mail.PlacementID]*subject
	gone     *goneIndex // linked messages that the primary no longer shows where they were
	fresh    []freshRun // new at the primary, not yet matched
	claimed  map[mail.PlacementID]bool
	refusing bool // a person refused what the breaker stopped: deletions are undone
	waiting  int  // what this pass left for later: a relay owns it, or a draft rests
	refused  int  // what the primary refused
}

// pair is a folder joined to a mailbox.
type pair struct {
	folder link.Folder
	there  Folder
	role   mail.Role
	delta  *Delta // nil when the folder did not change

	boxGone bool       // the mailbox was deleted here
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
	loss      merge.Loss
	out       merge.Outcome

	// What writeThere achieved.
	flagged, moved bool
	validity       uint32     // UIDVALIDITY of the folder it was moved to
	unkept         mail.Flags // what the server can't keep
	later          bool       // looked at again by a coming pass
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
	p := &pass{s: s, acct: a, mode: mode, log: s.Log.With("account", a.Email),
		subjects: map[mail.PlacementID]*subject{}, claimed: map[mail.PlacementID]bool{}, byBox: map[mail.MailboxID]*pair{}, byFolder: map[int64]*pair{}}
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
		p.finishTakeBacks, // what a killed pass left half done
		p.joinFolders,     // both trees of folders
		p.scan,            // what changed there
		p.takeFresh,       // what is new there: matched or filed
		p.finishTakeBacks, // late copies took the place of our appends
		p.readLocal,       // what changed here
		p.decide,          // the table of package merge
		p.guard,           // the breaker
		p.writeThere,      // first the primary …
		p.writeHere,       // … then the record, with the new base
		p.dropFolders,     // gone on one side
		p.finish,          // tokens: from here on the pass counts
	}
	for _, stage := range stages {
		if err := stage(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// begin reads where the last pass ended, and refuses a frozen account.
func (p *pass) begin(ctx context.Context) error {
	return p.s.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		p.started = tx.Now
		f, err := tx.Link.Freeze(ctx, p.acct.Tenant, p.acct.ID)
		if err != nil {
			return err
		}
		if f.Open() {
			return fault.New(fault.Frozen, "the mirror of %s is frozen: %s", p.acct.Email, f.Reason)
		}
		p.freeze, p.refusing = f, f.Decision == link.Refuse && !f.Spent()
		if p.state, err = tx.Link.State(ctx, p.acct.ID); err != nil {
			return err
		}
		account, err := tx.Mailbox.Account(ctx, p.acct.ID)
		p.until = account.Modseq
		return err
	})
}

// finish saves the tokens of the folders that were read and the point up to
// which our changes are merged.
func (p *pass) finish(ctx context.Context) error {
	return p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, pair := range p.pairs {
			if pair.delta == nil || !p.mode.Pull {
				continue
			}
			f := pair.folder
			f.Permanent, f.AnyWord = pair.delta.Permanent, pair.delta.AnyWord
			if err := tx.Link.SaveToken(ctx, f, link.Token(pair.delta.Token)); err != nil {
				return err
			}
		}
		if p.mode.Push {
			p.state.MergedModseq = p.until
			p.state.Unlinked = false
		}
		if p.mode.Pull {
			p.state.PulledAt = p.started
		}
		if p.freeze.Decision != link.Undecided && !p.freeze.Spent() {
			if err := tx.Link.Spend(ctx, p.freeze.ID); err != nil {
				return err
			}
		}
		return tx.Link.SaveState(ctx, p.state)
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
