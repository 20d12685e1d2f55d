package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"relais/internal/cli"
)

const (
	syncs    = 200
	syncSize = 4 << 10
)

// probeSyncs appends 4 KiB to a file again and again and measures how long each
// takes to be durable: what every acknowledgement waits for.
func probeSyncs(ctx context.Context, dir string, progress func(step string, done, total int)) (r cli.SyncReport, err error) {
	f, err := os.Create(filepath.Join(dir, "syncs"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, syncSize)
	took := make([]time.Duration, 0, syncs)
	for i := range syncs {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		block[0] = byte(i)
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return r, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return r, &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		took = append(took, time.Since(began))
		progress("Syncing", i+1, syncs)
	}
	slices.Sort(took)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	return cli.SyncReport{Syncs: syncs, MedianUS: us(took[syncs/2]), P99US: us(took[syncs*99/100])}, nil
}
