package app

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"relais/internal/clock"
	"relais/internal/config"
	"relais/internal/directory"
	"relais/internal/record/recordtest"
)

// line talks one line of a protocol at a time.
type line struct {
	net.Conn
	r *bufio.Reader
}

// start serves a door until the test ends, and returns a client of it.
func (d *door) start(t *testing.T) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.run(l)(t.Context()) }() // the context ends before the clean-ups
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &line{nc, bufio.NewReader(nc)}
}

// ask says a line and returns the first one heard that begins with one of the words.
func (l *line) ask(t *testing.T, say string, words ...string) string {
	t.Helper()
	if _, err := fmt.Fprintf(l, "%s\r\n", say); err != nil {
		t.Fatal(err)
	}
	for {
		heard, err := l.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if strings.HasPrefix(heard, w) {
				return heard
			}
		}
	}
}

// Guesses count over all doors together: what is blocked at one is at the other.
func TestGuessesCountOverBothDoors(t *testing.T) {
	t.Parallel()
	b := recordtest.SQLite(t)
	b.Person("ann")
	log := slog.New(slog.DiscardHandler)
	auth, err := directory.NewAuthenticator(b.Engine(), clock.System{}, log)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(t.TempDir())
	cfg.Hostname, cfg.SignIn.Plaintext, cfg.SignIn.Exempt = "mail.example.org", true, nil
	doors, err := newDoors(&cfg, nil, b.Store, nil, auth, log)
	if err != nil {
		t.Fatal(err)
	}
	imap, smtp := doors.imap.start(t), doors.submission.start(t)
	smtp.ask(t, "EHLO laptop", "250 ")

	plain := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00ann@example.org\x00wrong"))
	guess := func() (overIMAP, overSMTP string) {
		return imap.ask(t, "a LOGIN Ann@example.org wrong", "a "), smtp.ask(t, plain, "454 ", "535 ")
	}
	for i := range 5 {
		overIMAP, overSMTP := guess()
		if !strings.HasPrefix(overIMAP, "a NO [AUTHENTICATIONFAILED]") || !strings.HasPrefix(overSMTP, "535 ") {
			t.Fatalf("guess %d: %q, %q", i+1, overIMAP, overSMTP)
		}
	}
	overIMAP, overSMTP := guess()
	if !strings.HasPrefix(overIMAP, "a NO [THROTTLED]") || !strings.HasPrefix(overSMTP, "454 ") {
		t.Errorf("after ten: %q, %q", overIMAP, overSMTP)
	}
}
