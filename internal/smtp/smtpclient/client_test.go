package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"relais/internal/mail"
	"relais/internal/smtp/smtpclient"
	"relais/test/cert"
	"relais/test/faultymx"
	"relais/test/sink"
)

var quick = smtpclient.Config{
	Hello: "client.test", ConnectTimeout: 3 * time.Second, CommandTimeout: 300 * time.Millisecond,
	DataTimeout: 300 * time.Millisecond, FinalTimeout: 300 * time.Millisecond,
}

func address(t *testing.T, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func message(t *testing.T, to ...string) smtpclient.Message {
	m := smtpclient.Message{From: address(t, "ann@example.org"), Body: []byte("Subject: hi\r\n\r\n.dot\r\nbody\r\n")}
	for _, s := range to {
		m.To = append(m.To, address(t, s))
	}
	return m
}

func dial(t *testing.T, addr string, config smtpclient.Config) *smtpclient.Client {
	t.Helper()
	c, err := smtpclient.Dial(t.Context(), addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// go-smtp is an implementation that is not ours.
func TestSendToGoSMTP(t *testing.T) {
	t.Parallel()
	s := sink.Start(t)
	c := dial(t, s.Addr, quick)
	for range 3 { // on one connection
		m := message(t, "bob@sink.test", "eve@sink.test")
		out, err := c.Send(t.Context(), m)
		if err != nil || out.Of(0).Code != 250 || out.Of(1).Code != 250 {
			t.Fatalf("got %+v, %v", out, err)
		}
	}
	c.Quit()
	got := s.Messages()
	if len(got) != 3 || !bytes.Equal(got[2].Data, message(t).Body) || fmt.Sprint(got[0].To) != "[bob@sink.test eve@sink.test]" {
		t.Errorf("got %d messages, %q to %v", len(got), got[0].Data, got[0].To)
	}
}

func TestManyRecipientsInBatches(t *testing.T) {
	t.Parallel()
	for _, pipelined := range []bool{true, false} {
		s := faultymx.Start(t)
		if !pipelined {
			s.Offer()
		}
		s.Fail("RCPT:u77@x.test", faultymx.Fault{Reply: "550 5.1.1 nobody"})
		var to []string
		for i := range 130 {
			to = append(to, fmt.Sprintf("u%d@x.test", i))
		}
		out, err := dial(t, s.Addr, quick).Send(t.Context(), message(t, to...))
		if err != nil {
			t.Fatal(err)
		}
		for i := range to {
			want := 250
			if i == 77 {
				want = 550
			}
			if out.Of(i).Code != want {
				t.Errorf("recipient %d: %v", i, out.Of(i))
			}
		}
		if got := s.Messages(); len(got) != 1 || len(got[0].To) != 129 {
			t.Errorf("%d messages", len(got))
		}
	}
}

// Every stage fails in every way; what is said of the recipient, and whether the outcome is unknown, must be right.
func TestFaultsAtEachStage(t *testing.T) {
	t.Parallel()
	for _, stage := range []faultymx.Stage{faultymx.Mail, faultymx.Rcpt, faultymx.Data, faultymx.Body, faultymx.Dot} {
		for _, f := range []faultymx.Fault{
			{Reply: "451 4.3.0 later"}, {Reply: "554 5.3.0 never"}, {Reply: "421 4.3.2 going down"}, {Cut: true}, {Hang: true},
		} {
			for _, pipelined := range []bool{true, false} {
				if stage == faultymx.Body && f.Reply != "" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%+v/%v", stage, f, pipelined), func(t *testing.T) {
					t.Parallel()
					s := faultymx.Start(t)
					if !pipelined {
						s.Offer("SIZE 100000000")
					} else {
						s.Offer("PIPELINING")
					}
					s.Fail(stage, f)
					m := message(t, "bob@x.test")
					if stage == faultymx.Body {
						m.Body = append(m.Body, bytes.Repeat([]byte("a line that fills the socket's buffers\r\n"), 500_000)...)
					}
					start := time.Now()
					out, err := dial(t, s.Addr, quick).Send(t.Context(), m)
					reply := out.Of(0)
					if f.Reply != "" {
						if reply == nil || !strings.HasPrefix(f.Reply, fmt.Sprint(reply.Code)) || reply.Error() != f.Reply {
							t.Errorf("reply %v, error %v, want %s", reply, err, f.Reply)
						}
					} else if reply != nil && reply.Code != 250 || err == nil {
						t.Errorf("reply %v, error %v, want an error", reply, err)
					}
					if want := stage == faultymx.Dot && f.Reply == ""; out.Unknown != want {
						t.Errorf("unknown %v, want %v", out.Unknown, want)
					}
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("took %v", took)
					}
				})
			}
		}
	}
}

