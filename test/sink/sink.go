// Package sink runs the outside world for a test.
package sink

import (
	"testing"
	"time"

	"relais/internal/demo/outside"
	"relais/test/port"
	"relais/test/proc"
)

// Server is a running sink. Its address stays through Stop and Run.
type Server struct {
	*outside.Server
	t testing.TB
}

// Start runs a sink until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	world, err := outside.Listen(port.Addr(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{world, t}
	t.Cleanup(s.Stop)
	return s
}

// Run listens again after Stop.
func (s *Server) Run() {
	s.t.Helper()
	if err := s.Again(); err != nil {
		s.t.Fatal(err)
	}
}

// Stop closes the listener and all connections; what was received is kept.
func (s *Server) Stop() { _ = s.Close() }

// Await waits until n messages were received.
func (s *Server) Await(n int, limit time.Duration) bool {
	return proc.Poll(limit, func() bool { return len(s.Messages()) >= n })
}
