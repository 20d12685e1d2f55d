package smtpd

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"relais/internal/dialogtest"
)

// TestDialogs plays every file of testdata/dialogs against a server. Words of its own are
//
//	door mx|submission [starttls] [tls] [plaintext] [size=N] [recipients=N] [bad=N]
//	GOT <from> <to> … "body"               NONE (no further message was taken)
func TestDialogs(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := dialogtest.TLS(t)
	dialogtest.Run(t, func(t *testing.T, options []dialogtest.Option) (*dialogtest.Door, error) {
		var cfg Config
		for _, o := range options {
			switch o.Name {
			case "mx":
			case "submission":
				cfg.Mode = Submission
			case "starttls":
				cfg.TLS = serverTLS
			case "tls":
				cfg.TLS, cfg.ImplicitTLS = serverTLS, true
			case "plaintext":
				cfg.PlaintextAuth = true
			case "size":
				cfg.MaxSize = int64(o.Value)
			case "recipients":
				cfg.MaxRecipients = o.Value
			case "bad":
				cfg.MaxBad = o.Value
			default:
				return nil, fmt.Errorf("%q is no word of a door", o.Name)
			}
		}
		h := &recorder{}
		_, addr := start(t, cfg, h)
		return &dialogtest.Door{Addr: addr, TLS: clientTLS, Words: map[string]func(string) error{"GOT": h.wantNext, "NONE": h.wantNone}}, nil
	})
}

// wantNext takes a message that reads <from> <to> … "body".
func (h *recorder) wantNext(want string) error {
	m, ok := h.take()
	if !ok {
		return errors.New("no message")
	}
	got := "<" + m.tx.MailFrom.String() + ">"
	for _, r := range m.tx.Recipients {
		got += " <" + r.Address.String() + ">"
	}
	if got += " " + strconv.Quote(m.body); got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

func (h *recorder) wantNone(string) error {
	if m, ok := h.take(); ok {
		return fmt.Errorf("got %q", m.body)
	}
	return nil
}
