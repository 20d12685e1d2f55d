package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"relais/internal/fault"
)

const (
	lockName = "relais.lock" // held while a node runs; never removed, so that two can not hold two files of this name
	pidName  = "relais.pid"
)

// lock takes the data directory for this process. fault.Conflict when another
// node runs on it.
func lock(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "a node runs in %s already (see %s there)", dir, pidName)
		}
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// writePid writes relais.pid; remove takes it away again.
func writePid(dir string) (remove func(), err error) {
	path := filepath.Join(dir, pidName)
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil { //nolint:gosec // no secret: whoever watches the node may read it
		return nil, fmt.Errorf("write %s: %w", pidName, err)
	}
	return func() { _ = os.Remove(path) }, nil
}
