package app

import (
	"context"
	"maps"

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
