package app

import (
	"context"
	"maps"
	"time"

	"relais/internal/config"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/judge"
	"relais/internal/outbound"
	"relais/internal/record"
)

// outboundConfig says how mail leaves.
func outboundConfig(cfg *config.Config) outbound.Config {
	hosts := maps.Clone(cfg.Outbound.SmartHosts)
	if cfg.Outbound.SmartHost != "" {
		if hosts == nil {
			hosts = map[string]string{}
		}
		hosts["*"] = cfg.Outbound.SmartHost
	}
	return outbound.Config{
		Hostname: cfg.Hostname, SmartHosts: hosts, Port: cfg.Outbound.Port, PerDestination: cfg.Outbound.PerDestination,
		Sole: cfg.Embedded(), // a node with an embedded database is alone
	}
}

// ownDomains tells the judge and the signer about the domains of the record.
type ownDomains struct{ store *record.Store }

// OwnMail is what the policy of a domain says on unauthenticated mail that claims to come from it.
func (o ownDomains) OwnMail(ctx context.Context, name string) (judge.OwnMail, error) {
	d, ok, err := o.domain(ctx, name)
	if err != nil || !ok {
		return judge.NotOwn, err
	}
	if d.OwnMail == directory.RefuseOwn {
		return judge.RefuseOwn, nil
	}
	return judge.MarkOwn, nil
}

// SealedKeys are a domain's DKIM keys; nil when it is none of ours.
func (o ownDomains) SealedKeys(ctx context.Context, name string) ([]byte, error) {
	d, ok, err := o.domain(ctx, name)
	if err != nil || !ok {
		return nil, err
	}
	return d.DKIMSealed, nil
}

func (o ownDomains) domain(ctx context.Context, name string) (d directory.Domain, ok bool, err error) {
	err = o.store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		d, err = tx.Directory.Domain(ctx, name)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return d, false, nil
	}
	return d, err == nil, err
}

// housekeepingEvery is how often what has served its time is forgotten.
const housekeepingEvery = time.Hour

// keepJobs is how long ended jobs can still be looked at.
const keepJobs = 7 * 24 * time.Hour

// housekeeping forgets repeats and jobs that are too old to matter, until ctx ends.
func housekeeping(ctx context.Context, store *record.Store) error {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	for {
		err := store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			if err := tx.PruneRepeats(ctx); err != nil {
				return err
			}
			return tx.Jobs.Prune(ctx, tx.Now.Add(-keepJobs))
		})
		if err != nil && !fault.Retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
