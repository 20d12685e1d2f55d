package blob

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"relais/internal/crashpoint"
	"relais/internal/fault"
)

// A group takes what waits up to these bounds, so that a flood of large bodies
// does not make the first of them wait for all. At least one batch is taken.
const (
	groupBytes   = 16 << 20
	groupRecords = 512
)

// batch is what one Append waits for: its records, then their places or an error.
type batch struct {
	records [][]byte
	bytes   int64
	refs    []Ref
	err     error
	done    chan struct{} // closed when refs or err is set
}

// queue gathers batches while the writer is busy with the group before.
type queue struct {
	mu      sync.Mutex
	waiting []*batch
	stopped bool
	wake    chan struct{} // holds one token when there may be something to do
	ended   chan struct{}
}

// start runs the writer, which hands one group after the other to commit until stop.
func (q *queue) start(commit func([]*batch)) {
	q.wake = make(chan struct{}, 1)
	q.ended = make(chan struct{})
	go func() {
		defer close(q.ended)
		for range q.wake {
			for group := q.take(); len(group) > 0; group = q.take() {
				commit(group)
			}
			q.mu.Lock()
			over := q.stopped && len(q.waiting) == 0
			q.mu.Unlock()
			if over {
				return
			}
		}
	}()
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// add hands a batch to the writer; false when it was stopped.
func (q *queue) add(b *batch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return false
	}
	q.waiting = append(q.waiting, b)
	q.nudge()
	return true
}

// take removes the next group.
func (q *queue) take() []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size, records := 0, int64(0), 0
	for n < len(q.waiting) && (n == 0 || size+q.waiting[n].bytes <= groupBytes && records+len(q.waiting[n].records) <= groupRecords) {
		size += q.waiting[n].bytes
		records += len(q.waiting[n].records)
		n++
	}
	group := q.waiting[:n:n]
	if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	return group
}

// stop refuses new batches and returns when the last one is done.
func (q *queue) stop() {
	q.mu.Lock()
	q.stopped = true
	q.nudge()
	q.mu.Unlock()
	<-q.ended
}

// Append implements Store.
func (s *Packs) Append(ctx context.Context, puts []Put) ([]Ref, error) {
	if len(puts) == 0 {
		return nil, ctx.Err()
	}
	records := make([][]byte, 0, len(puts))
	for i := range puts {
		p := &puts[i]
		one := [1]segment{{kind: segInline, inline: p.Body}}
		record, err := s.coder.seal(ctx, p.Tenant, p.Hash, int64(len(p.Body)), one[:])
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return s.append(ctx, records)
}

// append stores finished records. It takes over their buffers.
func (s *Packs) append(ctx context.Context, records [][]byte) ([]Ref, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &batch{records: records, done: make(chan struct{})}
	for _, r := range records {
		b.bytes += int64(len(r))
	}
	if !s.queue.add(b) {
		return nil, errClosed
	}
	select {
	case <-b.done:
		return b.refs, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// commit writes a group behind the newest pack, syncs it once and tells the
// callers. Only the writer calls it.
func (s *Packs) commit(group []*batch) {
	var bufs [][]byte
	for _, b := range group {
		bufs = append(bufs, b.records...)
	}
	p, off, err := s.write(bufs)
	for _, b := range group {
		if err != nil {
			b.err = fault.Wrap(err, fault.Temporary, "%s", why(err))
		} else {
			b.refs = make([]Ref, len(b.records))
			for i, r := range b.records {
				b.refs[i] = Ref{p.number, off, int64(len(r))}
				off += int64(len(r))
			}
		}
		for _, r := range b.records {
			s.coder.release(r)
		}
		b.records = nil
		close(b.done)
	}
}

func why(err error) string {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return "there is no room left to store messages"
	}
	return "messages cannot be stored at the moment"
}

// write makes the records durable and returns where the first lies. After an
// error none of them counts.
func (s *Packs) write(bufs [][]byte) (*pack, int64, error) {
	p, err := s.grow()
	if err != nil {
		return nil, 0, err
	}
	start, size := p.end.Load(), int64(0)
	for _, b := range bufs {
		size += int64(len(b))
	}
	crashpoint.Hit(crashpoint.BlobBeforeWrite)
	if err := p.file.WriteV(bufs, start); err != nil {
		if terr := p.file.Truncate(start); terr != nil {
			s.abandon(p, terr)
		}
		return nil, 0, fmt.Errorf("write to pack %d: %w", p.number, err)
	}
	crashpoint.Hit(crashpoint.BlobAfterWrite)
	if err := p.file.Sync(); err != nil {
		s.abandon(p, err)
		// Best effort: should it fail, the tail is reported by Check and no row names it.
		if terr := p.file.Truncate(start); terr != nil {
			s.cfg.Log.Warn("the tail of an abandoned pack stays", "pack", p.number, "err", terr)
		}
		return nil, 0, fmt.Errorf("sync pack %d: %w", p.number, err)
	}
	crashpoint.Hit(crashpoint.BlobAfterSync)
	s.mu.Lock()
	p.written = s.cfg.Clock.Now()
	s.mu.Unlock()
	p.end.Store(start + size)
	return p, start, nil
}

// abandon seals a pack to which nothing can be appended safely any more: after a
// failed sync the kernel may hold as clean what never reached the disk, so a
// second sync that succeeds would prove nothing.
func (s *Packs) abandon(p *pack, err error) {
	s.cfg.Log.Error("a pack is abandoned after a failure", "pack", p.number, "offset", p.end.Load(), "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = nil
}
