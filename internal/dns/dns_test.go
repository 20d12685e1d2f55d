package dns_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	moxdns "github.com/mjl-/mox/dns"

	"relais/internal/clock"
	"relais/internal/dns"
	"relais/internal/fault"
	"relais/test/dnsserver"
)

// resolver makes one that asks addrs, closed when the test ends.
func resolver(t *testing.T, config dns.Config) *dns.Resolver {
	t.Helper()
	r, err := dns.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func setup(t *testing.T) (*dnsserver.Server, *dns.Resolver) {
	t.Helper()
	t.Parallel()
	s := dnsserver.Start(t)
	return s, resolver(t, dns.Config{Servers: []string{s.Addr}})
}

// serve answers questions with handle over UDP and TCP until the test ends.
func serve(t *testing.T, handle miekg.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*miekg.Server{{Listener: l, Handler: handle}, {PacketConn: p, Handler: handle}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return l.Addr().String()
}

func TestMXOrder(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "example.test. 60 IN MX 20 B.example.test.", "example.test. 60 IN MX 10 a.example.test.")
	got, err := r.MX(t.Context(), "example.test")
	want := "[{a.example.test 10} {b.example.test 20}]"
	if fmt.Sprint(got) != want || err != nil {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
}

func TestMXImplicit(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "bare.test. 60 IN A 192.0.2.1")
	got, err := r.MX(t.Context(), "bare.test")
	if len(got) != 1 || got[0].Host != "bare.test" || err != nil {
		t.Errorf("got %v, %v; want the domain itself", got, err)
	}
}

func TestMXNull(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "nomail.test. 60 IN MX 0 .")
	if _, err := r.MX(t.Context(), "nomail.test"); !errors.Is(err, dns.ErrNullMX) || !fault.Is(err, fault.Denied) {
		t.Errorf("got %v, want ErrNullMX", err)
	}
}

func TestMXOfUnknownDomain(t *testing.T) {
	_, r := setup(t)
	if _, err := r.MX(t.Context(), "nowhere.test"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not-found", err)
	}
}

// The test server gives the CNAME alone, so that the resolver must go on by itself.
func TestMXThroughCNAME(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "alias.test. 60 IN CNAME other.test.", "other.test. 60 IN CNAME real.test.", "real.test. 60 IN MX 10 mx.real.test.")
	got, err := r.MX(t.Context(), "alias.test")
	if len(got) != 1 || got[0].Host != "mx.real.test" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCNAMELoopIsTemporary(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "a.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME a.test.")
	if _, err := r.MX(t.Context(), "a.test"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestAddresses(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "h.test. 60 IN A 192.0.2.1", "h.test. 60 IN A 192.0.2.2", "h.test. 60 IN AAAA 2001:db8::1", "t.test. 60 IN TXT x")
	got, err := r.Addresses(t.Context(), "h.test")
	want := "[2001:db8::1 192.0.2.1 192.0.2.2]"
	if fmt.Sprint(got) != want || err != nil {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
	if _, err := r.Addresses(t.Context(), "t.test"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not-found", err)
	}
	if got, _ := r.Addresses(t.Context(), "192.0.2.9"); len(got) != 1 || got[0] != netip.MustParseAddr("192.0.2.9") {
		t.Errorf("an address is its own: got %v", got)
	}
}

func TestTXTJoinsStrings(t *testing.T) {
	s, r := setup(t)
	s.Set(t, `k.test. 60 IN TXT "v=DKIM1; " "p=abc"`)
	got, _, err := r.LookupTXT(t.Context(), "k.test.")
	if len(got) != 1 || got[0] != "v=DKIM1; p=abc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, _, err := r.LookupTXT(t.Context(), "none.test."); !moxdns.IsNotFound(err) {
		t.Errorf("got %v, want not found as mox's packages see it", err)
	}
}

func TestOtherTypes(t *testing.T) {
	s, r := setup(t)
	s.Set(t, "1.2.0.192.in-addr.arpa. 60 IN PTR host.test.", "_imaps._tcp.x.test. 60 IN SRV 1 2 993 imap.x.test.",
		"_25._tcp.mx.test. 60 IN TLSA 3 1 1 00ff", "x.test. 60 IN NS ns.x.test.", "c.test. 60 IN CNAME d.test.")
	ptr, _, _ := r.LookupAddr(t.Context(), "192.0.2.1")
	_, srv, _, _ := r.LookupSRV(t.Context(), "imaps", "tcp", "x.test.")
	tlsa, _, _ := r.LookupTLSA(t.Context(), 25, "tcp", "mx.test.")
	ns, _, _ := r.LookupNS(t.Context(), "x.test.")
	cname, _, _ := r.LookupCNAME(t.Context(), "c.test.")
	if len(ptr) != 1 || ptr[0] != "host.test." || len(srv) != 1 || srv[0].Port != 993 || len(tlsa) != 1 ||
		string(tlsa[0].CertAssoc) != "\x00\xff" || len(ns) != 1 || cname != "d.test." {
		t.Errorf("got %v %v %v %v %v", ptr, srv, tlsa, ns, cname)
	}
}

