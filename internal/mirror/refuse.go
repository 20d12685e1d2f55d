package mirror

import (
	"context"
	"time"

	"relais/internal/link"
	"relais/internal/record"
)

// refusalRetry is when a refused item is tried again: the cause may be gone.
const refusalRetry = 15 * time.Minute

// laterWait is when something is looked at again that only waits for the next pass.
const laterWait = time.Second

// refusal is what the primary (or this side) would not take.
type refusal struct {
	subject   *subject
	folder    *pair
	operation string
	name      string // of a folder
	code      string
	words     string
}

// refuse keeps a refusal with the server's words; only its item waits.
func (p *pass) refuse(ctx context.Context, r refusal) error {
	p.refused++
	p.log.Warn("refused", "operation", r.operation, "folder", r.name, "words", r.words)
	return p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		row := link.Refusal{Account: p.acct.ID, Operation: r.operation, Name: r.name, Code: r.code, Words: r.words}
		if r.subject != nil {
			row.Placement = r.subject.placement.ID
			if err := tx.Link.SetPending(ctx, p.acct.ID, row.Placement, tx.Now.Add(refusalRetry), link.WasRefused); err != nil {
				return err
			}
		}
		if r.folder != nil {
			row.Folder, row.Name = r.folder.folder.Key, r.folder.folder.Name
		}
		return tx.Link.AddRefusal(ctx, row)
	})
}

func (p *pass) refuseAll(ctx context.Context, group []*subject, operation string, pr *pair, why *Refused) error {
	for _, s := range group {
		s.later = true
		if err := p.refuse(ctx, refusal{subject: s, folder: pr, operation: operation, code: why.Code, words: why.Words}); err != nil {
			return err
		}
	}
	return nil
}

// laterAll has the subjects looked at again by a coming pass.
func (p *pass) laterAll(ctx context.Context, group []*subject) error {
	return p.s.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, s := range group {
			s.later = true
			due, why := tx.Now.Add(laterWait), link.ForFolder
			if p.restingDraft(s) {
				due, why = s.placement.CreatedAt.Add(p.s.DraftQuiet), link.ForQuiet
			}
			if err := tx.Link.SetPending(ctx, p.acct.ID, s.placement.ID, due, why); err != nil {
				return err
			}
		}
		return nil
	})
}
