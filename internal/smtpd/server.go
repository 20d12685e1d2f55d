package smtpd

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"

	"relais/internal/admit"
)

// Server serves one kind of SMTP listener.
type Server struct {
	cfg     Config
	handler Handler
	log     *slog.Logger
	gate    *admit.Gate

	messages, bytes, refused atomic.Int64
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

// New makes a server. The error says what the configuration lacks.
func New(cfg Config, handler Handler) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, handler: handler, log: cfg.Log}
	s.gate = admit.New(admit.Config{
		MaxConnections: cfg.MaxConnections, MaxPerSource: cfg.MaxPerIP, Exempt: cfg.Exempt, Log: cfg.Log,
		Open: func(guest *admit.Guest) admit.Client { return newConn(s, guest) }, Refuse: s.refuse,
	})
	return s, nil
}

// Serve accepts connections from l, which it closes, until Shutdown; then it
// returns nil. It may run for several listeners at once.
func (s *Server) Serve(l net.Listener) error { return s.gate.Serve(l) }

// Shutdown stops accepting. Connections that wait for a command are told 421
// and closed; those that send or file a message finish it. When ctx ends first,
// what remains is cut off and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.gate.Shutdown(ctx) }

// Stats counts.
func (s *Server) Stats() Stats {
	g := s.gate.Stats()
	return Stats{
		Open: g.Open, Connections: g.Admitted, TurnedAway: g.TurnedAway,
		Messages: s.messages.Load(), Bytes: s.bytes.Load(), Refused: s.refused.Load(),
	}
}

// refuse is what is said in place of the greeting (RFC 5321 §3.8).
func (s *Server) refuse(why admit.Reason) string {
	switch {
	case s.cfg.ImplicitTLS:
		return "" // nothing can be said before the handshake
	case why == admit.SourceFull:
		return "421 4.7.0 " + string(why) + "\r\n"
	}
	return "421 4.3.2 " + string(why) + "\r\n"
}
