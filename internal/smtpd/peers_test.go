package smtpd

import (
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"relais/internal/dialogtest"
)

const odd = "Subject: odd\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\nend\r\n"

// TestIndependentClient has go-smtp's client bring mail, with STARTTLS and over
// TLS, signed in and not: what arrives is what it was given.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := dialogtest.TLS(t)
	for name, tc := range map[string]struct {
		cfg      Config
		dial     func(addr string) (*gosmtp.Client, error)
		login    sasl.Client
		protocol string
	}{
		"mx":       {Config{}, gosmtp.Dial, nil, "ESMTP"},
		"starttls": {Config{TLS: serverTLS}, startTLSWith(clientTLS), nil, "ESMTPS"},
		"submission": {
			Config{TLS: serverTLS, Mode: Submission}, startTLSWith(clientTLS), sasl.NewPlainClient("", "ann@example.org", "secret"), "ESMTPSA",
		},
		"submissions": {
			Config{TLS: serverTLS, ImplicitTLS: true, Mode: Submission},
			func(addr string) (*gosmtp.Client, error) { return gosmtp.DialTLS(addr, clientTLS) },
			sasl.NewLoginClient("ann@example.org", "secret"), "ESMTPSA",
		},
		"loopback": {
			Config{PlaintextAuth: true, Mode: Submission}, gosmtp.Dial, sasl.NewPlainClient("ann@example.org", "ann@example.org", "secret"), "ESMTPA",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &recorder{}
			_, addr := start(t, tc.cfg, h)
			client, err := tc.dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			if tc.login != nil {
				if err := client.Auth(tc.login); err != nil {
					t.Fatal(err)
				}
			}
			body := odd + strings.Repeat("x", 5000) + "\r\n"
			if err := client.SendMail("ann@example.org", []string{"bob@example.org", "eve@example.org"}, strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			if err := client.Quit(); err != nil {
				t.Fatal(err)
			}
			m, ok := h.take()
			if !ok || m.body != body {
				t.Fatalf("arrived as %q", m.body)
			}
			tx := m.tx
			if tx.Protocol() != tc.protocol || tx.Peer.Helo == "" || !tx.Peer.Addr.Addr().IsLoopback() || len(tx.Recipients) != 2 {
				t.Errorf("%s %+v %+v", tx.Protocol(), tx.Peer, tx.Recipients)
			}
			if signedIn := tx.Peer.Session == "session of ann@example.org"; signedIn != (tc.login != nil) {
				t.Errorf("session %v", tx.Peer.Session)
			}
		})
	}
}

func startTLSWith(cfg *tls.Config) func(string) (*gosmtp.Client, error) {
	return func(addr string) (*gosmtp.Client, error) {
		client, err := gosmtp.Dial(addr)
		if err != nil {
			return nil, err
		}
		_ = client.Close()
		return gosmtp.DialStartTLS(addr, cfg)
	}
}

// TestIndependentClientHearsRefusals: the codes reach a client that parses them.
func TestIndependentClientHearsRefusals(t *testing.T) {
	t.Parallel()
	_, addr := start(t, Config{MaxSize: 1000}, &recorder{})
	client, err := gosmtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for _, word := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE"} {
		if ok, _ := client.Extension(word); !ok {
			t.Errorf("%s is not seen", word)
		}
	}
	if ok, _ := client.Extension("AUTH"); ok {
		t.Error("AUTH is offered to the world")
	}
	var codes []int
	note := func(err error) {
		if e, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
			codes = append(codes, e.Code, e.EnhancedCode[0])
			return
		}
		codes = append(codes, 0)
	}
	note(client.Mail("spammer@client.example", nil))
	note(client.Mail("bob@client.example", &gosmtp.MailOptions{Size: 2000}))
	note(client.Mail("bob@client.example", nil))
	note(client.Rcpt("unknown@example.org", nil))
	note(client.Rcpt("ann@example.org", nil))
	w, err := client.Data()
	note(err)
	if _, err := io.WriteString(w, strings.Repeat("0123456789\r\n", 1000)); err != nil {
		t.Fatal(err)
	}
	note(w.Close())
	note(client.Noop())
	if want := []int{550, 5, 552, 5, 0, 550, 5, 0, 0, 552, 5, 0}; !slices.Equal(codes, want) {
		t.Errorf("heard %v, want %v", codes, want)
	}
}
