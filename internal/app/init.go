package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"relais/internal/cli"
	"relais/internal/config"
	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/tlsfiles"
)

// Init makes a node's data directory: keys, certificate, relais.toml. The
// configuration is written last, so that an init that was interrupted can be run
// again. fault.Conflict where there is a configuration already.
func Init(_ context.Context, ch config.Choices) (*cli.InitReport, error) {
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
	if err := writeNew(file, cfg.Text()); err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	report := &cli.InitReport{
		Dir: dir, Config: file, Hostname: cfg.Hostname, KeyFile: keyFile, SelfSigned: made,
		Listeners: map[string]string{},
	}
	report.Store, _, _ = strings.Cut(cfg.Store, ":")
	for _, l := range cfg.Listeners() {
		report.Listeners[l.Name] = l.Addr
	}
	return report, nil
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
