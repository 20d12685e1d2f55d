package app

import (
	"context"
	"log/slog"
	"time"

	"relais/internal/blob"
	"relais/internal/fault"
	"relais/internal/record"
)

const (
	housekeepingEvery = time.Hour
	compactEach       = 24 // rounds of housekeeping

	keepJobs  = 7 * 24 * time.Hour  // how long ended jobs can still be looked at
	keepQueue = 30 * 24 * time.Hour // and mail that left, or never will
)

// housekeeper forgets what has served its time, one thing after the other.
type housekeeper struct {
	store *record.Store
	packs blob.Store
	log   *slog.Logger
}

// run keeps house until ctx ends.
func (h *housekeeper) run(ctx context.Context) error {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	for round := 0; ; round++ {
		if err := h.forget(ctx); err != nil && !fault.Retryable(err) {
			return err
		}
		// Not at the start itself, when a node has better things to do.
		if round%compactEach == 1 {
			if err := h.compact(ctx); err != nil && ctx.Err() == nil {
				h.log.Warn("compact the packs", "err", err) // tomorrow again
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// forget removes repeats, jobs and closed rows of the queue that are too old to matter.
func (h *housekeeper) forget(ctx context.Context) error {
	return h.store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := tx.PruneRepeats(ctx); err != nil {
			return err
		}
		if err := tx.Jobs.Prune(ctx, tx.Now.Add(-keepJobs)); err != nil {
			return err
		}
		return tx.Outbound.Prune(ctx, tx.Now.Add(-keepQueue))
	})
}

// compact rewrites the sealed packs of which less than half is live: that frees
// more than it copies. What is live say the rows of the bodies alone; nobody else
// points into a pack.
func (h *housekeeper) compact(ctx context.Context) error {
	packs, err := h.packs.Packs(ctx)
	if err != nil {
		return err
	}
	var bytes map[uint64]int64
	err = h.store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		bytes, err = tx.Mailbox.LiveBytes(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range packs {
		if !p.Sealed || bytes[p.Number] >= p.Size/2 {
			continue
		}
		done, err := h.packs.Compact(ctx, p.Number, h.live(ctx), h.moved(ctx))
		switch {
		case err == nil:
			h.log.Info("compacted a pack", "pack", p.Number, "kept", done.Kept, "dropped", done.Dropped, "freed", done.Freed)
		case fault.Is(err, fault.Conflict): // written lately
		case fault.Is(err, fault.Corrupt):
			h.log.Error("a pack is damaged and stays: run relais check --store", "pack", p.Number, "err", err)
		default:
			return err
		}
	}
	return nil
}

// live tells whether a row names this very record.
func (h *housekeeper) live(ctx context.Context) func(blob.Record) (bool, error) {
	return func(r blob.Record) (bool, error) {
		ref, err := h.store.Locate(ctx, r.Tenant, r.Hash)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return ref == r.Ref, err
	}
}

// moved points the rows at the copies. A row that names another place by now keeps it.
func (h *housekeeper) moved(ctx context.Context) func([]blob.Moved) error {
	return func(copies []blob.Moved) error {
		return h.store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			for _, m := range copies {
				if _, err := tx.Mailbox.MoveBody(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
