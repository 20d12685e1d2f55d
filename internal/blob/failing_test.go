package blob

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// failing is a folder that fails one of its steps, or from one step on, and
// counts the syncs. It is shared by a store and the test that breaks it.
type failing struct {
	folder

	mu      sync.Mutex
	step    int   // counts every call that changes something
	at      int   // the step to fail; 0 is none
	onwards bool  // the following steps fail as well
	err     error // what the failing step returns
	short   int   // bytes that a failing write leaves behind
	last    string
	syncs   int
	skip    bool // syncs are counted and not done: the test is about bytes, not about a medium
}

// arm lets the n-th step from now fail; 0 disarms.
func (f *failing) arm(n int, onwards bool, short int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step, f.at, f.onwards, f.short, f.err = 0, n, onwards, short, err
}

// next counts a step and tells whether it fails.
func (f *failing) next(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step++
	if what == "sync" {
		f.syncs++
	}
	if f.at > 0 && (f.step == f.at || f.onwards && f.step > f.at) {
		f.last = what
		return f.err
	}
	return nil
}

// reached tells whether the armed step was ever taken.
func (f *failing) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.step >= f.at
}

func (f *failing) Open(name string) (file, error) {
	g, err := f.folder.Open(name)
	if err != nil {
		return nil, err
	}
	return failingFile{g, f}, nil
}

func (f *failing) Create(name string) (file, error) {
	if err := f.next("create"); err != nil {
		return nil, err
	}
	g, err := f.folder.Create(name)
	if err != nil {
		return nil, err
	}
	return failingFile{g, f}, nil
}

func (f *failing) Rename(from, to string) error {
	if err := f.next("rename"); err != nil {
		return err
	}
	return f.folder.Rename(from, to)
}

func (f *failing) Remove(name string) error {
	if err := f.next("remove"); err != nil {
		return err
	}
	return f.folder.Remove(name)
}

func (f *failing) Sync() error {
	if err := f.next("sync folder"); err != nil {
		return err
	}
	if f.skip {
		return nil
	}
	return f.folder.Sync()
}

type failingFile struct {
	file
	f *failing
}

func (g failingFile) WriteV(bufs [][]byte, off int64) error {
	if err := g.f.next("write"); err != nil {
		var all []byte
		for _, b := range bufs {
			all = append(all, b...)
		}
		return errors.Join(err, g.file.WriteV([][]byte{all[:min(g.f.short, len(all))]}, off))
	}
	return g.file.WriteV(bufs, off)
}

func (g failingFile) Sync() error {
	if err := g.f.next("sync"); err != nil {
		return err
	}
	if g.f.skip {
		return nil
	}
	return g.file.Sync()
}

func (g failingFile) Truncate(size int64) error {
	if err := g.f.next("truncate"); err != nil {
		return err
	}
	return g.file.Truncate(size)
}

var (
	errFull = unix.ENOSPC
	errIO   = unix.EIO
)
