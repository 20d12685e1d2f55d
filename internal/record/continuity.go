package record

import (
	"context"

	"relais/internal/continuity"
)

var _ continuity.Store = (*Store)(nil)

// UpdateContinuity is Update for continuity.
func (s *Store) UpdateContinuity(ctx context.Context, fn func(ctx context.Context, w *continuity.Work) error) error {
	return s.Update(ctx, func(ctx context.Context, tx *Tx) error { return fn(ctx, tx.work()) })
}

// ViewContinuity is View for continuity.
func (s *Store) ViewContinuity(ctx context.Context, fn func(ctx context.Context, w *continuity.Work) error) error {
	return s.View(ctx, func(ctx context.Context, tx *Tx) error { return fn(ctx, tx.work()) })
}

func (tx *Tx) work() *continuity.Work {
	return &continuity.Work{
		Tx: tx.Continuity, Directory: tx.Directory, Mailbox: tx.Mailbox, Duty: tx.Duty, Link: tx.Link, Jobs: tx.Jobs, Audit: tx.Audit,
	}
}
