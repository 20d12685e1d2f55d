// Package sink is the outside world: an SMTP server that accepts everything and remembers it.
package sink

import (
	"crypto/sha256"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"relais/test/port"
	"relais/test/proc"
)

// Message is a message that got its 250.
type Message struct {
	From string
	To   []string
	Data []byte            // as received, CR LF line ends
	Hash [sha256.Size]byte // SHA-256 of Data
	At   time.Time
}

// Server is a running sink. Its address stays through Stop and Run.
type Server struct {
	Addr string // 127.0.0.1:port

	t      testing.TB
	server *smtp.Server
	mu     sync.Mutex
	mail   []Message
}

// Start runs a sink until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Addr: port.Addr(t), t: t}
	s.Run()
	t.Cleanup(s.Stop)
	return s
}

// Run listens again after Stop.
func (s *Server) Run() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		s.t.Fatalf("start the sink: %v", err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{sink: s}, nil }))
	server.Domain = "sink.test"
	server.EnableSMTPUTF8 = true
	server.MaxLineLength = 1 << 20
	server.ErrorLog = log.New(io.Discard, "", 0) // a peer that is killed half-way is part of the stories
	s.server = server
	go func() { _ = server.Serve(listener) }()
}

// Stop closes the listener and all connections; what was received is kept.
func (s *Server) Stop() { _ = s.server.Close() }

// Messages gives what was received so far, in order of arrival.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

// Await waits until n messages were received.
func (s *Server) Await(n int, limit time.Duration) bool {
	return proc.Poll(limit, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.mail) >= n
	})
}

type session struct {
	sink *Server
	from string
	to   []string
}

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	c.from = from
	return nil
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	c.sink.mail = append(c.sink.mail, Message{c.from, slices.Clone(c.to), data, sha256.Sum256(data), time.Now()})
	return nil
}

func (c *session) Reset()        { c.from, c.to = "", nil }
func (c *session) Logout() error { return nil }
