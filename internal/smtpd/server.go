package smtpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves one kind of SMTP listener.
type Server struct {
	cfg     Config
	handler Handler
	log     *slog.Logger
	stats   counters

	// The context of every call of the handler: it ends when Shutdown gives up
	// waiting, not when a client leaves, since a message may be being filed then.
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	perSource map[netip.Prefix]int
	running   sync.WaitGroup
}

// Stats are counts since the start, but for Open.
type Stats struct {
	Open        int   // connections at this moment
	Connections int64 // accepted
	TurnedAway  int64 // connections beyond a bound
	Messages    int64 // that the handler took
	Bytes       int64 // of those
	Refused     int64 // messages refused after their end, for a time or for good
}

type counters struct {
	connections, turnedAway, messages, bytes, refused atomic.Int64
}

// New makes a server. The error says what the configuration lacks.
func New(cfg Config, handler Handler) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		cfg: cfg, handler: handler, log: cfg.Log, ctx: ctx, cancel: cancel,
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		perSource: map[netip.Prefix]int{},
	}, nil
}

// Serve accepts connections from l, which it closes, until Shutdown; then it
// returns nil. It may run for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(l) {
		return nil
	}
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.admit(nc)
			continue
		}
		if s.isClosing() {
			return nil
		}
		if ne, ok := errors.AsType[net.Error](err); !ok || ne.Timeout() || errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: %w", err)
		}
		// Out of file descriptors and the like: it passes when connections end.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Warn("accept failed", "err", err)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
		}
	}
}

// Shutdown stops accepting. Connections that wait for a command are told 421
// and closed; those that send or file a message finish it. When ctx ends first,
// what remains is cut off and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.interrupt()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	defer s.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		c.cut()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// Stats counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Open: open, Connections: s.stats.connections.Load(), TurnedAway: s.stats.turnedAway.Load(),
		Messages: s.stats.messages.Load(), Bytes: s.stats.bytes.Load(), Refused: s.stats.refused.Load(),
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// admit serves nc in a goroutine of its own, or turns it away.
func (s *Server) admit(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	why := ""
	switch {
	case s.closing:
		why = "421 4.3.2 closing down"
	case len(s.conns) >= s.cfg.MaxConnections:
		why = "421 4.3.2 too many connections, try again later"
	case !c.exempt && s.perSource[c.source] >= s.cfg.MaxPerIP:
		why = "421 4.7.0 too many connections from your address, try again later"
	default:
		s.conns[c] = struct{}{}
		s.perSource[c.source]++
		s.running.Add(1)
	}
	s.mu.Unlock()
	if why == "" {
		s.stats.connections.Add(1)
		go s.run(c)
		return
	}
	s.stats.turnedAway.Add(1)
	s.log.Debug("connection turned away", "peer", c.peer.Addr, "reply", why)
	if !s.cfg.ImplicitTLS { // else there is nobody to say it to
		// A new socket's buffer has room: this does not hold up the listener.
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write([]byte(why + "\r\n"))
	}
	nc.Close()
}

func (s *Server) run(c *conn) {
	defer s.running.Done()
	defer s.remove(c)
	c.serve()
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perSource[c.source]--; s.perSource[c.source] <= 0 {
		delete(s.perSource, c.source)
	}
}

func (s *Server) isExempt(ip netip.Addr) bool {
	for _, p := range s.cfg.Exempt {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// sourceOf is what bounds per address count by: an IPv6 site has a whole /64.
func sourceOf(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}
