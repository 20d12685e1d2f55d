package imapd

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

	"relais/test/cert"
)

// TestDialogs plays every file of testdata/dialogs against a server with
// ann@example.org, whose password is "secret". A line of one is
//
//	# comment
//	door [tls] [starttls] [noplaintext] [bad=N] [size=N] [user=N]
//	C: a line the client says          R: "bytes in Go's quotes" [times]
//	S: a line the server says          S~ how a line it says begins
//	C2: S2: … of a second client       TLS (the handshake)   CLOSED (by the server)
//	DELIVER <subject> (into the inbox) AFTER <duration> (the clock moves)
func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/dialogs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := dialog{t: t}
			for i, line := range strings.Split(string(text), "\n") {
				d.at = filepath.Base(file) + ":" + strconv.Itoa(i+1)
				d.play(line)
			}
		})
	}
}

type dialog struct {
	t     *testing.T
	at    string
	b     *bundle
	tls   *tls.Config
	talks map[string]*talk
}

type talk struct {
	net.Conn
	r *bufio.Reader
}

func (d *dialog) play(line string) {
	d.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	who := ""
	if len(word) > 2 && word[1] == '2' {
		word, who = word[:1]+word[2:], "2"
	}
	switch word {
	case "", "#":
	case "door":
		d.open(strings.Fields(rest))
	case "DELIVER":
		d.b.Deliver(d.b.ann, rest)
	case "AFTER":
		wait, err := time.ParseDuration(rest)
		if err != nil {
			d.t.Fatalf("%s: %v", d.at, err)
		}
		d.b.Clock.Advance(wait)
	case "C:":
		d.write(who, rest+"\r\n")
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
		d.write(who, strings.Repeat(raw, times))
	case "S:", "S~":
		got, err := d.talk(who).r.ReadString('\n')
		if got != rest+"\r\n" && !(word == "S~" && strings.HasPrefix(got, rest)) {
			d.t.Fatalf("%s: the server said %q, %v", d.at, got, err)
		}
	case "TLS":
		c := tls.Client(d.talk(who).Conn, d.tls)
		if err := c.Handshake(); err != nil {
			d.t.Fatalf("%s: %v", d.at, err)
		}
		d.talks[who] = &talk{c, bufio.NewReader(c)}
	case "CLOSED":
		if b, err := io.ReadAll(d.talk(who).r); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			d.t.Fatalf("%s: the server said %q, %v", d.at, b, err)
		}
	default:
		d.t.Fatalf("%s: %q is no word of a dialog", d.at, word)
	}
}

// open makes a server.
func (d *dialog) open(words []string) {
	d.t.Helper()
	pair := cert.Make(d.t, d.t.TempDir())
	d.tls = &tls.Config{RootCAs: pair.Pool, ServerName: "localhost"}
	loaded, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		d.t.Fatal(err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{loaded}}
	d.talks = map[string]*talk{}
	d.b = setup(d.t, func(cfg *Config) {
		for _, w := range words {
			key, value, _ := strings.Cut(w, "=")
			n, _ := strconv.Atoi(value)
			switch key {
			case "tls":
				cfg.TLS, cfg.ImplicitTLS = server, true
			case "starttls":
				cfg.TLS = server
			case "noplaintext":
				cfg.PlaintextAuth = false
			case "bad":
				cfg.MaxBad = n
			case "size":
				cfg.MaxMessage = int64(n)
			case "user":
				cfg.MaxPerUser = n
			default:
				d.t.Fatalf("%s: %q is no word of a door", d.at, w)
			}
		}
	})
}

// talk is the client's connection, made when it first speaks or listens.
func (d *dialog) talk(who string) *talk {
	d.t.Helper()
	if c := d.talks[who]; c != nil {
		return c
	}
	nc, err := net.Dial("tcp", d.b.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	d.talks[who] = &talk{nc, bufio.NewReader(nc)}
	return d.talks[who]
}

func (d *dialog) write(who, s string) {
	d.t.Helper()
	// A server that has closed may reset what is still being sent.
	if _, err := io.WriteString(d.talk(who).Conn, s); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		d.t.Fatalf("%s: %v", d.at, err)
	}
}
