package imapd

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

	"relais/internal/mail"
	"relais/internal/record"
	"relais/internal/smtpd"
)

// Server serves IMAP listeners of one kind.
type Server struct {
	cfg    Config
	record *record.Store
	auth   Authenticator
	log    *slog.Logger

	// reading bounds the messages held for clients that take them slowly. It is
	// apart from the bound on what comes in, which must not wait for them.
	reading *smtpd.Memory

	// ctx is that of every call of the record: it ends when Shutdown gives up waiting.
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	strangers map[netip.Prefix]int // connections not signed in
	perUser   map[mail.AccountID]int
	running   sync.WaitGroup

	accepted, turnedAway, commands atomic.Int64
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
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		cfg: cfg, record: store, auth: auth, log: cfg.Log, ctx: ctx, cancel: cancel,
		reading:   smtpd.NewMemory(maxReading, 30*time.Second),
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		strangers: map[netip.Prefix]int{},
		perUser:   map[mail.AccountID]int{},
	}, nil
}

// Serve accepts connections from l, which it closes, until Shutdown; then it
// returns nil. It may run for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	s.listeners[l] = struct{}{}
	closing := s.closing
	s.mu.Unlock()
	for pause := time.Duration(0); !closing; closing = s.isClosing() {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.admit(nc)
			continue
		}
		if s.isClosing() {
			break
		}
		if errors.Is(err, net.ErrClosed) {
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
	return nil
}

// Shutdown stops accepting and says BYE to every client, after the command it
// is in. When ctx ends first, what remains is cut off and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.stream.interrupt()
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
		c.stream.cut()
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
	return Stats{open, s.accepted.Load(), s.turnedAway.Load(), s.commands.Load()}
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
		why = "the server is closing down"
	case len(s.conns) >= s.cfg.MaxConnections:
		why = "too many connections, try again later"
	case !c.exempt && s.strangers[c.source] >= s.cfg.MaxPerIP:
		why = "too many connections from your address, try again later"
	default:
		s.conns[c] = struct{}{}
		s.strangers[c.source]++
		c.stranger = true
		s.running.Add(1)
	}
	s.mu.Unlock()
	if why == "" {
		s.accepted.Add(1)
		go func() {
			defer s.running.Done()
			defer s.remove(c)
			c.serve(s.ctx)
		}()
		return
	}
	s.turnedAway.Add(1)
	if !s.cfg.ImplicitTLS { // else there is nobody to say it to
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write([]byte("* BYE [LIMIT] " + why + "\r\n"))
	}
	nc.Close()
}

// welcome counts c for the account it signed in to; false if that has too many.
func (s *Server) welcome(c *conn, account mail.AccountID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[account] >= s.cfg.MaxPerUser {
		return false
	}
	s.perUser[account]++
	s.forgetStranger(c)
	return true
}

func (s *Server) forgetStranger(c *conn) {
	if c.stranger {
		c.stranger = false
		drop(s.strangers, c.source)
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.forgetStranger(c)
	if c.person.Account != 0 {
		drop(s.perUser, c.person.Account)
	}
}

func drop[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] <= 0 {
		delete(counts, k)
	}
}
