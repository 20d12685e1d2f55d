package traffic

import (
	"errors"
	"fmt"
	"time"
)

// Sender sends like a mail server does: what got no clear answer is tried again, with the same bytes, until it does.
type Sender struct {
	Addr     string
	Helo     string
	User     string // with Password: AUTH PLAIN first
	Password string
	Wait     time.Duration // for each answer; 30 s if zero

	conn *Conn
}

// Deliver sends one message and returns at the server's 250. A 5xx is an error; 4xx and broken connections are
// tried again until patience ends.
func (s *Sender) Deliver(m Message, patience time.Duration) error {
	to := make([]string, len(m.To))
	for i, p := range m.To {
		to[i] = p.Email
	}
	deadline := time.Now().Add(patience)
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		err := s.attempt(m.From.Email, to, m.Raw)
		if err == nil {
			return nil
		}
		s.Close()
		var refused *Refused
		if errors.As(err, &refused) && refused.Code >= 500 {
			return fmt.Errorf("%s refuses %s: %w", s.Addr, m.ID, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not take %s within %s: %w", s.Addr, m.ID, patience, err)
		}
		<-pause.C
	}
}

func (s *Sender) attempt(from string, to []string, raw []byte) error {
	if s.conn == nil {
		wait := s.Wait
		if wait == 0 {
			wait = 30 * time.Second
		}
		conn, err := Dial(s.Addr, s.Helo, wait)
		if err != nil {
			return err
		}
		s.conn = conn
		if s.User != "" {
			if err := conn.Auth(s.User, s.Password); err != nil {
				return fmt.Errorf("sign in as %s: %w", s.User, err)
			}
		}
	}
	return s.conn.Send(from, to, raw)
}

// Close ends the connection; the next message opens another.
func (s *Sender) Close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}
