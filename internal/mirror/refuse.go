package mirror

import (
	"context"
	"errors"
	"time"

	"relais/internal/link"
	"relais/internal/record"
)

// refusalRetry is when a refused item is tried again: the cause may be gone.
const refusalRetry = 15 * time.Minute

// laterWait is when something is looked at again that only waits for the next pass.
const laterWait = time.Second

// refusedBy is the refusal in an error; nil when it is none.
func refusedBy(err error) *Refused {
	r, _ := errors.AsType[*Refused](err)
	return r
}

// readOnly is what Relais itself says of a folder where nothing can be written.
var readOnly = &Refused{Code: "READ-ONLY", Words: "the folder is read-only"}

// folderAct is an operation on a folder, by name, that may be refused.
type folderAct struct{ operation, name string }

// fileHere is refused once and for all: the message stays at the primary alone.
const fileHere = "file here"

// refuseFolder keeps what the primary (or this side) said to an operation on a folder; only that waits.
func (p *pass) refuseFolder(ctx context.Context, operation, name string, why *Refused) error {
	p.refused++
	p.stillRefused[folderAct{operation, name}] = true
	p.log.Warn("refused", "operation", operation, "folder", name, "words", why.Words)
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		return tx.Link.AddRefusal(ctx, link.Refusal{Account: p.acct.ID, Operation: operation, Name: name, Code: why.Code, Words: why.Words})
	})
}

// refusedLately is the refusal of an operation on a folder that is not yet to be
// tried again; nil when it may be tried.
func (p *pass) refusedLately(operation, name string) *Refused {
	r, refused := p.folderRefusals[folderAct{operation, name}]
	if !refused || !p.started.Before(r.LastAt.Add(refusalRetry)) {
		return nil
	}
	p.refused++
	p.stillRefused[folderAct{operation, name}] = true
	return &Refused{Code: r.Code, Words: r.Words}
}

// resolveFolders ends the refusals of operations on folders that this pass did not meet again.
func (p *pass) resolveFolders(ctx context.Context, tx *record.Tx) error {
	for act, r := range p.folderRefusals {
		if p.stillRefused[act] || act.operation == fileHere {
			continue
		}
		if err := tx.Link.Resolve(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// refuse keeps, for some subjects, what the primary said; each is tried again later.
func (p *pass) refuse(ctx context.Context, group []*subject, operation string, pr *pair, why *Refused) error {
	p.refused += len(group)
	row := link.Refusal{Account: p.acct.ID, Operation: operation, Code: why.Code, Words: why.Words}
	if pr != nil {
		row.Folder, row.Name = pr.folder.Key, pr.folder.Name
	}
	p.log.Warn("refused", "operation", operation, "folder", row.Name, "messages", len(group), "words", why.Words)
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, s := range group {
			s.later = true
			row.Placement = s.placement.ID
			if err := tx.Link.SetPending(ctx, p.acct.ID, row.Placement, tx.Now.Add(refusalRetry), link.WasRefused); err != nil {
				return err
			}
			if err := tx.Link.AddRefusal(ctx, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// wait has subjects looked at again by a coming pass.
func (p *pass) wait(ctx context.Context, group []*subject, why link.Why) error {
	if len(group) == 0 {
		return nil
	}
	p.waiting += len(group)
	return p.update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, s := range group {
			s.later = true
			due := tx.Now.Add(laterWait)
			if why == link.ForQuiet {
				due = s.placement.CreatedAt.Add(p.s.DraftQuiet)
			}
			if err := tx.Link.SetPending(ctx, p.acct.ID, s.placement.ID, due, why); err != nil {
				return err
			}
		}
		return nil
	})
}

// clear forgets that a placement waits, and resolves its refusals.
func (p *pass) clear(ctx context.Context, tx *record.Tx, s *subject) error {
	if _, waits := p.pending[s.placement.ID]; !waits || s.later {
		return nil
	}
	return tx.Link.ClearPending(ctx, s.placement.ID)
}
