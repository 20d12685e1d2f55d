package smtpd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDialogs plays every file of testdata/dialogs against a server. A line of one is
//
//	# comment
//	door mx|submission [starttls] [tls] [plaintext] [size=N] [recipients=N] [bad=N]
//	S: a line the server says, exactly     S~ how a line it says begins
//	C: a line the client says              R: "bytes in Go's quotes" [times]
//	TLS (the handshake)                    CLOSED (the server has ended the connection)
//	GOT <from> <to> … "body"               NONE (no further message was taken)
func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/dialogs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	serverTLS, clientTLS := certificate(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := dialog{t: t, serverTLS: serverTLS, clientTLS: clientTLS}
			for i, line := range strings.Split(string(text), "\n") {
				d.at = filepath.Base(file) + ":" + strconv.Itoa(i+1)
				d.play(line)
			}
		})
	}
}

type dialog struct {
	t                    *testing.T
	at                   string
	serverTLS, clientTLS *tls.Config
	handler              *recorder
	conn                 net.Conn
	r                    *bufio.Reader
}

func (d *dialog) play(line string) {
	d.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
	case "door":
		d.open(strings.Fields(rest))
	case "C:":
		d.write(rest + "\r\n")
	case "R:":
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			d.t.Fatalf("%s: %v", d.at, err)
		}
		raw, _ := strconv.Unquote(quoted)
		times, err := strconv.Atoi(strings.TrimSpace(rest[len(quoted):]))
		if err != nil {
			times = 1
		}
		d.write(strings.Repeat(raw, times))
	case "S:", "S~":
		got, err := d.r.ReadString('\n')
		ok := got == rest+"\r\n"
		if word == "S~" {
			ok = strings.HasPrefix(got, rest)
		}
		if !ok {
			d.t.Fatalf("%s: the server said %q, %v", d.at, got, err)
		}
	case "TLS":
		c := tls.Client(d.conn, d.clientTLS)
		if err := c.Handshake(); err != nil {
			d.t.Fatalf("%s: %v", d.at, err)
		}
		d.conn, d.r = c, bufio.NewReader(c)
	case "CLOSED":
		if b, err := io.ReadAll(d.r); len(b) > 0 || err != nil {
			d.t.Fatalf("%s: the server said %q, %v", d.at, b, err)
		}
	case "GOT":
		m, ok := d.handler.take()
		if !ok {
			d.t.Fatalf("%s: no message", d.at)
		}
		got := "<" + m.tx.MailFrom.String() + ">"
		for _, r := range m.tx.Recipients {
			got += " <" + r.Address.String() + ">"
		}
		if got += " " + strconv.Quote(m.body); got != rest {
			d.t.Fatalf("%s: got %s", d.at, got)
		}
	case "NONE":
		if m, ok := d.handler.take(); ok {
			d.t.Fatalf("%s: got %q", d.at, m.body)
		}
	default:
		d.t.Fatalf("%s: %q is no word of a dialog", d.at, word)
	}
}

func (d *dialog) write(s string) {
	d.t.Helper()
	// A server that has closed may reset what is still being sent.
	if _, err := io.WriteString(d.conn, s); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		d.t.Fatalf("%s: %v", d.at, err)
	}
}

// open starts a server and connects to it.
func (d *dialog) open(words []string) {
	d.t.Helper()
	var cfg Config
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "mx":
		case "submission":
			cfg.Mode = Submission
		case "starttls":
			cfg.TLS = d.serverTLS
		case "tls":
			cfg.TLS, cfg.ImplicitTLS = d.serverTLS, true
		case "plaintext":
			cfg.PlaintextAuth = true
		case "size":
			cfg.MaxSize = int64(n)
		case "recipients":
			cfg.MaxRecipients = n
		case "bad":
			cfg.MaxBad = n
		default:
			d.t.Fatalf("%s: %q is no word of a door", d.at, w)
		}
	}
	d.handler = &recorder{}
	_, addr := start(d.t, cfg, d.handler)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		d.t.Fatal(err)
	}
	d.conn, d.r = conn, bufio.NewReader(conn)
}
