package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"relais/internal/crashpoint"
	"relais/internal/db"
	"relais/internal/fault"
)

// autoCheckpointPages bounds the log at 16 MB under a load that never pauses.
// SQLite's own 1,000 pages cost 15 % more CPU per message filed; above 4,000
// nothing is gained and readers have more log to look through.
const autoCheckpointPages = 4000

// idleBeforeCheckpoint is how long nothing must be written before the log is
// brought back into the file.
const idleBeforeCheckpoint = 200 * time.Millisecond

// The states of a request: a caller whose context ends may only leave while waiting.
const (
	waiting int32 = iota
	taken
	left
)

// request is one Update on its way to the writer.
type request struct {
	ctx   context.Context
	fn    func(ctx context.Context, tx db.Tx) error
	state atomic.Int32
	done  chan error // cap 1
}

// Update queues fn for the writer and waits until it is durable or failed.
func (e *Engine) Update(ctx context.Context, fn func(ctx context.Context, tx db.Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case <-e.closing: // looked at first: both may be ready
		return errClosed()
	default:
	}
	select {
	case e.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closing:
		return errClosed()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
		return <-r.done
	case <-e.written:
		// The writer's last round answers all that it saw; one that slipped in after is refused here.
		if r.state.CompareAndSwap(waiting, left) {
			return errClosed()
		}
		return <-r.done
	}
}

// writer runs groups on its connection.
type writer struct {
	*session
	cfg    Config
	group  []*request // members of the present group, in order
	errs   []error    // what each member's function returned
	filled bool       // written since the last checkpoint
}

// write is the writer's goroutine: it ends when closing, after what is queued.
func (e *Engine) write(w *writer) {
	defer close(e.written)
	defer w.close()
	idle := time.NewTimer(idleBeforeCheckpoint)
	defer idle.Stop()
	for {
		select {
		case r := <-e.requests:
			w.commitGroup(r, e.requests)
			idle.Reset(idleBeforeCheckpoint)
		case <-idle.C:
			w.checkpoint()
		case <-e.closing:
			for {
				select {
				case r := <-e.requests:
					w.commitGroup(r, e.requests)
				default:
					w.checkpoint()
					return
				}
			}
		}
	}
}

// commitGroup runs first and what waits behind it in one transaction. Members
// come in the order they were queued; more may join while it runs.
func (w *writer) commitGroup(first *request, more <-chan *request) {
	w.group, w.errs = w.group[:0], w.errs[:0]
	if first.state.CompareAndSwap(waiting, taken) {
		w.group = append(w.group, first)
	}
	w.gather(more)
	switch len(w.group) {
	case 0:
		return
	case 1:
		w.answer(w.group[0], w.alone(w.group[0]))
		return
	}
	if err := w.together(more); err != nil {
		w.cfg.Log.Warn("group commit failed, trying each alone", "members", len(w.group), "err", err)
		for _, r := range w.group {
			w.answer(r, w.alone(r))
		}
		return
	}
	for i, r := range w.group {
		w.answer(r, w.errs[i])
	}
}

// gather takes what waits right now.
func (w *writer) gather(more <-chan *request) {
	for len(w.group) < w.cfg.GroupSize {
		select {
		case r := <-more:
			if r.state.CompareAndSwap(waiting, taken) {
				w.group = append(w.group, r)
			}
		default:
			return
		}
	}
}

// together runs the group in one transaction, each member in its savepoint. An
// error means that nothing of the group is durable.
func (w *writer) together(more <-chan *request) (err error) {
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	until := time.Now().Add(w.cfg.GroupTime)
	for i := 0; i < len(w.group); i++ {
		if err := w.member(w.group[i]); err != nil {
			w.rollback()
			return err
		}
		if i == len(w.group)-1 && time.Now().Before(until) {
			w.gather(more)
		}
	}
	return w.commit()
}

// member runs one function in a savepoint and keeps its error; its own return
// value says that the whole transaction is lost.
func (w *writer) member(r *request) error {
	if err := w.run("SAVEPOINT member"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	err := call(r, w.session)
	if err != nil {
		// A full disk or an I/O error may have ended the transaction: then this fails.
		if err := w.run("ROLLBACK TO member"); err != nil {
			return fmt.Errorf("undo one member: %w", err)
		}
	}
	w.errs = append(w.errs, err)
	if err := w.run("RELEASE member"); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// alone runs one function in a transaction of its own, without a savepoint.
func (w *writer) alone(r *request) error {
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		return storageFault(fmt.Errorf("begin: %w", err))
	}
	if err := call(r, w.session); err != nil {
		w.rollback()
		return err
	}
	return storageFault(w.commit())
}

func (w *writer) commit() error {
	crashpoint.Hit(crashpoint.DBBeforeCommit)
	if err := w.run("COMMIT"); err != nil {
		w.rollback()
		return fmt.Errorf("commit: %w", err)
	}
	w.filled = true
	crashpoint.Hit(crashpoint.DBAfterCommit)
	return nil
}

// rollback fails only where the engine has ended the transaction by itself.
func (w *writer) rollback() { _ = w.run("ROLLBACK") }

// checkpoint copies the log into the file without waiting for readers.
func (w *writer) checkpoint() {
	if !w.filled {
		return
	}
	w.filled = false
	if err := w.run("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		w.cfg.Log.Warn("checkpoint", "err", err)
	}
}

func (w *writer) answer(r *request, err error) { r.done <- err }

// call runs the function; a panic in it becomes its error and does not end the writer.
func call(r *request, s *session) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), fault.Internal, "internal error")
		}
	}()
	return r.fn(r.ctx, &tx{session: s, ctx: r.ctx})
}

func storageFault(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	if isFull(err) {
		return fault.Wrap(err, fault.Temporary, "the disk is full")
	}
	return fault.Wrap(err, fault.Temporary, "the database could not store this")
}
