package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// When a server is suspected, probed, declared dead and probed again.
const (
	patience     = 250 * time.Millisecond // a question without an answer makes a server suspect
	probeTimeout = 400 * time.Millisecond // of one probe; two unanswered ones mean dead
	probeEvery   = time.Second            // while dead
)

var errDead = errors.New("server does not answer")

// server is one recursive resolver and what is known of its health.
type server struct {
	addr   string
	life   context.Context // ends with the Resolver
	probes *sync.WaitGroup
	log    *slog.Logger

	mu      sync.Mutex
	up      context.Context // ends when the server is found dead
	setDown context.CancelFunc
	probing bool
	heard   time.Time // of the last answer
}

func newServer(life context.Context, addr string, probes *sync.WaitGroup, log *slog.Logger) *server {
	s := &server{addr: addr, life: life, probes: probes, log: log}
	s.up, s.setDown = context.WithCancel(life)
	return s
}

// alive tells whether the server is not known to be dead.
func (s *server) alive() bool { return s.upContext().Err() == nil }

func (s *server) upContext() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}

// ask sends m and returns the answer, over TCP when it does not fit into UDP.
// It fails with errDead at once, or as soon as the server is found dead.
func (s *server) ask(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	up := s.upContext()
	if up.Err() != nil {
		return nil, errDead
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(up, cancel)()
	asked := time.Now()
	watch := time.AfterFunc(patience, func() { s.suspectSince(asked) })
	defer watch.Stop()
	answer, err := s.exchange(ctx, "udp", m)
	if err == nil && answer.Truncated {
		answer, err = s.exchange(ctx, "tcp", m)
	}
	switch {
	case err == nil:
		return answer, nil
	case up.Err() != nil:
		return nil, errDead
	}
	if opErr, ok := errors.AsType[*net.OpError](err); ok && !opErr.Timeout() {
		s.suspect() // refused or unroutable: the probe will confirm it
	}
	return nil, err
}

// exchange is one question and its answer over network, until ctx ends.
func (s *server) exchange(ctx context.Context, network string, m *dns.Msg) (*dns.Msg, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, s.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	c := &dns.Conn{Conn: conn, UDPSize: udpSize}
	if err := c.WriteMsg(m); err != nil {
		return nil, err
	}
	for {
		answer, err := c.ReadMsg()
		if err != nil && answer == nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, err
		}
		// A connected socket hears its server only; what does not match the
		// question is a late answer or a forgery (RFC 5452 §9.1).
		if err == nil && answer.Id == m.Id && answer.Response && sameQuestion(answer, m) {
			s.mu.Lock()
			s.heard = time.Now()
			s.mu.Unlock()
			return answer, nil
		}
		if network != "udp" {
			return nil, fmt.Errorf("malformed answer from %s", s.addr)
		}
	}
}

func sameQuestion(a, b *dns.Msg) bool {
	return len(a.Question) == 1 && a.Question[0].Qtype == b.Question[0].Qtype &&
		dns.CanonicalName(a.Question[0].Name) == dns.CanonicalName(b.Question[0].Name)
}

// suspectSince probes the server unless it has answered anything since then: a
// slow domain behind a live resolver is no reason to doubt the resolver.
func (s *server) suspectSince(asked time.Time) {
	s.mu.Lock()
	heard := s.heard.After(asked)
	s.mu.Unlock()
	if !heard {
		s.suspect()
	}
}

// suspect probes the server in the background, once at a time, and goes on
// until it answers.
func (s *server) suspect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probing || s.life.Err() != nil {
		return
	}
	s.probing = true
	s.probes.Go(s.watch)
}

// watch probes until the server answers; the first two probes unanswered, it is dead.
func (s *server) watch() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	answered := s.probe()
	if !answered {
		answered = s.probe()
	}
	if !answered {
		s.mu.Lock()
		s.setDown()
		s.mu.Unlock()
		s.log.Warn("DNS resolver does not answer", "peer", s.addr)
	}
	died := !answered
	for !answered {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
		}
		answered = s.probe()
	}
	s.mu.Lock()
	s.probing = false
	if died {
		s.up, s.setDown = context.WithCancel(s.life)
	}
	s.mu.Unlock()
	if died {
		s.log.Info("DNS resolver answers again", "peer", s.addr)
	}
}

// probe asks for the root's name servers, which every resolver has at hand. Any
// answer will do, even a refusal.
func (s *server) probe() bool {
	ctx, cancel := context.WithTimeout(s.life, probeTimeout)
	defer cancel()
	m := new(dns.Msg)
	m.SetQuestion(".", dns.TypeNS)
	_, err := s.exchange(ctx, "udp", m)
	return err == nil
}
