// Package record is the union of the stores: one transaction over all tables, with the bodies beside it.
//
// Doors and assembly open transactions here. What changed is told to watchers
// once it is durable. A message comes in by File: its body first, synced together
// with those that arrive at the same moment, then all its rows in one transaction.
package record

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"relais/internal/audit"
	"relais/internal/blob"
	"relais/internal/clock"
	"relais/internal/continuity"
	"relais/internal/db"
	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/job"
	"relais/internal/link"
	"relais/internal/mailbox"
	"relais/internal/outbound"
)

// The topics that WatchTopic knows, besides duty.Topic and job.Topic.
const (
	TopicDirectory  = "directory"      // tenants, domains, people or groups changed
	TopicQueue      = "queue"          // mail to the outside waits
	TopicContinuity = continuity.Topic // a state, a primary, a freeze or a question changed
)

// Bodies is what the record needs of the blob store.
type Bodies interface {
	Append(ctx context.Context, puts []blob.Put) ([]blob.Ref, error)
	blobReader
}

// Config says what a Store is made of.
type Config struct {
	Engine db.Engine
	Bodies Bodies
	Clock  clock.Clock  // nil: the system's
	Log    *slog.Logger // nil: none
}

// Store is the record. Safe for concurrent use.
type Store struct {
	cfg     Config
	watches watches
}

var _ job.Store = (*Store)(nil)

// Open makes a Store over an open engine and open packs; closing them stays with the caller.
func Open(cfg Config) *Store {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{cfg: cfg}
}

// Engine is the database below, for those who need no more than it.
func (s *Store) Engine() db.Engine { return s.cfg.Engine }

// Tx is one transaction over all tables. Now is the same throughout.
type Tx struct {
	DB         db.Tx
	Now        time.Time
	Directory  *directory.Tx
	Mailbox    *mailbox.Tx
	Duty       *duty.Tx
	Link       *link.Tx
	Jobs       *job.Tx
	Outbound   *outbound.Tx
	Continuity *continuity.Tx
	Audit      *audit.Tx

	touched *db.Touched
}

// Signal wakes the watchers of a topic once the transaction is durable.
func (tx *Tx) Signal(topic string) { tx.touched.Topic(topic) }

// As names who makes the changes of the rest of this transaction.
func (tx *Tx) As(actor string) { tx.Mailbox.Actor = actor }

func (s *Store) in(tx db.Tx) *Tx {
	now, touched := s.cfg.Clock.Now(), new(db.Touched)
	return &Tx{
		DB: tx, Now: now, touched: touched,
		Directory:  directory.In(tx, now, touched),
		Mailbox:    mailbox.In(tx, now, touched),
		Duty:       duty.In(tx, now, touched),
		Link:       link.In(tx, now),
		Jobs:       job.In(tx, now, touched),
		Outbound:   outbound.In(tx, now, touched),
		Continuity: continuity.In(tx, now, touched),
		Audit:      audit.In(tx, now),
	}
}

// Update runs fn in a read-write transaction, returns once it is durable, and
// wakes the watchers of what it changed. fn may run more than once: it must not
// act outside tx, and starts from nothing at each run.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	var touched *db.Touched
	err := s.cfg.Engine.Update(ctx, func(ctx context.Context, dtx db.Tx) error {
		tx := s.in(dtx)
		touched = tx.touched
		return fn(ctx, tx)
	})
	if err == nil || errors.Is(err, db.ErrUnknownOutcome) { // then it may be durable
		s.watches.wake(touched)
	}
	return err
}

// View runs fn on a snapshot. Don't nest views, nor wait in one for a peer: it
// holds one of a few readers.
func (s *Store) View(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return s.cfg.Engine.View(ctx, func(ctx context.Context, dtx db.Tx) error {
		return fn(ctx, s.in(dtx))
	})
}

// Jobs is Update for the job runner.
func (s *Store) Jobs(ctx context.Context, fn func(ctx context.Context, tx *job.Tx) error) error {
	return s.Update(ctx, func(ctx context.Context, tx *Tx) error { return fn(ctx, tx.Jobs) })
}

// Queue is Update for the outbound runner.
func (s *Store) Queue(ctx context.Context, fn func(ctx context.Context, tx *outbound.Tx) error) error {
	return s.Update(ctx, func(ctx context.Context, tx *Tx) error { return fn(ctx, tx.Outbound) })
}
