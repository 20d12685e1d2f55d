package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
	"github.com/mjl-/adns"
)

const (
	udpSize   = 1232 // fits every path without fragments (DNS flag day 2020)
	maxChain  = 8    // CNAMEs followed
	firstWait = time.Second
)

// query answers from the cache or asks, at most once at a time for one question.
// The error is a temporary *adns.DNSError, or ctx's.
func (r *Resolver) query(ctx context.Context, name string, qtype uint16) (*answer, error) {
	q := question{dns.CanonicalName(name), qtype}
	if _, ok := dns.IsDomainName(q.name); !ok {
		return nil, &adns.DNSError{Err: "not a domain name", Name: name, IsNotFound: true}
	}
	if a := r.cache.get(q, r.config.Clock.Now()); a != nil {
		return a, a.failure
	}
	if !r.Reachable() {
		return nil, temporary(q.name, ErrUnreachable)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The question goes on when this caller gives up: others wait for it too, and the next finds it cached.
	result := r.asking.DoChan(fmt.Sprint(qtype, q.name), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), r.config.Timeout)
		defer cancel()
		a, err := r.follow(ctx, q)
		if err != nil {
			return nil, err
		}
		r.cache.put(q, a, r.config.Clock.Now())
		return a, a.failure
	})
	select {
	case res := <-result:
		a, _ := res.Val.(*answer)
		return a, res.Err
	case <-ctx.Done():
		return nil, temporary(q.name, ctx.Err())
	}
}

// follow asks for q and goes along CNAMEs that the server left to us.
func (r *Resolver) follow(ctx context.Context, q question) (*answer, error) {
	total := &answer{authentic: true, canonical: q.name, ttl: maxTTL}
	for range maxChain {
		m, err := r.ask(ctx, question{total.canonical, q.qtype})
		if err != nil {
			if errors.Is(err, ErrUnreachable) {
				return nil, err // not remembered: the probes know better when it ends
			}
			return &answer{failure: err, ttl: failureKept}, nil
		}
		before := total.canonical
		total.take(m, q.qtype)
		total.authentic = total.authentic && r.trusted && m.AuthenticatedData
		if len(total.records) > 0 || !total.exists || total.canonical == before {
			if len(total.records) == 0 {
				total.ttl = min(total.ttl, denialTTL(m.Ns))
			}
			return total, nil
		}
	}
	return &answer{failure: temporary(q.name, errors.New("chain of CNAMEs too long")), ttl: failureKept}, nil
}

// take reads the answer section of m: along CNAMEs from a.canonical to the
// records of qtype.
func (a *answer) take(m *dns.Msg, qtype uint16) {
	a.exists = m.Rcode != dns.RcodeNameError
	for range maxChain {
		next := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if dns.CanonicalName(h.Name) != a.canonical {
				continue
			}
			switch h.Rrtype {
			case qtype:
				a.records = append(a.records, rr)
			case dns.TypeCNAME:
				next = dns.CanonicalName(rr.(*dns.CNAME).Target)
			default:
				continue
			}
			a.ttl = min(a.ttl, time.Duration(h.Ttl)*time.Second)
		}
		if len(a.records) > 0 || next == "" {
			return
		}
		a.canonical = next
	}
}

// ask puts q to one server after the other. A server that fails (SERVFAIL,
// REFUSED) is asked no second time, a silent one is.
func (r *Resolver) ask(ctx context.Context, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.SetEdns0(udpSize, false)
	m.AuthenticatedData = true // RFC 6840 §5.7: please say whether it is validated
	failed := make([]bool, len(r.servers))
	var failure error
	for wait := firstWait; ; wait *= 2 {
		asked := false
		for i, s := range r.servers {
			if failed[i] || !s.alive() {
				continue
			}
			asked = true
			try, cancel := context.WithTimeout(ctx, wait)
			answer, err := s.ask(try, m)
			cancel()
			switch {
			case err == nil && (answer.Rcode == dns.RcodeSuccess || answer.Rcode == dns.RcodeNameError):
				return answer, nil
			case err == nil:
				failed[i] = true
				failure = fmt.Errorf("%s says %s", s.addr, dns.RcodeToString[answer.Rcode])
			case ctx.Err() != nil:
				return nil, temporary(q.name, ctx.Err())
			case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errDead):
			default:
				failed[i] = true
				failure = err
			}
		}
		if !r.Reachable() {
			return nil, temporary(q.name, ErrUnreachable)
		}
		if !asked {
			return nil, temporary(q.name, failure)
		}
	}
}

// temporary is the error that mox's packages read as "try again later".
func temporary(name string, cause error) error {
	if cause == nil {
		cause = ErrUnreachable
	}
	return &adns.DNSError{
		UnwrapErr: cause, Err: cause.Error(), Name: name,
		IsTemporary: true, IsTimeout: errors.Is(cause, context.DeadlineExceeded),
	}
}

// notFound is the error for no records of the type asked for.
func notFound(name string) error {
	return &adns.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}
