package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"relais/internal/audit"
	"relais/internal/cli"
	"relais/internal/config"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/record"
	"relais/internal/tlsfiles"
)

// Init makes a node's data directory: keys, certificate, relais.toml. The
// configuration is written last, so that an init that was interrupted can be run
// again. fault.Conflict where there is a configuration already.
func Init(ctx context.Context, ch config.Choices) (*cli.InitReport, error) {
	dir, err := filepath.Abs(ch.Dir)
	if err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	ch.Dir = dir
	cfg, err := config.New(ch)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	file := filepath.Join(dir, config.FileName)
	if _, err := os.Stat(file); err == nil {
		return nil, fault.New(fault.Conflict, "%s exists already: this directory holds a node", file)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	keyFile := cfg.KeyFile()
	if _, err := keys.Create(keyFile); err != nil && !fault.Is(err, fault.Conflict) {
		return nil, fmt.Errorf("init: %w", err)
	}
	made, err := tlsfiles.MakeSelfSigned(cfg.Hostname, cfg.Path(cfg.TLS.Cert), cfg.Path(cfg.TLS.Key), time.Now())
	if err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	token, err := firstAdministrator(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	if err := writeNew(file, cfg.Text()); err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	report := &cli.InitReport{
		Dir: dir, Config: file, Hostname: cfg.Hostname, KeyFile: keyFile, SelfSigned: made,
		Administrator: administrator, Token: token,
		Listeners: map[string]string{},
	}
	report.Store, _, _ = strings.Cut(cfg.Store, ":")
	for _, l := range cfg.Listeners() {
		report.Listeners[l.Name] = l.Addr
	}
	return report, nil
}

// administrator is the name of the first one.
const administrator = "admin"

// firstAdministrator makes the store and an administrator in it; the token is
// shown once. The command line on this machine needs none: its socket belongs to
// the user that runs the node.
func firstAdministrator(ctx context.Context, cfg *config.Config) (token string, err error) {
	log := slog.New(slog.DiscardHandler)
	undo := &cleanups{log: log}
	defer undo.run()
	rec, err := openStore(ctx, cfg, log, undo)
	if err != nil {
		return "", err
	}
	token, c := directory.MakeAppPassword()
	err = rec.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Directory.AddAdministrator(ctx, administrator, c.Verifier); err != nil {
			return err
		}
		_, err := tx.Audit.Append(ctx, audit.New{Actor: "init", Action: "administrator.add", Object: administrator})
		return err
	})
	return token, err
}

// writeNew writes a file whole or not at all, readable by its owner alone.
func writeNew(path string, text []byte) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
