// Package dns asks a company's own resolvers for names, remembers the answers, and says at once when no resolver answers.
//
// It speaks RFC 1035 over UDP with EDNS(0) (RFC 6891) and falls back to TCP for
// truncated answers (RFC 7766). Answers are kept for their TTL, denials as RFC
// 2308 says, failures shortly (RFC 9520). It validates no DNSSEC itself: the AD
// bit is believed only of resolvers on loopback (RFC 6840 §5.8).
//
// Mail must not wait for a resolver that is dead: a silent server is probed
// beside the questions that wait for it, and once it is found dead every lookup
// fails immediately with a temporary error until a probe in the background is
// answered.
package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"

	"relais/internal/clock"
)

// ErrUnreachable says that no resolver answers at present. It is the cause of a
// temporary *adns.DNSError or of a fault.Unavailable.
var ErrUnreachable = errors.New("no DNS resolver answers")

// Config says whom to ask and how patiently. The zero value works.
type Config struct {
	Servers []string      // HOST or HOST:PORT of recursive resolvers, tried in this order; none: those of /etc/resolv.conf
	Timeout time.Duration // of one question, all tries together; 5 s
	Entries int           // answers kept at most; 20,000
	Clock   clock.Clock   // for TTLs; the system's
	Log     *slog.Logger
}

const resolvConf = "/etc/resolv.conf"

// withDefaults fills in what was left out and gives every server a port.
func (c Config) withDefaults() (Config, error) {
	if len(c.Servers) == 0 {
		system, err := dns.ClientConfigFromFile(resolvConf)
		if err != nil {
			return c, fmt.Errorf("read %s: %w", resolvConf, err)
		}
		for _, s := range system.Servers {
			c.Servers = append(c.Servers, net.JoinHostPort(s, system.Port))
		}
		if len(c.Servers) == 0 {
			c.Servers = []string{"127.0.0.1:53"} // resolv.conf(5): none named means the local machine
		}
	}
	servers := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(s, "53")
		}
		servers[i] = s
	}
	c.Servers = servers
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Entries <= 0 {
		c.Entries = 20_000
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Resolver answers lookups. It implements the Resolver interface of
// github.com/mjl-/mox/dns, which the SPF and DMARC packages take. Safe for
// concurrent use; Close ends its probes.
type Resolver struct {
	config  Config
	servers []*server
	trusted bool // every server is on loopback: its AD bit is believed
	cache   *cache
	asking  singleflight.Group
	probes  sync.WaitGroup
	stop    context.CancelFunc
}

// New makes a resolver and begins to find out in the background which servers answer.
func New(config Config) (*Resolver, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Resolver{config: config, cache: newCache(config.Entries), trusted: true, stop: stop}
	for _, addr := range config.Servers {
		host, _, _ := net.SplitHostPort(addr)
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			r.trusted = false
		}
		s := newServer(ctx, addr, &r.probes, config.Log)
		r.servers = append(r.servers, s)
		s.suspect()
	}
	return r, nil
}

// Close ends the probes; lookups under way fail as temporary.
func (r *Resolver) Close() error {
	r.stop()
	r.probes.Wait()
	return nil
}

// Reachable tells whether at least one server is not known to be dead.
func (r *Resolver) Reachable() bool {
	for _, s := range r.servers {
		if s.alive() {
			return true
		}
	}
	return false
}
