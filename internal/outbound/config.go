package outbound

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"relais/internal/clock"
	"relais/internal/dns"
	"relais/internal/mail"
	"relais/internal/smtp/smtpclient"
)

// Store opens transactions, reads bodies and tells of new rows; the record is one.
type Store interface {
	Queue(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error
	Body(ctx context.Context, tenant mail.TenantID, hash mail.Hash) ([]byte, error)
	WatchTopic(topic string) (signal <-chan struct{}, stop func())
}

// Resolver finds where mail goes; internal/dns's.
type Resolver interface {
	MX(ctx context.Context, domain string) ([]dns.Exchanger, error)
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
}

// Returner brings a notice back to the sender of a message.
type Returner interface {
	// Return files the notice for n.To, in the mailbox if the address is ours and
	// in the queue with a null sender if not, and runs then in the same
	// transaction. then may run more than once.
	Return(ctx context.Context, n *Notice, then func(ctx context.Context, tx *Tx) error) error
}

// Config says how mail leaves. Hostname is required; zero values get defaults.
type Config struct {
	Hostname       string            // our name for EHLO and in notices
	SmartHosts     map[string]string // HOST:PORT by destination domain, "*" for all others
	Port           int               // of mail exchangers; 25
	PerDestination int               // connections to one destination; 10
	Connections    int               // altogether; 100
	FirstRetry     time.Duration     // doubled at each attempt; 15 s
	LastRetry      time.Duration     // the longest; 1 h
	DelayNotice    time.Duration     // the sender is told once that it takes long; 4 h, negative never
	Lease          time.Duration     // rows of a killed runner are taken again after it; 5 min
	Sole           bool              // no other node sends from this store: rows of a killed run are taken at once
	Grace          time.Duration     // what a dialogue gets to end when the node stops; 5 s
	Dial           smtpclient.Config // timeouts and the dialer; Security "" is Opportunistic
	Clock          clock.Clock
	Log            *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *int
		or    int
	}{{&c.Port, 25}, {&c.PerDestination, 10}, {&c.Connections, 100}} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&c.FirstRetry, 15 * time.Second}, {&c.LastRetry, time.Hour}, {&c.Lease, 5 * time.Minute}, {&c.Grace, 5 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if c.DelayNotice == 0 {
		c.DelayNotice = 4 * time.Hour
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Dial.Hello = c.Hostname
	if c.Dial.Security == "" {
		c.Dial.Security = smtpclient.Opportunistic
	}
	return c
}

// backOff is the time to the next attempt, doubled at each one, with a fifth of
// chance either way so that what failed together does not come back together.
func (c *Config) backOff(attempts int) time.Duration {
	d := c.FirstRetry
	for range attempts - 1 {
		if d *= 2; d >= c.LastRetry {
			d = c.LastRetry
			break
		}
	}
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // no secret
}
