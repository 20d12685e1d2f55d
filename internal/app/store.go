package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"relais/internal/blob"
	"relais/internal/clock"
	"relais/internal/config"
	"relais/internal/db"
	"relais/internal/db/postgres"
	"relais/internal/db/sqlite"
	"relais/internal/keys"
	"relais/internal/record"
)

// store is the record with what it is made of.
type store struct {
	*record.Store
	keyring *keys.Keyring
	ring    *keys.Ring
	packs   *blob.Packs
}

// openStore opens keys, database and packs; what was opened is closed by undo.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger, undo *cleanups) (*store, error) {
	keyring, err := keys.Load(cfg.KeyFile())
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	engine, err := openEngine(ctx, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	undo.add("close the store", func(context.Context) error { return engine.Close() })

	ring := keys.NewRing(keyring, record.TenantKeysIn(engine))
	packs, err := blob.Open(ctx, blob.Config{
		Dir: cfg.PackDir(), Keys: ring, Locate: record.LocateIn(engine), Log: log.With("component", "blob"), Clock: clock.System{},
	})
	if err != nil {
		return nil, fmt.Errorf("open packs: %w", err)
	}
	undo.add("close the packs", func(context.Context) error { return packs.Close() })

	rec := record.Open(record.Config{Engine: engine, Bodies: packs, Clock: clock.System{}, Log: log.With("component", "record")})
	return &store{Store: rec, keyring: keyring, ring: ring, packs: packs}, nil
}

// openEngine opens the database that the configuration names.
func openEngine(ctx context.Context, cfg *config.Config, log *slog.Logger) (db.Engine, error) {
	log = log.With("component", "db")
	path, ok := strings.CutPrefix(cfg.Store, "sqlite:")
	if !ok {
		return postgres.Open(ctx, postgres.Config{URL: cfg.Store, Log: log})
	}
	path = cfg.Path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, sqlite.Config{Path: path, Log: log})
}
