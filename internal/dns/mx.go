package dns

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	moxdns "github.com/mjl-/mox/dns"

	"relais/internal/fault"
)

// ErrNullMX says that the domain takes no mail at all (RFC 7505).
var ErrNullMX = errors.New("null MX")

// Exchanger is a host that takes a domain's mail.
type Exchanger struct {
	Host       string // ASCII, lower case, without final dot
	Preference uint16 // the lowest is tried first
}

// MX returns the hosts that take mail for domain (A-labels, no final dot), in
// the order to try them; equal preferences are shuffled to spread the load (RFC
// 5321 §5.1). A domain without MX records but with a name is its own exchanger.
//
// Errors: fault.NotFound when the domain does not exist, fault.Denied around
// ErrNullMX, fault.Unavailable when the resolvers do not answer.
func (r *Resolver) MX(ctx context.Context, domain string) ([]Exchanger, error) {
	a, err := r.query(ctx, domain, dns.TypeMX)
	switch {
	case moxdns.IsNotFound(err) || err == nil && !a.exists:
		return nil, fault.New(fault.NotFound, "domain %s does not exist", domain)
	case err != nil:
		return nil, fault.Wrap(err, fault.Unavailable, "the mail exchangers of %s cannot be looked up", domain)
	case len(a.records) == 0:
		return []Exchanger{{Host: domain}}, nil
	}
	var out []Exchanger
	for _, rr := range a.records {
		mx := rr.(*dns.MX)
		host := strings.ToLower(strings.TrimSuffix(mx.Mx, "."))
		if host == "" {
			if len(a.records) == 1 {
				return nil, fault.Wrap(ErrNullMX, fault.Denied, "domain %s takes no mail", domain)
			}
			continue // RFC 7505 §3: a null MX beside others is a mistake; the others count
		}
		out = append(out, Exchanger{host, mx.Preference})
	}
	//nolint:gosec // spreading load needs no secret
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(a, b Exchanger) int { return int(a.Preference) - int(b.Preference) })
	return out, nil
}

// Addresses returns the IP addresses of host, IPv4 and IPv6 alternating with
// IPv6 first (RFC 8305 §4). One family is enough when the other's lookup fails.
// Errors: fault.NotFound when there are none, fault.Unavailable.
func (r *Resolver) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	v4, v6 := r.bothFamilies(ctx, "ip", host)
	var out []netip.Addr
	for i := range max(len(v4.ips), len(v6.ips)) {
		for _, f := range []family{v6, v4} {
			if i < len(f.ips) {
				if ip, ok := netip.AddrFromSlice(f.ips[i]); ok {
					out = append(out, ip.Unmap())
				}
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, f := range []family{v4, v6} {
		if !moxdns.IsNotFound(f.err) {
			return nil, fault.Wrap(f.err, fault.Unavailable, "the addresses of %s cannot be looked up", host)
		}
	}
	return nil, fault.New(fault.NotFound, "host %s has no address", host)
}
