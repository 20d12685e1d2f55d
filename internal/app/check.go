package app

import (
	"context"
	"log/slog"
	"path/filepath"

	"relais/internal/config"
	"relais/internal/record"
)

// Check verifies the store of the node whose data directory is dir; with bodies
// every stored body too. fault.Conflict while a node runs there.
func Check(ctx context.Context, dir string, bodies bool, progress func(step string, done, total int64)) (*record.Report, error) {
	cfg, err := config.Load(filepath.Join(dir, config.FileName))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	undo := &cleanups{log: log}
	defer undo.run()
	release, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	undo.add("release the data directory", func(context.Context) error { release(); return nil })
	rec, err := openStore(ctx, cfg, log, undo)
	if err != nil {
		return nil, err
	}
	return rec.Check(ctx, record.CheckOptions{Bodies: bodies, Progress: progress})
}
