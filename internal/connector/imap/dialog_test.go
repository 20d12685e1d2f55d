package imapconn

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// dial connects to a scripted server. The script's lines:
//
//	S: text    the server sends the line
//	S- text    the same without a line end
//	C: text    the client must send exactly this line; its tags are R1, R2 …
//	CLOSE      the server hangs up
//	STALL      the server neither reads nor writes any more
//
// The server hangs up after the last line. The test ends when the whole script was played.
func dial(t *testing.T, script string, change ...func(*Config)) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), dialog(t, script, change...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dialog(t *testing.T, script string, change ...func(*Config)) Config {
	t.Helper()
	there, here := net.Pipe()
	played := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(played)
		play(t, there, script, stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-played
	})
	cfg := Config{Addr: "primary.example:143", TLS: TLSNone, Timeout: 10 * time.Second,
		Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func play(t *testing.T, conn net.Conn, script string, stop <-chan struct{}) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for line := range strings.Lines(strings.TrimLeft(script, "\n")) {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\n"), "\t")
		word, text, _ := strings.Cut(line, " ")
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		switch word {
		case "S:", "S-":
			if word == "S:" {
				text += "\r\n"
			}
			if _, err := conn.Write([]byte(text)); err != nil {
				return // the client has heard enough
			}
		case "C:":
			got, err := r.ReadString('\n')
			if got != text+"\r\n" {
				t.Errorf("client sent %q (%v), want %q", got, err, text)
				return
			}
		case "CLOSE":
			return
		case "STALL":
			<-stop
			return
		}
	}
}

// signedIn is the start of most dialogs; a mailbox is open and the next tag is R4.
const signedIn = `
	S: * OK [CAPABILITY IMAP4rev1 UIDPLUS LITERAL+ MOVE UNSELECT IDLE ESEARCH CONDSTORE QRESYNC ENABLE MULTIAPPEND] hi
	C: R1 LOGIN "ann" "secret"
	S: R1 OK [CAPABILITY IMAP4rev1 UIDPLUS LITERAL+ MOVE UNSELECT IDLE ESEARCH CONDSTORE QRESYNC ENABLE MULTIAPPEND] in
	C: R2 ENABLE QRESYNC
	S: * ENABLED QRESYNC
	S: R2 OK enabled
	C: R3 SELECT INBOX (CONDSTORE)
	S: * 3 EXISTS
	S: * OK [UIDVALIDITY 7] .
	S: * OK [UIDNEXT 10] .
	S: * OK [HIGHESTMODSEQ 90] .
	S: R3 OK [READ-WRITE] selected
`

// open plays signedIn and then the script.
func open(t *testing.T, script string, h Handler, change ...func(*Config)) *Conn {
	t.Helper()
	c := dial(t, signedIn+script, change...)
	if err := c.SignIn(t.Context(), Credentials{Login: "ann", Secret: "secret"}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Select(t.Context(), "INBOX", SelectOptions{Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	if s.Exists != 3 || s.UIDValidity != 7 || s.UIDNext != 10 || s.HighestModSeq != 90 || s.ReadOnly {
		t.Fatalf("selected %+v", s)
	}
	return c
}
