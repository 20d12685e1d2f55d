package dns

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/mjl-/adns"
	moxdns "github.com/mjl-/mox/dns"
)

var _ moxdns.Resolver = (*Resolver)(nil)

// lookup returns the records of type T for name; an *adns.DNSError with
// IsNotFound when there are none.
func lookup[T dns.RR](ctx context.Context, r *Resolver, name string, qtype uint16) ([]T, adns.Result, error) {
	a, err := r.query(ctx, name, qtype)
	if err != nil {
		return nil, adns.Result{}, err
	}
	result := adns.Result{Authentic: a.authentic}
	records := make([]T, 0, len(a.records))
	for _, rr := range a.records {
		if t, ok := rr.(T); ok {
			records = append(records, t)
		}
	}
	if len(records) == 0 {
		return nil, result, notFound(name)
	}
	return records, result, nil
}

// LookupTXT returns the texts of name, each with its character-strings joined (RFC 7208 §3.3).
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, adns.Result, error) {
	records, result, err := lookup[*dns.TXT](ctx, r, name, dns.TypeTXT)
	texts := make([]string, len(records))
	for i, rr := range records {
		texts[i] = strings.Join(rr.Txt, "")
	}
	return texts, result, err
}

// LookupIP returns the addresses of host; network is "ip", "ip4" or "ip6". A
// failure of one of the two families is a failure: SPF must not decide on half.
func (r *Resolver) LookupIP(ctx context.Context, network, host string) ([]net.IP, adns.Result, error) {
	v4, v6 := r.bothFamilies(ctx, network, host)
	result := adns.Result{Authentic: v4.authentic && v6.authentic}
	for _, f := range []family{v4, v6} {
		if f.err != nil && !moxdns.IsNotFound(f.err) {
			return nil, result, f.err
		}
	}
	ips := slices.Concat(v4.ips, v6.ips)
	if len(ips) == 0 {
		return nil, result, notFound(host)
	}
	return ips, result, nil
}

// family is what is known of a host's addresses of one kind.
type family struct {
	ips       []net.IP
	authentic bool
	err       error
}

// bothFamilies asks for A and AAAA at the same time, as far as network wants them.
func (r *Resolver) bothFamilies(ctx context.Context, network, host string) (v4, v6 family) {
	v4, v6 = family{authentic: true}, family{authentic: true}
	done := make(chan struct{})
	if network == "ip4" {
		close(done)
	} else {
		go func() {
			defer close(done)
			records, result, err := lookup[*dns.AAAA](ctx, r, host, dns.TypeAAAA)
			v6 = family{make([]net.IP, len(records)), result.Authentic, err}
			for i, rr := range records {
				v6.ips[i] = rr.AAAA
			}
		}()
	}
	if network != "ip6" {
		records, result, err := lookup[*dns.A](ctx, r, host, dns.TypeA)
		v4 = family{make([]net.IP, len(records)), result.Authentic, err}
		for i, rr := range records {
			v4.ips[i] = rr.A
		}
	}
	<-done
	return v4, v6
}

// LookupIPAddr is LookupIP for both families.
func (r *Resolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, adns.Result, error) {
	ips, result, err := r.LookupIP(ctx, "ip", host)
	addrs := make([]net.IPAddr, len(ips))
	for i, ip := range ips {
		addrs[i].IP = ip
	}
	return addrs, result, err
}

// LookupHost is LookupIP for both families, as texts.
func (r *Resolver) LookupHost(ctx context.Context, host string) ([]string, adns.Result, error) {
	ips, result, err := r.LookupIP(ctx, "ip", host)
	hosts := make([]string, len(ips))
	for i, ip := range ips {
		hosts[i] = ip.String()
	}
	return hosts, result, err
}

// LookupMX returns the MX records of name as they are; MX says what they mean.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, adns.Result, error) {
	records, result, err := lookup[*dns.MX](ctx, r, name, dns.TypeMX)
	exchangers := make([]*net.MX, len(records))
	for i, rr := range records {
		exchangers[i] = &net.MX{Host: rr.Mx, Pref: rr.Preference}
	}
	return exchangers, result, err
}

// LookupNS returns the name servers of name.
func (r *Resolver) LookupNS(ctx context.Context, name string) ([]*net.NS, adns.Result, error) {
	records, result, err := lookup[*dns.NS](ctx, r, name, dns.TypeNS)
	servers := make([]*net.NS, len(records))
	for i, rr := range records {
		servers[i] = &net.NS{Host: rr.Ns}
	}
	return servers, result, err
}

// LookupCNAME returns the target of host's CNAME; not found when it has none.
func (r *Resolver) LookupCNAME(ctx context.Context, host string) (string, adns.Result, error) {
	records, result, err := lookup[*dns.CNAME](ctx, r, host, dns.TypeCNAME)
	if err != nil {
		return "", result, err
	}
	return records[0].Target, result, nil
}

// LookupAddr returns the names of an IP address, with final dots.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, adns.Result, error) {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, adns.Result{}, &adns.DNSError{Err: "not an IP address", Name: addr, IsNotFound: true}
	}
	records, result, err := lookup[*dns.PTR](ctx, r, name, dns.TypePTR)
	names := make([]string, len(records))
	for i, rr := range records {
		names[i] = dns.Fqdn(rr.Ptr)
	}
	return names, result, err
}

// LookupSRV returns the services of name, unsorted (RFC 2782).
func (r *Resolver) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, adns.Result, error) {
	if service != "" || proto != "" {
		name = "_" + service + "._" + proto + "." + name
	}
	records, result, err := lookup[*dns.SRV](ctx, r, name, dns.TypeSRV)
	services := make([]*net.SRV, len(records))
	for i, rr := range records {
		services[i] = &net.SRV{Target: rr.Target, Port: rr.Port, Priority: rr.Priority, Weight: rr.Weight}
	}
	return name, services, result, err
}

// LookupTLSA returns the TLSA records of a service (RFC 6698 §3).
func (r *Resolver) LookupTLSA(ctx context.Context, port int, protocol, host string) ([]adns.TLSA, adns.Result, error) {
	name := host
	if port != 0 || protocol != "" {
		name = fmt.Sprintf("_%d._%s.%s", port, protocol, host)
	}
	records, result, err := lookup[*dns.TLSA](ctx, r, name, dns.TypeTLSA)
	tlsas := make([]adns.TLSA, 0, len(records))
	for _, rr := range records {
		if sum, err := hex.DecodeString(rr.Certificate); err == nil {
			tlsas = append(tlsas, adns.TLSA{
				Usage: adns.TLSAUsage(rr.Usage), Selector: adns.TLSASelector(rr.Selector),
				MatchType: adns.TLSAMatchType(rr.MatchingType), CertAssoc: sum,
			})
		}
	}
	return tlsas, result, err
}

// LookupPort returns the number of a named service, from the machine's table.
func (r *Resolver) LookupPort(ctx context.Context, network, service string) (int, error) {
	return net.DefaultResolver.LookupPort(ctx, network, service)
}
