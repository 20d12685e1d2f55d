package smtp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
)

// sink is a go-smtp server that keeps the messages it gets.
type sink struct{ got chan []byte }

func (s sink) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return s, nil }
func (s sink) Mail(string, *gosmtp.MailOptions) error          { return nil }
func (s sink) Rcpt(string, *gosmtp.RcptOptions) error          { return nil }
func (s sink) Reset()                                          {}
func (s sink) Logout() error                                   { return nil }
func (s sink) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.got <- b
	return err
}

// TestClientSideAgainstAnIndependentServer speaks to go-smtp's server with what
// the package offers a client: replies read, dots stuffed.
func TestClientSideAgainstAnIndependentServer(t *testing.T) {
	t.Parallel()
	s := sink{make(chan []byte, 1)}
	server := gosmtp.NewServer(s)
	server.Domain = "sink.example"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := NewReader(conn)
	expect := func(code int) {
		t.Helper()
		reply, err := ReadReply(r)
		if err != nil || reply.Code != code {
			t.Fatalf("%v, %v, want %d", reply, err, code)
		}
	}
	expect(220)
	for _, step := range []struct {
		line string
		code int
	}{{"EHLO me.example", 250}, {"MAIL FROM:<a@me.example>", 250}, {"RCPT TO:<b@sink.example>", 250}, {"DATA", 354}} {
		fmt.Fprintf(conn, "%s\r\n", step.line)
		expect(step.code)
	}
	body := "Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n" + strings.Repeat("x", 900) + "\r\n\r\n.end\r\n"
	w := NewDotWriter(conn)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	expect(250)
	if got := <-s.got; !bytes.Equal(got, []byte(body)) {
		t.Errorf("arrived as %q", got)
	}
}
