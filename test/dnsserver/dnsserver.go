// Package dnsserver is an authoritative DNS server on loopback whose records a test sets.
package dnsserver

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server answers with the records it was given, over UDP and TCP; for other names it says NXDOMAIN.
type Server struct {
	Addr string // 127.0.0.1:port

	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case name with the final dot
	silent  bool
}

// Start runs a server on a free port until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0")
}

// StartAt runs a server at an address, such as "127.3.7.1:53" for programs that know no other port.
func StartAt(t testing.TB, addr string) *Server {
	t.Helper()
	s := &Server{records: map[string][]dns.RR{}}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("start a DNS server: %v", err)
	}
	s.Addr = listener.Addr().String()
	packets, err := net.ListenPacket("udp", s.Addr)
	if err != nil {
		t.Fatalf("start a DNS server: %v", err)
	}
	for _, server := range []*dns.Server{{Listener: listener, Handler: s}, {PacketConn: packets, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return s
}

// Set adds records in the form of a zone file, one a line: `example.test. 60 IN MX 10 mail.example.test.`
func (s *Server) Set(t testing.TB, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			t.Fatalf("DNS record %q: %v", line, err)
		}
		name := strings.ToLower(rr.Header().Name)
		s.records[name] = append(s.records[name], rr)
	}
}

// Remove takes away every record of a name.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, strings.ToLower(dns.Fqdn(name)))
}

// Silent makes the server swallow questions, as one that can't be reached does.
func (s *Server) Silent(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		return
	}
	answer := new(dns.Msg).SetReply(question)
	answer.Authoritative = true
	for _, q := range question.Question {
		rrs, known := s.records[strings.ToLower(q.Name)]
		if !known {
			answer.Rcode = dns.RcodeNameError
		}
		for _, rr := range rrs {
			if q.Qtype == dns.TypeANY || rr.Header().Rrtype == q.Qtype || rr.Header().Rrtype == dns.TypeCNAME {
				answer.Answer = append(answer.Answer, rr)
			}
		}
	}
	_ = w.WriteMsg(answer)
}
