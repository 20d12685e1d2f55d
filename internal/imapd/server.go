package imapd

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"relais/internal/admit"
	"relais/internal/mail"
	"relais/internal/record"
)

// Server serves IMAP listeners of one kind.
type Server struct {
	cfg    Config
	record *record.Store
	auth   Authenticator
	log    *slog.Logger
	gate   *admit.Gate

	// reading bounds the messages held for clients that take them slowly. It is
	// apart from the bound on what comes in, which must not wait for them.
	reading *admit.Memory

	mu      sync.Mutex
	perUser map[mail.AccountID]int // connections signed in

	commands atomic.Int64
}

// maxReading is how many bytes of messages are held at once for clients that read them.
const maxReading = 512 << 20

// Stats are counts since the start, but for Open.
type Stats struct {
	Open       int   // connections at this moment
	Accepted   int64 // connections
	TurnedAway int64 // connections beyond a bound
	Commands   int64
}

// New makes a server. The error says what the configuration lacks.
func New(cfg Config, store *record.Store, auth Authenticator) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, record: store, auth: auth, log: cfg.Log,
		reading: admit.NewMemory(maxReading, 30*time.Second),
		perUser: map[mail.AccountID]int{},
	}
	s.gate = admit.New(admit.Config{
		MaxConnections: cfg.MaxConnections, MaxPerSource: cfg.MaxPerIP, Exempt: cfg.Exempt, Log: cfg.Log,
		Open: func(guest *admit.Guest) admit.Client { return newConn(s, guest) }, Refuse: s.refuse,
	})
	return s, nil
}

// Serve accepts connections from l, which it closes, until Shutdown; then it
// returns nil. It may run for several listeners at once.
func (s *Server) Serve(l net.Listener) error { return s.gate.Serve(l) }

// Shutdown stops accepting and says BYE to every client, after the command it
// is in. When ctx ends first, what remains is cut off and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.gate.Shutdown(ctx) }

// Stats counts.
func (s *Server) Stats() Stats {
	g := s.gate.Stats()
	return Stats{g.Open, g.Admitted, g.TurnedAway, s.commands.Load()}
}

// refuse is what is said in place of the greeting (RFC 3501 §7.1.5).
func (s *Server) refuse(why admit.Reason) string {
	if s.cfg.ImplicitTLS {
		return "" // nothing can be said before the handshake
	}
	return "* BYE [LIMIT] " + string(why) + "\r\n"
}

// welcome counts c for the account it signed in to; false if that has too many.
func (s *Server) welcome(c *conn, account mail.AccountID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[account] >= s.cfg.MaxPerUser {
		return false
	}
	s.perUser[account]++
	s.gate.Acquainted(c.guest)
	return true
}

// farewell undoes welcome.
func (s *Server) farewell(account mail.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[account]--; s.perUser[account] <= 0 {
		delete(s.perUser, account)
	}
}
