package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Config says where the packs lie and how they are used.
type Config struct {
	Dir    string // made when it is not there; one node at a time
	Keys   Keys
	Locate Locate // for bodies made of others, and bodies that compaction moved; nil: there are none
	Log    *slog.Logger
	Clock  clock.Clock

	// Rotate is the size in bytes from which on a pack is sealed; 1 GiB when 0.
	Rotate int64
	// Grace is how long a pack is left alone by Compact after it was last
	// written; an hour when 0. It has to outlast every transaction that files
	// rows for bodies it appended.
	Grace time.Duration

	// folder stands in for the operating system in tests of failures.
	folder folder
}

func (c *Config) complete() error {
	if c.Dir == "" || c.Keys == nil {
		return fault.New(fault.Invalid, "packs need a directory and keys")
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Locate == nil {
		c.Locate = func(context.Context, mail.TenantID, mail.Hash) (Ref, error) {
			return Ref{}, fault.New(fault.NotFound, "no rows to find a body by")
		}
	}
	c.Rotate = cmp.Or(c.Rotate, 1<<30)
	c.Grace = cmp.Or(c.Grace, time.Hour)
	if c.Rotate < packHeaderSize || c.Grace < 0 {
		return fault.New(fault.Invalid, "a pack of %d bytes or a grace of %v make no sense", c.Rotate, c.Grace)
	}
	if c.folder == nil {
		c.folder = osFolder(c.Dir)
	}
	return nil
}

// Packs is the Store of one node: a directory of packs.
type Packs struct {
	cfg   Config
	coder *coder
	lock  *os.File

	mu     sync.RWMutex
	packs  map[uint64]*pack
	closed bool
	// newest is the pack that grows; nil: the next group makes one.
	newest *pack
	// last is the highest number ever used here.
	last uint64

	queue      queue
	compacting sync.Mutex
}

var _ Store = (*Packs)(nil)

// Open opens the packs in a directory, cuts a torn tail and takes the lock.
// fault.Conflict when another node has it; fault.Invalid when a newer release
// wrote a pack. Damage is logged and left to Check.
func Open(ctx context.Context, cfg Config) (*Packs, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the packs' directory: %w", err)
	}
	held, err := lock(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("lock the packs: %w", err)
	}
	s := &Packs{cfg: cfg, lock: held, packs: map[uint64]*pack{}}
	if err := s.load(ctx); err != nil {
		_ = s.release()
		return nil, err
	}
	if s.coder, err = newCoder(cfg.Keys); err != nil {
		_ = s.release()
		return nil, err
	}
	s.queue.start(s.commit)
	return s, nil
}

