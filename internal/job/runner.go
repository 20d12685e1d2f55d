package job

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/fault"
)

// Handler does the work of one kind of job. An error for which fault.Retryable
// holds, or one without a code, is tried again; others end the job.
type Handler func(ctx context.Context, j Job) error

// Store opens transactions and tells of new jobs; the record is one.
type Store interface {
	Jobs(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error
	WatchTopic(topic string) (signal <-chan struct{}, stop func())
}

// RunnerConfig says how jobs are run. Zero values get defaults.
type RunnerConfig struct {
	Workers     int           // jobs at once; default 4
	Lease       time.Duration // how long a job may take before another node takes it; default 5 min
	MaxAttempts int           // then it is given up; default 20
	FirstRetry  time.Duration // doubled at each attempt; default 1 s
	LastRetry   time.Duration // the longest; default 1 h
	Clock       clock.Clock
	Log         *slog.Logger
}

func (c *RunnerConfig) ensureDefaults() {
	if c.Workers == 0 {
		c.Workers = 4
	}
	if c.Lease == 0 {
		c.Lease = 5 * time.Minute
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 20
	}
	if c.FirstRetry == 0 {
		c.FirstRetry = time.Second
	}
	if c.LastRetry == 0 {
		c.LastRetry = time.Hour
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Runner runs jobs.
type Runner struct {
	cfg      RunnerConfig
	store    Store
	handlers map[string]Handler
}

// NewRunner makes a runner with a handler per kind.
func NewRunner(cfg RunnerConfig, store Store, handlers map[string]Handler) *Runner {
	cfg.ensureDefaults()
	return &Runner{cfg: cfg, store: store, handlers: handlers}
}

// Run runs jobs as they become due, until ctx ends; then it waits for those under way.
func (r *Runner) Run(ctx context.Context) {
	signal, stop := r.store.WatchTopic(Topic)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, r.cfg.Workers)
	for range r.cfg.Workers {
		free <- struct{}{}
	}
	for {
		select {
		case <-free:
		case <-ctx.Done():
			return
		}
		j, wait, err := r.next(ctx)
		if err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("claim a job", "err", err)
		}
		if j == nil {
			free <- struct{}{}
			if !pause(ctx, signal, wait) {
				return
			}
			continue
		}
		wg.Go(func() {
			defer func() { free <- struct{}{} }()
			r.run(ctx, *j)
		})
	}
}

// pause waits for a new job, for the time when one becomes due, or for the end.
func pause(ctx context.Context, signal <-chan struct{}, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-signal:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// next claims one job; nil with the time to wait when none is due.
func (r *Runner) next(ctx context.Context) (*Job, time.Duration, error) {
	var j *Job
	wait := time.Minute
	err := r.store.Jobs(ctx, func(ctx context.Context, tx *Tx) error {
		j, wait = nil, time.Minute
		jobs, err := tx.Claim(ctx, 1, r.cfg.Lease)
		if err != nil {
			return err
		}
		if len(jobs) > 0 {
			j = &jobs[0]
			return nil
		}
		at, err := tx.NextDue(ctx)
		if err == nil && !at.IsZero() {
			wait = min(wait, max(at.Sub(tx.Now), time.Millisecond))
		}
		return err
	})
	if err != nil {
		return nil, time.Second, err
	}
	return j, wait, nil
}

func (r *Runner) run(ctx context.Context, j Job) {
	work, cancel := context.WithTimeout(ctx, r.cfg.Lease)
	err := r.call(work, j)
	cancel()
	if ctx.Err() != nil && err != nil {
		return // the node ends; the lease brings the job back
	}
	end := r.store.Jobs(ctx, func(ctx context.Context, tx *Tx) error {
		switch {
		case err == nil:
			return tx.Done(ctx, j.ID)
		case j.Attempts >= r.cfg.MaxAttempts || !retryable(err):
			return tx.Fail(ctx, j.ID, err.Error())
		default:
			return tx.Retry(ctx, j.ID, r.cfg.Clock.Now().Add(r.backOff(j.Attempts)), err.Error())
		}
	})
	if err != nil || end != nil {
		r.cfg.Log.Warn("job", "kind", j.Kind, "job", j.ID, "attempt", j.Attempts, "err", err, "end", end)
	}
}

func (r *Runner) call(ctx context.Context, j Job) (err error) {
	h, ok := r.handlers[j.Kind]
	if !ok {
		return fault.New(fault.Invalid, "no handler for jobs of kind %q", j.Kind)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, j)
}

func retryable(err error) bool { return fault.Retryable(err) || fault.Is(err, fault.Internal) }

func (r *Runner) backOff(attempts int) time.Duration {
	d := r.cfg.FirstRetry
	for range attempts - 1 {
		if d *= 2; d >= r.cfg.LastRetry {
			return r.cfg.LastRetry
		}
	}
	return d
}
