package app

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// stopWithin is the longest that all clean-ups may take together: serve promises
// to end within ten seconds of SIGTERM.
const stopWithin = 9 * time.Second

// cleanups are named steps that undo what was started, run in reverse order.
type cleanups struct {
	log   *slog.Logger
	steps []step
}

type step struct {
	name string
	run  func(context.Context) error
}

func (c *cleanups) add(name string, run func(context.Context) error) {
	c.steps = append(c.steps, step{name, run})
}

// run undoes everything, last first. A step that fails or hangs does not keep
// the others from their turn.
func (c *cleanups) run() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	for i := len(c.steps) - 1; i >= 0; i-- {
		s := c.steps[i]
		done := make(chan error, 1)
		go func() { done <- s.run(ctx) }()
		select {
		case err := <-done:
			if err != nil {
				c.log.Warn("clean-up failed", "step", s.name, "err", err)
			}
		case <-ctx.Done():
			c.log.Warn("clean-up takes too long, left alone", "step", s.name)
		}
	}
}

// group runs the node's long-lived parts. The first that fails ends the node.
type group struct {
	ctx    context.Context // ends when the parts shall
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// start runs one part until the group's context ends.
func (g *group) start(name string, run func(context.Context) error) {
	g.wg.Go(func() {
		if err := run(g.ctx); err != nil && g.ctx.Err() == nil {
			g.cancel(&partError{name, err})
		}
	})
}

// stop ends all parts and waits for them.
func (g *group) stop(context.Context) error {
	g.cancel(nil)
	g.wg.Wait()
	return nil
}

// partError says which part of the node failed.
type partError struct {
	part string
	err  error
}

// Error is "part: error".
func (e *partError) Error() string { return e.part + ": " + e.err.Error() }

// Unwrap gives the part's error.
func (e *partError) Unwrap() error { return e.err }
