package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"relais/internal/dns"
	"relais/internal/fault"
)

// route is where a message goes next: to a fixed host, or to the exchangers of a domain.
type route struct {
	host   string // HOST:PORT of a smart host
	domain string // U-labels; "" with a smart host
}

// hop is one address to try.
type hop struct {
	name string // of the host, for words
	addr string // IP:PORT
}

func (h hop) String() string { return h.name + " [" + h.addr + "]" }

// maxHops is how many addresses one attempt tries.
const maxHops = 6

// routeOf is the row's own way, the smart host of its domain, the smart host of
// all domains, or the domain's exchangers.
func (c *Config) routeOf(it Item) route {
	for _, host := range []string{it.Via, c.SmartHosts[it.Domain], c.SmartHosts["*"]} {
		if host != "" {
			return route{host: host}
		}
	}
	return route{domain: it.Domain}
}

// hops lists the addresses to try, best first. Errors: fault.NotFound and
// fault.Denied are for good, others pass.
func (r *Runner) hops(ctx context.Context, to route) ([]hop, error) {
	if to.host != "" {
		host, port, err := net.SplitHostPort(to.host)
		if err != nil {
			return nil, fault.Wrap(err, fault.Temporary, "smart host %q: want HOST:PORT", to.host)
		}
		return r.at(ctx, host, port)
	}
	port := strconv.Itoa(r.config.Port)
	if ip, ok := literal(to.domain); ok {
		return []hop{{to.domain, net.JoinHostPort(ip.String(), port)}}, nil
	}
	domain, err := idna.Lookup.ToASCII(to.domain)
	if err != nil {
		domain = to.domain
	}
	exchangers, err := r.resolver.MX(ctx, domain)
	if err != nil {
		return nil, err
	}
	if exchangers, err = r.beforeUs(exchangers, domain); err != nil {
		return nil, err
	}
	var out []hop
	var last error
	for _, x := range exchangers {
		if len(out) >= maxHops {
			break
		}
		hops, err := r.at(ctx, x.Host, port)
		if err != nil {
			last = err
			continue
		}
		out = append(out, hops...)
	}
	if len(out) > 0 {
		return out[:min(len(out), maxHops)], nil
	}
	if fault.Is(last, fault.NotFound) && (len(exchangers) > 1 || exchangers[0].Host != domain) {
		// An exchanger without address may be a mistake that is mended tomorrow; a domain
		// without exchanger and address takes no mail.
		last = fault.Wrap(last, fault.Temporary, "no exchanger of %s has an address", domain)
	}
	return nil, last
}

// at lists the addresses of one host.
func (r *Runner) at(ctx context.Context, host, port string) ([]hop, error) {
	if host == "localhost" { // RFC 6761 §6.3: never asked of DNS
		return []hop{{host, net.JoinHostPort("127.0.0.1", port)}}, nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []hop{{host, net.JoinHostPort(host, port)}}, nil
	}
	ips, err := r.resolver.Addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	out := make([]hop, len(ips))
	for i, ip := range ips {
		out[i] = hop{host, net.JoinHostPort(ip.String(), port)}
	}
	return out, nil
}

var errLoop = errors.New("we are its best exchanger")

// beforeUs keeps the exchangers that are better than ourselves: mail given to an
// equal or worse one would come back (RFC 5321 §5.1).
func (r *Runner) beforeUs(exchangers []dns.Exchanger, domain string) ([]dns.Exchanger, error) {
	for _, us := range exchangers {
		if !strings.EqualFold(us.Host, r.config.Hostname) {
			continue
		}
		for i, x := range exchangers {
			if x.Preference >= us.Preference {
				exchangers = exchangers[:i]
				break
			}
		}
		break
	}
	if len(exchangers) == 0 {
		return nil, fault.Wrap(errLoop, fault.Denied, "mail for %s loops back to this server", domain)
	}
	return exchangers, nil
}

// literal reads an address literal (RFC 5321 §4.1.3).
func literal(domain string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(domain, "[")
	if !ok {
		return netip.Addr{}, false
	}
	inner = strings.TrimSuffix(inner, "]")
	if len(inner) > 5 && strings.EqualFold(inner[:5], "ipv6:") {
		inner = inner[5:]
	}
	ip, err := netip.ParseAddr(inner)
	return ip, err == nil
}