func TestNextMessageAfterRefusal(t *testing.T) {
	t.Parallel()
	for _, stage := range []faultymx.Stage{faultymx.Mail, faultymx.Rcpt, faultymx.Data, faultymx.Dot} {
		s := faultymx.Start(t)
		s.Fail(stage, faultymx.Fault{Reply: "550 5.7.1 no", Times: 1})
		c := dial(t, s.Addr, quick)
		for i, want := range []int{550, 250, 250} {
			out, err := c.Send(t.Context(), message(t, "bob@x.test"))
			if err != nil || out.Of(0).Code != want {
				t.Errorf("%s, message %d: %v, %v, want %d", stage, i, out.Of(0), err, want)
			}
		}
	}
}

func TestDialFaults(t *testing.T) {
	t.Parallel()
	for _, stage := range []faultymx.Stage{faultymx.Connect, faultymx.Hello} {
		for _, f := range []faultymx.Fault{{Reply: "421 4.3.2 busy"}, {Cut: true}, {Hang: true}} {
			s := faultymx.Start(t)
			s.Fail(stage, f)
			_, err := smtpclient.Dial(t.Context(), s.Addr, quick)
			failed, ok := errors.AsType[*smtpclient.Error](err)
			if !ok || (failed.Reply != nil) != (f.Reply != "") {
				t.Errorf("%s %+v: got %v", stage, f, err)
			}
		}
	}
	s := faultymx.Start(t)
	s.Stop()
	if _, err := smtpclient.Dial(t.Context(), s.Addr, quick); err == nil {
		t.Error("a refused connection gave no error")
	}
}

func TestHELOForOldServers(t *testing.T) {
	t.Parallel()
	s := faultymx.Start(t)
	s.Fail(faultymx.Hello, faultymx.Fault{Reply: "502 5.5.1 what?"})
	out, err := dial(t, s.Addr, quick).Send(t.Context(), message(t, "bob@x.test"))
	if err != nil || out.Of(0).Code != 250 {
		t.Errorf("got %v, %v", out.Of(0), err)
	}
}

func TestContextEndsTheDialogue(t *testing.T) {
	t.Parallel()
	s := faultymx.Start(t)
	s.Fail(faultymx.Dot, faultymx.Fault{Hang: true})
	config := quick
	config.FinalTimeout = time.Hour
	c := dial(t, s.Addr, config)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	out, err := c.Send(ctx, message(t, "bob@x.test"))
	if err == nil || !out.Unknown {
		t.Errorf("got %+v, %v", out, err)
	}
}

func certificate(t *testing.T) (tls.Certificate, cert.Pair) {
	t.Helper()
	pair := cert.Make(t, t.TempDir())
	c, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return c, pair
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	c, pair := certificate(t)
	s := faultymx.Start(t)
	s.OfferTLS(&c)
	pin := func(want []byte) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, want) {
				return errors.New("another certificate than the pinned one")
			}
			return nil
		}}
	}
	for _, test := range []struct {
		name      string
		security  smtpclient.Security
		tls       *tls.Config
		encrypted bool
		fails     bool
	}{
		{"plain", smtpclient.Plain, nil, false, false},
		{"opportunistic", smtpclient.Opportunistic, nil, true, false},
		{"unknown authority", smtpclient.StartTLS, nil, false, true},
		{"authority", smtpclient.StartTLS, &tls.Config{RootCAs: pair.Pool}, true, false},
		{"authority, wrong name", smtpclient.StartTLS, &tls.Config{RootCAs: pair.Pool, ServerName: "other.test"}, false, true},
		{"pin", smtpclient.StartTLS, pin(pair.DER), true, false},
		{"wrong pin", smtpclient.StartTLS, pin([]byte("x")), false, true},
		{"no authority at all", smtpclient.StartTLS, &tls.Config{RootCAs: x509.NewCertPool()}, false, true},
	} {
		config := quick
		config.Security, config.TLS = test.security, test.tls
		client, err := smtpclient.Dial(t.Context(), s.Addr, config)
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil {
			continue
		}
		if (client.TLSState() != nil) != test.encrypted {
			t.Errorf("%s: encrypted %v", test.name, client.TLSState() != nil)
		}
		if out, err := client.Send(t.Context(), message(t, "bob@x.test")); err != nil || out.Of(0).Code != 250 {
			t.Errorf("%s: %v %v", test.name, out.Of(0), err)
		}
		client.Quit()
	}
}