func TestCacheKeepsForTTL(t *testing.T) {
	t.Parallel()
	s := dnsserver.Start(t)
	now := clock.At(time.Unix(1_700_000_000, 0))
	r := resolver(t, dns.Config{Servers: []string{s.Addr}, Clock: now})
	s.Set(t, "a.test. 60 IN TXT one")
	text := func() string {
		got, _, err := r.LookupTXT(t.Context(), "A.test.")
		return fmt.Sprint(got, err)
	}
	want := text()
	s.Remove("a.test")
	now.Advance(59 * time.Second)
	if got := text(); got != want {
		t.Errorf("within the TTL: got %s, want %s", got, want)
	}
	now.Advance(time.Second)
	if got := text(); got == want {
		t.Errorf("after the TTL: still %s", got)
	}
	// The denial has no SOA: it is kept for half a minute.
	denied := text()
	s.Set(t, "a.test. 60 IN TXT two")
	if got := text(); got != denied {
		t.Errorf("a denial is not kept: got %s", got)
	}
	now.Advance(30 * time.Second)
	if got := text(); !strings.Contains(got, "two") {
		t.Errorf("a denial is kept too long: got %s", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	addr := serve(t, func(w miekg.ResponseWriter, q *miekg.Msg) {
		if q.Question[0].Qtype == miekg.TypeTXT {
			asked.Add(1)
		}
		m := new(miekg.Msg).SetReply(q)
		rr, _ := miekg.NewRR(q.Question[0].Name + " 60 IN TXT x")
		m.Answer = []miekg.RR{rr}
		_ = w.WriteMsg(m)
	})
	r := resolver(t, dns.Config{Servers: []string{addr}, Entries: 2})
	for _, name := range []string{"a.test.", "b.test.", "a.test.", "c.test.", "a.test.", "b.test."} {
		if _, _, err := r.LookupTXT(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked.Load(); got != 4 {
		t.Errorf("asked %d times, want 4: the least recently used name goes first", got)
	}
}

func TestTruncatedAnswerGoesOverTCP(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 250)
	addr := serve(t, func(w miekg.ResponseWriter, q *miekg.Msg) {
		m := new(miekg.Msg).SetReply(q)
		if w.LocalAddr().Network() == "udp" {
			m.Truncated = true
		} else {
			rr, _ := miekg.NewRR(q.Question[0].Name + ` 60 IN TXT "` + long + `"`)
			m.Answer = []miekg.RR{rr}
		}
		_ = w.WriteMsg(m)
	})
	got, _, err := resolver(t, dns.Config{Servers: []string{addr}}).LookupTXT(t.Context(), "big.test.")
	if len(got) != 1 || got[0] != long {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestServerFailureGoesToTheNext(t *testing.T) {
	t.Parallel()
	bad := serve(t, func(w miekg.ResponseWriter, q *miekg.Msg) {
		_ = w.WriteMsg(new(miekg.Msg).SetRcode(q, miekg.RcodeServerFailure))
	})
	good := dnsserver.Start(t)
	good.Set(t, "a.test. 60 IN TXT yes")
	got, _, err := resolver(t, dns.Config{Servers: []string{bad, good.Addr}}).LookupTXT(t.Context(), "a.test.")
	if len(got) != 1 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if _, _, err := resolver(t, dns.Config{Servers: []string{bad}}).LookupTXT(t.Context(), "a.test."); err == nil || moxdns.IsNotFound(err) {
		t.Errorf("got %v, want a temporary error", err)
	}
}

// An unreachable DNS may cost the first lookup a moment, and those after it nothing.
func TestUnreachableAnswersAtOnce(t *testing.T) {
	t.Parallel()
	s := dnsserver.Start(t)
	s.Set(t, "a.test. 60 IN TXT yes")
	s.Silent(true)
	r := resolver(t, dns.Config{Servers: []string{s.Addr}, Timeout: time.Minute})
	start := time.Now()
	if _, _, err := r.LookupTXT(t.Context(), "a.test."); !errors.Is(err, dns.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("finding a silent server dead took %v", took)
	}
	start = time.Now()
	for i := range 100 {
		_, _, err := r.LookupTXT(t.Context(), fmt.Sprintf("n%d.test.", i))
		if err == nil || moxdns.IsNotFound(err) {
			t.Fatalf("got %v, want a temporary error", err)
		}
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("100 lookups with a dead server took %v", took)
	}
	s.Silent(false)
	for deadline := time.Now().Add(10 * time.Second); !r.Reachable(); {
		if time.Now().After(deadline) {
			t.Fatal("the server's return was not noticed")
		}
		<-time.After(10 * time.Millisecond)
	}
	if got, _, err := r.LookupTXT(t.Context(), "a.test."); len(got) != 1 {
		t.Errorf("after its return: %v, %v", got, err)
	}
}

func TestRefusedConnectionIsUnreachable(t *testing.T) {
	t.Parallel()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := p.LocalAddr().String()
	_ = p.Close()
	start := time.Now()
	if _, err := resolver(t, dns.Config{Servers: []string{addr}}).MX(t.Context(), "a.test"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("a refused question took %v", took)
	}
}

// A resolver that answers for other names is not dead because one domain is slow.
func TestSlowDomainIsNotADeadServer(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w miekg.ResponseWriter, q *miekg.Msg) {
		if q.Question[0].Name == "slow.test." {
			return
		}
		_ = w.WriteMsg(new(miekg.Msg).SetReply(q))
	})
	r := resolver(t, dns.Config{Servers: []string{addr}, Timeout: 1500 * time.Millisecond})
	if _, _, err := r.LookupTXT(t.Context(), "slow.test."); err == nil || errors.Is(err, dns.ErrUnreachable) {
		t.Errorf("got %v, want a timeout of the question", err)
	}
	if !r.Reachable() {
		t.Error("the server is taken for dead")
	}
}
