package blob

import (
	"bytes"
	"context"

	"relais/internal/crashpoint"
	"relais/internal/fault"
)

// Live records are copied this many, or this many bytes, at a time.
const (
	movedRecords = 256
	movedBytes   = 8 << 20
)

// Compact implements Store. docs/formats/packs.md argues why a crash at any step
// loses nothing.
func (s *Packs) Compact(ctx context.Context, number uint64, live func(Record) (bool, error), moved func([]Moved) error) (Compaction, error) {
	// One at a time: two would copy the same records twice.
	s.compacting.Lock()
	defer s.compacting.Unlock()
	var done Compaction
	p, err := s.settled(number)
	if err != nil {
		return done, err
	}
	c := copier{store: s, moved: moved}
	copied := int64(0)
	err = p.walk(ctx, p.end.Load(), func(h *header, off int64, record []byte) error {
		r := h.record(number, off)
		alive, err := live(r)
		if err != nil {
			return err
		}
		if !alive {
			done.Dropped++
			return nil
		}
		done.Kept++
		copied += r.Ref.Length
		return c.add(ctx, r, record)
	}, func(d Damage) error {
		return fault.Wrap(d.Err, fault.Corrupt, "pack %d is damaged at %d and stays", number, d.Ref.Offset)
	})
	if err == nil {
		err = c.flush(ctx)
	}
	if err != nil {
		return done, err
	}
	done.Freed = p.end.Load() - copied
	return done, s.remove(p)
}

// settled finds a pack that is sealed and was not written within the grace: every
// caller that appended to it has committed its rows or never will.
func (s *Packs) settled(number uint64) (*pack, error) {
	p, err := s.pack(number)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p == s.newest {
		return nil, fault.New(fault.Conflict, "pack %d still grows", number)
	}
	if left := s.cfg.Grace - s.cfg.Clock.Now().Sub(p.written); !p.written.IsZero() && left > 0 {
		return nil, fault.New(fault.Conflict, "pack %d was written lately: wait %v", number, left)
	}
	return p, nil
}

// remove takes a pack without live records away. Readers that are in it end first.
func (s *Packs) remove(p *pack) error {
	if err := s.cfg.folder.Remove(packName(p.number)); err != nil {
		return fault.Wrap(err, fault.Temporary, "pack %d cannot be removed", p.number)
	}
	s.mu.Lock()
	delete(s.packs, p.number)
	s.mu.Unlock()
	if err := p.close(fault.New(fault.NotFound, "pack %d was removed", p.number)); err != nil {
		s.cfg.Log.Warn("close a removed pack", "pack", p.number, "err", err)
	}
	// Should the removal be undone by a power cut, the next compaction finds
	// a pack of dead records.
	if err := s.cfg.folder.Sync(); err != nil {
		s.cfg.Log.Warn("sync the removal of a pack", "pack", p.number, "err", err)
	}
	return nil
}

// copier gathers live records, and copies them and hands on their new places together.
type copier struct {
	store   *Packs
	moved   func([]Moved) error
	records [][]byte
	places  []Moved
	bytes   int64
}

func (c *copier) add(ctx context.Context, r Record, record []byte) error {
	c.records = append(c.records, bytes.Clone(record))
	c.places = append(c.places, Moved{r.Tenant, r.Hash, r.Ref, Ref{}})
	if c.bytes += r.Ref.Length; c.bytes >= movedBytes || len(c.records) >= movedRecords {
		return c.flush(ctx)
	}
	return nil
}

func (c *copier) flush(ctx context.Context) error {
	if len(c.records) == 0 {
		return nil
	}
	refs, err := c.store.append(ctx, c.records)
	if err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.BlobCompactCopied)
	for i := range c.places {
		c.places[i].To = refs[i]
	}
	if err := c.moved(c.places); err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.BlobCompactMoved)
	c.records, c.places, c.bytes = nil, nil, 0
	return nil
}