func TestBrokenTLSFallsBackOnlyWhenOpportunistic(t *testing.T) {
	t.Parallel()
	for _, breakIt := range []func(*faultymx.Server){
		func(s *faultymx.Server) { s.OfferTLS(nil) },
		func(s *faultymx.Server) {
			s.OfferTLS(nil)
			s.Fail(faultymx.StartTLS, faultymx.Fault{Reply: "454 4.7.0 not now"})
		},
	} {
		s := faultymx.Start(t)
		breakIt(s)
		config := quick
		config.Security = smtpclient.Opportunistic
		c := dial(t, s.Addr, config)
		if c.TLSFailure == nil {
			t.Error("the failure is not told")
		}
		if out, err := c.Send(t.Context(), message(t, "bob@x.test")); err != nil || out.Of(0).Code != 250 {
			t.Errorf("got %v, %v", out.Of(0), err)
		}
		config.Security = smtpclient.StartTLS
		if _, err := smtpclient.Dial(t.Context(), s.Addr, config); err == nil {
			t.Error("went on in the clear although TLS is required")
		}
	}
	s := faultymx.Start(t)
	config := quick
	config.Security = smtpclient.StartTLS
	if _, err := smtpclient.Dial(t.Context(), s.Addr, config); err == nil {
		t.Error("went on in the clear although TLS is required")
	}
}

func TestSizeIsCheckedBefore(t *testing.T) {
	t.Parallel()
	s := faultymx.Start(t)
	s.Offer("SIZE 20")
	out, err := dial(t, s.Addr, quick).Send(t.Context(), message(t, "bob@x.test"))
	if err != nil || out.Of(0).Code != 552 || out.Of(0).Enhanced != "5.3.4" {
		t.Errorf("got %v, %v", out.Of(0), err)
	}
	if len(s.Commands()) != 1 {
		t.Errorf("said %q", s.Commands())
	}
}

func TestEightBitAndUTF8(t *testing.T) {
	t.Parallel()
	ascii := []byte("Subject: hi\r\n\r\nbody\r\n")
	body8 := []byte("Subject: hi\r\n\r\ncafé\r\n")
	header8 := []byte("Subject: café\r\n\r\nx\r\n")
	for _, c := range []struct {
		name       string
		offer      []string
		from, to   string
		body       []byte
		bit8, utf8 bool
		code       int
		mail       string
	}{
		{"8 bits", []string{"8BITMIME"}, "a@b.test", "c@d.test", body8, true, false, 250, "<a@b.test> BODY=8BITMIME"},
		{"8 bits, not offered", nil, "a@b.test", "c@d.test", body8, true, false, 250, "<a@b.test>"},
		{"UTF-8", []string{"SMTPUTF8", "8BITMIME"}, "é@b.test", "ü@dé.test", header8, true, true, 250, "<é@b.test> SMTPUTF8 BODY=8BITMIME"},
		{"UTF-8 address, not said", []string{"SMTPUTF8"}, "a@b.test", "ü@d.test", ascii, false, false, 250, "<a@b.test> SMTPUTF8"},
		{"UTF-8 recipient, not offered", nil, "a@b.test", "ü@d.test", ascii, false, true, 553, ""},
		{"UTF-8 sender, not offered", nil, "é@b.test", "c@d.test", ascii, false, true, 553, ""},
		{"UTF-8 header, not offered", nil, "a@b.test", "c@d.test", header8, true, true, 553, ""},
		{"UTF-8 domains, not offered", nil, "a@bé.test", "c@dé.test", ascii, false, true, 250, "<a@xn--b-bga.test>"},
		{"bare LF", nil, "a@b.test", "c@d.test", []byte("Subject: x\n\r\n"), false, false, 554, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := faultymx.Start(t)
			s.Offer(c.offer...)
			m := smtpclient.Message{From: address(t, c.from), To: []mail.Address{address(t, c.to)}, Body: c.body, Bit8: c.bit8, UTF8: c.utf8}
			out, err := dial(t, s.Addr, quick).Send(t.Context(), m)
			if err != nil || out.Of(0).Code != c.code {
				t.Fatalf("got %v, %v", out.Of(0), err)
			}
			got := s.Messages()
			if c.code == 250 && (len(got) != 1 || got[0].From != c.mail || !bytes.Equal(got[0].Data, c.body)) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	s := faultymx.Start(t)
	s.Fail("RCPT:no@x.test", faultymx.Fault{Reply: "550 5.1.1 nobody"})
	c := dial(t, s.Addr, quick)
	for _, test := range []struct {
		to   string
		want int
	}{{"no@x.test", 550}, {"yes@x.test", 250}, {"no@x.test", 550}} {
		answer, err := c.Ask(t.Context(), message(t, test.to))
		if err != nil || answer.Code != test.want {
			t.Errorf("%s: %v, %v", test.to, answer, err)
		}
	}
	if out, err := c.Send(t.Context(), message(t, "yes@x.test")); err != nil || out.Of(0).Code != 250 {
		t.Errorf("afterwards: %v, %v", out.Of(0), err)
	}
	if len(s.Messages()) != 1 {
		t.Error("asking sent a message")
	}
}
