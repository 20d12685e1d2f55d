package smtpd

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"relais/internal/admit"
	"relais/internal/clock"
)

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	_, addr := start(t, Config{MaxConnections: 1}, &recorder{})
	first := talk(t, addr)
	first.hear("220 ")
	talk(t, addr).hear("421 4.3.2 ")
	first.say("QUIT")
	first.hear("221 ")

	_, addr = start(t, Config{MaxPerIP: 1}, &recorder{})
	talk(t, addr).hear("220 ")
	talk(t, addr).hear("421 4.7.0 ")

	s, addr := start(t, Config{MaxPerIP: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, &recorder{})
	for range 3 {
		talk(t, addr).hear("220 ")
	}
	if n := s.Stats(); n.Open != 3 || n.TurnedAway != 0 {
		t.Errorf("%+v", n)
	}
}

func TestMemoryForMessagesIsBounded(t *testing.T) {
	t.Parallel()
	const size = 100_000
	h := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	memory := admit.NewMemory(2*(size+2*spare), 10*time.Millisecond)
	s, addr := start(t, Config{MaxSize: size, Memory: memory}, h)
	big := strings.Repeat("0123456789\r\n", 7000)

	first := talk(t, addr)
	first.toData()
	first.say("%s.", big)
	<-h.entered // it holds most of the memory

	second := talk(t, addr)
	second.toData() // the little it begins with is there
	second.say("%s.", big)
	second.hear("452 4.3.1 ")

	close(h.proceed)
	first.hear("250 ")
	second.say("MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nDATA")
	for _, code := range []string{"250 ", "250 ", "354 "} {
		second.hear(code)
	}
	second.say("%s.", big)
	<-h.entered
	second.hear("250 ")
	for range 2 {
		if m, ok := h.take(); !ok || m.body != big {
			t.Errorf("%d bytes arrived", len(m.body))
		}
	}
	second.say("QUIT")
	second.hear("221 ")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if memory.Acquire(context.Background(), memory.Limit()) != nil {
		t.Error("memory was not given back")
	}
}

func TestDeclaredSizeIsBelievedInPart(t *testing.T) {
	t.Parallel()
	b := &body{memory: admit.NewMemory(1<<30, 0), max: 50 << 20, declared: 50 << 20}
	grow := b.grow(context.Background())
	first, err := grow(nil)
	if err != nil || cap(first) != trusted {
		t.Fatalf("%d bytes, %v", cap(first), err)
	}
	grown, err := grow(first[:cap(first)])
	if err != nil || len(grown) != trusted || cap(grown) != 2*trusted {
		t.Fatalf("then %d, %v", cap(grown), err)
	}
	small := &body{memory: b.memory, max: 50 << 20, declared: 3000}
	if first, err = small.grow(context.Background())(nil); err != nil || cap(first) != 3000+spare {
		t.Fatalf("a small one: %d, %v", cap(first), err)
	}
}

func TestFailedSignInsAreBounded(t *testing.T) {
	t.Parallel()
	h := &recorder{}
	hour := clock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	_, addr := start(t, Config{Mode: Submission, PlaintextAuth: true, Clock: hour, MaxBad: 1000}, h)
	c := talk(t, addr)
	c.hear("220 ")
	c.say("EHLO laptop")
	for range 8 {
		c.hear("250")
	}
	const failures = 10 // of one name from one address
	const wrong, right = "AUTH PLAIN AGFubkBleGFtcGxlLm9yZwB3cm9uZw==", "AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBzZWNyZXQ="
	for range failures {
		c.say(wrong)
		c.hear("535 ")
	}
	c.say(right)
	c.hear("454 4.7.0 ")
	if n := h.tries(); n != failures {
		t.Errorf("%d tries", n)
	}
	hour.Advance(10 * time.Minute)
	c.say(right)
	c.hear("235 ")
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{},
		{Hostname: "mx.example.org", ImplicitTLS: true},
		{Hostname: "mx.example.org", Mode: Submission},
		{Hostname: "mx.example.org", Memory: admit.NewMemory(50<<20, 0)},
	} {
		if _, err := New(cfg, &recorder{}); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
