package imapd

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// stream is the connection with a bound on each wait.
type stream struct {
	idle, write time.Duration

	mu      sync.Mutex
	nc      net.Conn
	until   time.Time // the sign-in must be over by then; zero afterwards
	stopped bool      // no more reading: the server closes down
}

// Read waits at most idle, or until the time for signing in is over.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	deadline := time.Now().Add(s.idle)
	if !s.until.IsZero() && s.until.Before(deadline) {
		deadline = s.until
	}
	if s.stopped {
		deadline = time.Unix(1, 0)
	}
	nc := s.nc
	err := nc.SetReadDeadline(deadline)
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return nc.Read(p)
}

// Write waits at most write for each 64 KiB, so that a slow client may take long over a long message.
func (s *stream) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(len(p), n+64<<10)]
		if err := s.nc.SetWriteDeadline(time.Now().Add(s.write)); err != nil {
			return n, err
		}
		m, err := s.nc.Write(piece)
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// interrupt ends the read that is going on and all later ones.
func (s *stream) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	_ = s.nc.SetReadDeadline(time.Unix(1, 0))
}

func (s *stream) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// wait changes how long a read waits.
func (s *stream) wait(idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
}

func (s *stream) signedIn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

// startTLS shakes hands and goes on in TLS.
func (s *stream) startTLS(ctx context.Context, cfg *tls.Config, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_ = s.nc.SetDeadline(time.Time{})
	t := tls.Server(s.nc, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nc = t
	return nil
}

// close says goodbye to TLS and closes.
func (s *stream) close() {
	_ = s.nc.SetDeadline(time.Now().Add(time.Second))
	s.nc.Close()
}
