// Package outside is the outside world: an SMTP server that accepts everything and remembers it.
//
// It stands on go-smtp, not on Relais's own codec, so that what left Relais is read by somebody else.
package outside

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Message is a message that got its 250.
type Message struct {
	From string
	To   []string
	Data []byte            // as received, CR LF line ends
	Hash [sha256.Size]byte // SHA-256 of Data
	At   time.Time
}

// Server is a running outside world.
type Server struct {
	Addr string // HOST:PORT on which it listens

	server *smtp.Server
	mu     sync.Mutex
	mail   []Message
}

// Listen runs a server at addr, such as 127.0.0.1:0.
func Listen(addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the outside world: %w", err)
	}
	s := &Server{Addr: listener.Addr().String()}
	s.serve(listener)
	return s, nil
}

// Again listens again on the same port after Close.
func (s *Server) Again() error {
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("start the outside world again: %w", err)
	}
	s.serve(listener)
	return nil
}

func (s *Server) serve(listener net.Listener) {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{world: s}, nil }))
	server.Domain = "outside.test"
	server.EnableSMTPUTF8 = true
	server.MaxLineLength = 1 << 20
	server.ErrorLog = log.New(io.Discard, "", 0) // a peer that is killed half-way is part of the stories
	s.server = server
	go func() { _ = server.Serve(listener) }() // ends with Close
}

// Close closes the listener and all connections; what was received is kept.
func (s *Server) Close() error { return s.server.Close() }

// Messages gives what was received so far, in order of arrival.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

type session struct {
	world *Server
	from  string
	to    []string
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
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.world.mail = append(c.world.mail, Message{c.from, slices.Clone(c.to), data, sha256.Sum256(data), time.Now()})
	return nil
}

func (c *session) Reset()        { c.from, c.to = "", nil }
func (c *session) Logout() error { return nil }
