package blob

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"relais/internal/fault"
)

// folder is what Packs needs of the directory of the packs. Tests put one in
// between that fails at the n-th call.
type folder interface {
	List() ([]string, error)
	Open(name string) (file, error)
	Create(name string) (file, error) // fails when there is one
	Rename(from, to string) error
	Remove(name string) error
	Sync() error
}

// file is what Packs needs of a pack.
type file interface {
	io.ReaderAt
	// WriteV writes the buffers one after the other at off. They are not altered.
	WriteV(bufs [][]byte, off int64) error
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

// osFolder is a directory of the operating system, by its path.
type osFolder string

func (d osFolder) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d osFolder) Open(name string) (file, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osFolder) Create(name string) (file, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osFolder) Rename(from, to string) error {
	return os.Rename(filepath.Join(string(d), from), filepath.Join(string(d), to))
}

func (d osFolder) Remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

func (d osFolder) Sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

type osFile struct{ *os.File }

// maxVectors is Linux's IOV_MAX.
const maxVectors = 1024

// WriteV uses pwritev: a group of records goes to the kernel without being joined first.
func (f osFile) WriteV(bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), bufs[:min(len(bufs), maxVectors)], off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
		off += int64(n)
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n > 0 { // a short write: the rest of the first buffer goes alone
			m, err := f.WriteAt(bufs[0][n:], off)
			if err != nil {
				return err
			}
			off += int64(m)
			bufs = bufs[1:]
		}
	}
	return nil
}

// Sync is fdatasync: data and length, not the times. It was never slower than
// fsync; see docs/formats/packs.md.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// lockName is the file whose lock a node holds while it has the packs open.
const lockName = "LOCK"

// lock takes the lock of the directory; unlock gives it back.
// fault.Conflict when another process (or another Packs of this one) has it.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.Wrap(err, fault.Conflict, "another node has the packs open (process %s)", holder[:n])
		}
		return nil, err
	}
	// The number only helps people; the lock is what counts.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return f, nil
}

// unlock does not leave it to the closing: a child process that is just being
// started holds copies of all files for a moment, and the lock with them.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}
