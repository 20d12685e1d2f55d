package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/internal/mail"
)

// problem is a wrong value, by its dotted key.
type problem struct{ key, text string }

// checker gathers problems.
type checker struct{ found []problem }

func (k *checker) fail(key, format string, args ...any) {
	k.found = append(k.found, problem{key, fmt.Sprintf(format, args...)})
}

// problems lists what the decoder cannot see: values of the right type that make no sense.
func (c *Config) problems() []problem {
	k := &checker{}
	if c.Hostname == "" {
		k.fail("hostname", "is missing; want this node's full name such as \"relais.example.com\"")
	} else if _, err := mail.Domain(c.Hostname); err != nil || strings.ContainsAny(c.Hostname, " @/:") {
		k.fail("hostname", "%q is no host name; want a name such as \"relais.example.com\"", c.Hostname)
	}
	k.store(c.Store)
	k.fileURL("packs", c.Packs)
	k.fileURL("keys", c.Keys)

	for _, l := range c.Listeners() {
		if l.Addr != "" {
			k.listener("listen."+l.Name, l.Addr)
		}
	}
	k.collisions(c.Listeners())
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		k.fail("tls.cert", "want both cert and key, or neither")
	}
	for _, s := range c.SignIn.Exempt {
		if _, err := netip.ParsePrefix(s); err != nil {
			k.fail("sign_in.exempt", "%q: want networks such as \"127.0.0.0/8\"", s)
		}
	}
	for _, s := range c.DNS.Servers {
		k.target("dns.servers", s)
	}
	k.duration("dns.timeout", c.DNS.Timeout)

	k.number("limits.recipients", c.Limits.Recipients, 100, 100_000) // RFC 5321 §4.5.3.1.8: at least 100
	k.number("limits.connections", c.Limits.Connections, 1, 1_000_000)
	k.number("limits.connections_per_address", c.Limits.ConnectionsPerAddress, 1, 1_000_000)
	if z := c.Limits.MessageSize; z < 64<<10 || z > 1<<30 {
		k.fail("limits.message_size", "%s: want 64KiB to 1GiB", z)
	}

	if c.Outbound.SmartHost != "" {
		k.target("outbound.smart_host", c.Outbound.SmartHost)
	}
	for _, d := range slices.Sorted(maps.Keys(c.Outbound.SmartHosts)) {
		k.target("outbound.smart_hosts."+d, c.Outbound.SmartHosts[d])
	}
	k.number("outbound.port", c.Outbound.Port, 1, 65535)
	k.number("outbound.per_destination", c.Outbound.PerDestination, 1, 1000)
	k.duration("outbound.give_up_after", c.Outbound.GiveUpAfter)

	k.duration("mirror.look_back", c.Mirror.LookBack)
	k.number("mirror.connections", c.Mirror.Connections, 1, 1000)

	k.number("breaker.account_messages", c.Breaker.AccountMessages, 1, 1_000_000_000)
	k.number("breaker.account_hour_percent", c.Breaker.AccountHourPercent, 1, 100)
	k.number("breaker.account_week_percent", c.Breaker.AccountWeekPercent, 1, 100)
	k.number("breaker.tenant_messages", c.Breaker.TenantMessages, 1, 1_000_000_000)
	k.number("breaker.tenant_hour_percent", c.Breaker.TenantHourPercent, 1, 100)

	k.duration("continuity.probe_every", c.Continuity.ProbeEvery)
	k.duration("continuity.probe_timeout", c.Continuity.ProbeTimeout)
	k.duration("continuity.round_trip_every", c.Continuity.RoundTripEvery)
	k.number("continuity.fail_after", c.Continuity.FailAfter, 1, 100)
	for _, r := range c.Continuity.References {
		k.target("continuity.references", r)
	}
	if len(c.Continuity.References) == 1 {
		k.fail("continuity.references", "one is not enough, two must answer; want two or more, or none")
	}
	k.alarm(c.Alarm)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	return k.found
}

func (k *checker) store(s string) {
	kind, rest, _ := strings.Cut(s, ":")
	switch {
	case kind == "sqlite" && rest != "":
	case kind == "postgres" || kind == "postgresql":
		if u, err := url.Parse(s); err != nil || u.Host == "" && u.Query().Get("host") == "" {
			k.fail("store", "want postgres://USER:PASSWORD@HOST:PORT/DATABASE")
		}
	default:
		// The value is not repeated: a misspelt URL may hold a password.
		k.fail("store", "want sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
}

func (k *checker) fileURL(key, s string) {
	if p, ok := strings.CutPrefix(s, "file:"); !ok || p == "" {
		k.fail(key, "%q: want file:PATH", s)
	}
}

func (k *checker) listener(key, s string) {
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 && host == "" {
		k.fail(key, "%q: want HOST:PORT or :PORT, or \"\" for none", s)
	}
}

// collisions finds two listeners on one address, which would fail only when both are opened.
func (k *checker) collisions(ls []Listener) {
	seen := map[string]string{}
	for _, l := range ls {
		if l.Addr == "" || strings.HasSuffix(l.Addr, ":0") {
			continue
		}
		if other, ok := seen[l.Addr]; ok {
			k.fail("listen."+l.Name, "%q is the address of %s already", l.Addr, other)
		}
		seen[l.Addr] = l.Name
	}
}

func (k *checker) target(key, s string) {
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 {
		k.fail(key, "%q: want HOST:PORT", s)
	}
}

func (k *checker) duration(key string, d Duration) {
	// A bare number is read as nanoseconds: nobody means that.
	if time.Duration(d) < time.Millisecond {
		k.fail(key, "want %s", wantDuration)
	}
}

func (k *checker) number(key string, n, low, high int) {
	if n < low || n > high {
		k.fail(key, "%d: want %d to %d", n, low, high)
	}
}

func (k *checker) oneOf(key, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		k.fail(key, "%q: want one of %s", s, strings.Join(allowed, ", "))
	}
}

func (k *checker) alarm(a Alarm) {
	for _, s := range a.To {
		if addr, err := mail.ParseAddress(s); err != nil || addr.IsNull() {
			k.fail("alarm.to", "%q: want e-mail addresses outside the domains that Relais protects", s)
		}
	}
	if a.From != "" {
		if addr, err := mail.ParseAddress(a.From); err != nil || addr.IsNull() {
			k.fail("alarm.from", "%q: want an e-mail address", a.From)
		}
	}
	if a.SmartHost != "" {
		k.target("alarm.smart_host", a.SmartHost)
	}
	if a.Webhook != "" {
		if u, err := url.Parse(a.Webhook); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			k.fail("alarm.webhook", "want an http:// or https:// address")
		}
	}
}

// Listener is one listener's name (its key in [listen]) and address.
type Listener struct{ Name, Addr string }

// Listeners lists the listeners in the order of the file.
func (c *Config) Listeners() []Listener {
	l := c.Listen
	return []Listener{
		{"mx", l.MX}, {"submission", l.Submission}, {"submissions", l.Submissions}, {"imap", l.IMAP},
		{"imaps", l.IMAPS}, {"http", l.HTTP}, {"https", l.HTTPS}, {"metrics", l.Metrics},
	}
}
