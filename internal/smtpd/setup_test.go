package smtpd

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"relais/internal/fault"
	"relais/internal/smtp"
)

// message is one that the handler took.
type message struct {
	tx   *Transaction
	body string
}

// recorder is a handler that keeps what it takes, and says no to a few names.
type recorder struct {
	mu       sync.Mutex
	got      []message
	entered  chan struct{} // if set, told when Deliver begins
	proceed  chan struct{} // if set, Deliver waits for it, or for ctx
	attempts int           // sign-ins that were tried
}

func (h *recorder) Authenticate(_ context.Context, _ *Peer, authzid, username, password string) (Session, error) {
	h.mu.Lock()
	h.attempts++
	h.mu.Unlock()
	switch {
	case username == "later@example.org":
		return nil, fault.New(fault.Unavailable, "directory does not answer")
	case username != "ann@example.org" || password != "secret" || authzid != "" && authzid != username:
		return nil, fault.New(fault.Unauthenticated, "wrong name or password")
	}
	return "session of " + username, nil
}

func (h *recorder) Sender(_ context.Context, t *Transaction) error {
	if t.MailFrom.Local == "spammer" {
		return fault.New(fault.Denied, "not from you")
	}
	t.Note = "noted"
	return nil
}

func (h *recorder) Recipient(_ context.Context, t *Transaction, r Recipient) error {
	if t.Note != "noted" {
		return fault.New(fault.Internal, "the note is gone")
	}
	switch r.Address.Local {
	case "unknown":
		return fault.New(fault.NotFound, "no such person here")
	case "busy":
		return fault.New(fault.Unavailable, "primary does not answer")
	case "moved":
		return smtp.NewReply(551, "5.1.6", "moved to elsewhere.example")
	case "forwarded":
		return smtp.NewReply(251, "2.1.5", "will forward")
	}
	return nil
}

func (h *recorder) Deliver(ctx context.Context, t *Transaction, body []byte) error {
	if h.entered != nil {
		h.entered <- struct{}{}
	}
	if h.proceed != nil {
		select {
		case <-h.proceed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if strings.Contains(string(body), "virus") {
		return fault.New(fault.Denied, "virus found")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, message{t, string(body)})
	return nil
}

// take removes the oldest message that was delivered.
func (h *recorder) take() (message, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.got) == 0 {
		return message{}, false
	}
	m := h.got[0]
	h.got = h.got[1:]
	return m, true
}

// tries is how many sign-ins were asked about.
func (h *recorder) tries() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.attempts
}

// start serves cfg on a loopback port until the test ends.
func start(t testing.TB, cfg Config, h Handler) (*Server, string) {
	t.Helper()
	cfg.Hostname = "mx.example.org"
	s, err := New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody is waited for
		_ = s.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, l.Addr().String()
}
