package probe_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/test/cert"
	"relais/test/faultymx"
)

func target(addr string) probe.Target {
	return probe.Target{
		Domain:  directory.Domain{Name: "example.org"},
		Primary: directory.Primary{SMTPAddr: addr, SMTPTLS: directory.TLSNone},
		People:  []directory.Person{{Email: "ann@example.org"}, {Email: "bob@example.org"}},
	}
}

func ask(t *testing.T, in probe.Target) probe.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return probe.Dialogue{Hello: "relais.test"}.Probe(ctx, in)
}

func TestDialogueUpToRecipient(t *testing.T) {
	t.Parallel()
	mx := faultymx.Start(t)
	r := ask(t, target(mx.Addr))
	if !r.OK || r.Banner != "faulty.test ESMTP" {
		t.Fatalf("%+v", r)
	}
	got := strings.Join(mx.Commands(), " | ")
	for _, want := range []string{"EHLO relais.test", "MAIL FROM:<>", "RCPT TO:<ann@example.org>", "RSET"} {
		if !strings.Contains(got, want) {
			t.Errorf("the dialogue %q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "DATA") || len(mx.Messages()) != 0 {
		t.Errorf("the probe sends a message: %q", got)
	}
}

func TestDialogueFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at faultymx.Stage
		f  faultymx.Fault
		ok bool
	}{
		"never greets":              {faultymx.Connect, faultymx.Fault{Hang: true}, false},
		"greets with 421":           {faultymx.Connect, faultymx.Fault{Reply: "421 4.3.2 shutting down"}, false},
		"never answers EHLO":        {faultymx.Hello, faultymx.Fault{Hang: true}, false},
		"never answers RCPT":        {faultymx.Rcpt, faultymx.Fault{Hang: true}, false},
		"cannot look people up":     {faultymx.Rcpt, faultymx.Fault{Reply: "451 4.3.0 lookup failed"}, false},
		"knows nobody any more":     {faultymx.Rcpt, faultymx.Fault{Reply: "550 5.1.1 unknown"}, false},
		"one person has left":       {"RCPT:ann@example.org", faultymx.Fault{Reply: "550 5.1.1 unknown"}, true},
		"cuts the connection":       {faultymx.Mail, faultymx.Fault{Cut: true}, false},
		"refuses the empty sender":  {faultymx.Mail, faultymx.Fault{Reply: "451 4.7.1 not now"}, false},
		"takes everything as usual": {faultymx.Data, faultymx.Fault{Reply: "451 4.3.0 never reached"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mx := faultymx.Start(t)
			mx.Fail(c.at, c.f)
			if r := ask(t, target(mx.Addr)); r.OK != c.ok || r.Words == "" {
				t.Errorf("%+v", r)
			}
		})
	}
	if r := ask(t, target("127.0.0.1:1")); r.OK || r.Words == "" {
		t.Errorf("nobody listens: %+v", r)
	}
}

func TestCertificateThatIsNotTheTrustedOneIsADoubt(t *testing.T) {
	t.Parallel()
	mx := faultymx.Start(t)
	pair := cert.Make(t, t.TempDir())
	both, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	mx.OfferTLS(&both)
	leaf, err := x509.ParseCertificate(pair.DER)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	pin := hex.EncodeToString(sum[:])
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.DER}))
	for name, c := range map[string]struct {
		change func(*directory.Primary)
		doubt  probe.Doubt
	}{
		"the pin":            {func(p *directory.Primary) { p.PinSMTP = strings.ToUpper(pin) }, probe.NoDoubt},
		"its own authority":  {func(p *directory.Primary) { p.CAPEM = ca }, probe.NoDoubt},
		"another pin":        {func(p *directory.Primary) { p.PinSMTP = strings.Repeat("0", 64) }, probe.Certificate},
		"no known authority": {func(*directory.Primary) {}, probe.Certificate},
	} {
		t.Run(name, func(t *testing.T) {
			in := target(mx.Addr)
			in.Primary.SMTPTLS = directory.TLSStart
			c.change(&in.Primary)
			r := ask(t, in)
			if !r.OK || r.Doubt != c.doubt || (c.doubt != probe.NoDoubt && r.Pin != pin) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// inbox is the probe mailbox of a server whose messages can be looked at.
type inbox struct {
	mx    *faultymx.Server
	mu    sync.Mutex
	taken []string
}

func (b *inbox) Take(_ context.Context, _ probe.Target, id string) (bool, error) {
	for _, m := range b.mx.Messages() {
		if strings.Contains(string(m.Data), "\r\n"+probe.Header+": "+id+"\r\n") {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.taken = append(b.taken, id)
			return true, nil
		}
	}
	return false, nil
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	mx := faultymx.Start(t)
	box := &inbox{mx: mx}
	trip := probe.RoundTrip{Dialogue: probe.Dialogue{Hello: "relais.test"}, Mailbox: box, Every: 10 * time.Millisecond}
	in := target(mx.Addr)
	in.Primary.ProbeAddress = "probe@example.org"
	within := func(d time.Duration) probe.Result {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return trip.Probe(ctx, in)
	}
	if r := within(5 * time.Second); !r.OK || len(box.taken) != 1 {
		t.Fatalf("%+v", r)
	}
	if m := mx.Messages()[0]; m.To[0] != "probe@example.org" {
		t.Errorf("sent to %v", m.To)
	}
	mx.Fail(faultymx.Dot, faultymx.Fault{Reply: "451 4.3.0 queue file write error"})
	if r := within(5 * time.Second); r.OK || !strings.Contains(r.Words, "451") {
		t.Errorf("%+v", r)
	}
	mx.Fail(faultymx.Dot, faultymx.Fault{})
	trip.Mailbox = nowhere{}
	if r := within(100 * time.Millisecond); r.OK || !strings.Contains(r.Words, "not arrived") {
		t.Errorf("accepted and never delivered: %+v", r)
	}
}

// nowhere is a mailbox that mail never reaches.
type nowhere struct{}

func (nowhere) Take(context.Context, probe.Target, string) (bool, error) { return false, nil }
