package smtpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// talker is a connection for tests that need more than a dialog.
type talker struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func talk(t testing.TB, addr string) *talker {
	t.Helper()
	conn := dial(t, addr)
	return &talker{t, conn, bufio.NewReader(conn)}
}

func (c *talker) say(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format+"\r\n", args...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *talker) hear(prefix string) {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("heard %q, %v; want %s", line, err, prefix)
	}
}

// toData leads a dialogue up to 354.
func (c *talker) toData() {
	c.t.Helper()
	c.hear("220 ")
	c.say("HELO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nDATA")
	for _, code := range []string{"250 ", "250 ", "250 ", "354 "} {
		c.hear(code)
	}
}

func TestShutdownLetsMessagesFinish(t *testing.T) {
	t.Parallel()
	h := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	s, addr := start(t, Config{}, h)
	idle, sending, filing := talk(t, addr), talk(t, addr), talk(t, addr)
	idle.hear("220 ")
	sending.toData()
	filing.toData()
	filing.say("one\r\n.")
	<-h.entered

	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	idle.hear("421 4.3.2 ")
	idle.conn.Close()

	close(h.proceed)
	filing.hear("250 2.0.0 ")
	filing.hear("421 4.3.2 ")
	filing.conn.Close()
	sending.say("two\r\n.")
	<-h.entered
	sending.hear("250 2.0.0 ")
	sending.hear("421 4.3.2 ")
	sending.conn.Close()
	if err := <-down; err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still accepts")
	}
	if n := s.Stats(); n.Messages != 2 || n.Open != 0 || n.Connections != 3 {
		t.Errorf("%+v", n)
	}
}

func TestShutdownCutsOffWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	h := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	s, addr := start(t, Config{}, h)
	sending, filing := talk(t, addr), talk(t, addr)
	sending.toData()
	filing.toData()
	filing.say("one\r\n.")
	<-h.entered
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, ok := h.take(); ok {
		t.Error("a message was taken whose filing was broken off")
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	_, addr := start(t, Config{Timeouts: Timeouts{Command: 20 * time.Millisecond, Block: 20 * time.Millisecond}}, &recorder{})
	idle := talk(t, addr)
	idle.hear("220 ")
	idle.hear("421 4.4.2 ")

	_, addr = start(t, Config{Timeouts: Timeouts{Block: 20 * time.Millisecond}}, &recorder{})
	sending := talk(t, addr)
	sending.toData()
	sending.say("and then nothing")
	sending.hear("421 4.4.2 ")
}