// load opens every pack and makes the newest ready to grow.
func (s *Packs) load(ctx context.Context) error {
	names, err := s.cfg.folder.List()
	if err != nil {
		return fmt.Errorf("list the packs: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, packSuffix+newSuffix) {
			if err := s.cfg.folder.Remove(name); err != nil {
				return fmt.Errorf("remove an unfinished pack: %w", err)
			}
		}
		n, ok := packNumber(name)
		if !ok {
			continue
		}
		p, err := openPack(s.cfg.folder, n)
		if err != nil {
			return fmt.Errorf("open pack %d: %w", n, err)
		}
		s.packs[n] = p
		s.last = max(s.last, n)
		if p.damage != nil {
			s.cfg.Log.Error("a pack has a damaged header", "pack", n, "err", p.damage)
		}
	}
	if p := s.packs[s.last]; p != nil && p.damage == nil {
		if err := s.recover(ctx, p); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// openPack opens pack n; its end is that of the file. fault.Invalid when a newer release wrote it.
func openPack(dir folder, n uint64) (*pack, error) {
	f, err := dir.Open(packName(n))
	if err != nil {
		return nil, err
	}
	p := &pack{number: n, file: f}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p.end.Store(size)
	head := make([]byte, packHeaderSize)
	if p.damage = p.readAt(head, 0); p.damage == nil {
		p.damage = checkPackHeader(head, n)
	}
	if fault.Is(p.damage, fault.Invalid) {
		return nil, errors.Join(p.damage, f.Close())
	}
	return p, nil
}

// recover cuts the torn tail of the newest pack and makes it the one that grows.
// Where that fails the pack is left as it is and another one will grow: a bad
// sector must not keep a node from starting. fault.Invalid when a newer release
// wrote to it.
func (s *Packs) recover(ctx context.Context, p *pack) error {
	size := p.end.Load()
	end, err := p.lastWhole(ctx, size)
	if err == nil && end < size {
		s.cfg.Log.Warn("cut the torn tail of a pack", "pack", p.number, "offset", end, "bytes", size-end)
		err = p.file.Truncate(end)
	}
	if err == nil {
		p.end.Store(end)
		// What is whole may still be in the page cache alone (after a crash of
		// the process): nothing is appended behind what may yet vanish.
		err = p.file.Sync()
	}
	if fault.Is(err, fault.Invalid) {
		return fmt.Errorf("pack %d: %w", p.number, err)
	}
	if err != nil {
		s.cfg.Log.Error("the newest pack cannot grow any more", "pack", p.number, "err", err)
		return nil
	}
	s.newest = p
	return nil
}

// grow returns the pack that the next group goes to, and makes one where needed.
// Only the writer calls it.
func (s *Packs) grow() (*pack, error) {
	s.mu.Lock()
	p := s.newest
	if p != nil && p.end.Load() >= s.cfg.Rotate {
		s.newest, p = nil, nil
	}
	if p != nil {
		s.mu.Unlock()
		return p, nil
	}
	// A failed attempt may leave a file under its name, so it uses up the number.
	s.last++
	n := s.last
	s.mu.Unlock()
	p, err := createPack(s.cfg.folder, n)
	if err != nil {
		return nil, fmt.Errorf("make pack %d: %w", n, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs[n], s.newest = p, p
	return p, nil
}

// createPack makes pack n, durable under its name.
func createPack(dir folder, n uint64) (*pack, error) {
	name := packName(n)
	f, err := dir.Create(name + newSuffix)
	if err != nil {
		return nil, err
	}
	at := name + newSuffix
	err = f.WriteV([][]byte{packHeader(n)}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		if err = dir.Rename(at, name); err == nil {
			at = name
			err = dir.Sync()
		}
	}
	if err != nil {
		// What cannot be removed is an unfinished or empty pack: harmless at the next start.
		return nil, errors.Join(err, f.Close(), dir.Remove(at))
	}
	p := &pack{number: n, file: f}
	p.end.Store(packHeaderSize)
	return p, nil
}

// pack finds a pack by number. fault.Unavailable after Close, fault.NotFound without one.
func (s *Packs) pack(n uint64) (*pack, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed
	}
	if p := s.packs[n]; p != nil {
		return p, nil
	}
	return nil, fault.New(fault.NotFound, "there is no pack %d", n)
}

var errClosed = fault.New(fault.Unavailable, "the packs are closed")

// Packs implements Store.
func (s *Packs) Packs(context.Context) ([]PackInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed
	}
	infos := make([]PackInfo, 0, len(s.packs))
	for _, n := range slices.Sorted(maps.Keys(s.packs)) {
		p := s.packs[n]
		infos = append(infos, PackInfo{n, p.end.Load(), p != s.newest})
	}
	return infos, nil
}

// Close implements Store.
func (s *Packs) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.queue.stop()
	// A compaction under way ends at its next append.
	s.compacting.Lock()
	defer s.compacting.Unlock()
	return s.release()
}

// release closes what Open opened.
func (s *Packs) release() error {
	var errs []error
	for _, p := range s.packs {
		errs = append(errs, p.close(errClosed))
	}
	if s.coder != nil {
		s.coder.close()
	}
	return errors.Join(append(errs, unlock(s.lock))...)
}
