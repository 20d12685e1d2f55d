// Package dialogtest plays dialogs with a server that are written down line by line.
package dialogtest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
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

// patience is how long a client waits for what the server is to say.
const patience = 20 * time.Second

// Door is a server that a dialog speaks with.
type Door struct {
	Addr  string
	TLS   *tls.Config                        // the client's side of the handshake
	Words map[string]func(rest string) error // words of its own, given the rest of their line
}

// Option is a word of a door line, as tls or size=9.
type Option struct {
	Name  string
	Value int // 0 if it has none
}

// Run plays every file of testdata/dialogs in a subtest of its own. The server
// is open's, made of the options of the door line; an option that open does not
// know is its error. A line is
//
//	# comment
//	door <option> …                    a new server
//	C: a line the client says          R: "bytes in Go's quotes" [times]
//	S: a line the server says          S~ how a line it says begins
//	C2: S2: … of a second client       TLS (the handshake)
//	CLOSED (by the server, in order)   RESET (or so, since it had not read all that was said)
//
// or begins with a word of the door's own. A client connects when it first speaks or listens.
func Run(t *testing.T, open func(t *testing.T, options []Option) (*Door, error)) {
	t.Helper()
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
			d := dialog{t: t, open: open}
			for i, line := range strings.Split(string(text), "\n") {
				if err := d.play(line); err != nil {
					t.Fatalf("%s:%d: %v", filepath.Base(file), i+1, err)
				}
			}
		})
	}
}

// TLS makes a certificate for localhost: a server's side of a handshake, and a client's.
func TLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	pair := cert.Make(t, t.TempDir())
	loaded, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{loaded}}, &tls.Config{RootCAs: pair.Pool, ServerName: "localhost"}
}

// dialog is a file that is being played.
type dialog struct {
	t       *testing.T
	open    func(*testing.T, []Option) (*Door, error)
	door    *Door
	clients map[string]*client // by what stands before the colon of their words: "" or "2"
}

type client struct {
	net.Conn
	r *bufio.Reader
}

// play carries out a line. The error says what was other than the line says.
func (d *dialog) play(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
		return nil
	case "door":
		return d.openDoor(strings.Fields(rest))
	}
	if d.door == nil {
		return errors.New("a door line comes first")
	}
	if own := d.door.Words[word]; own != nil {
		return own(rest)
	}
	who := ""
	if len(word) == 3 && word[1] == '2' {
		word, who = word[:1]+word[2:], "2"
	}
	c, err := d.client(who)
	if err != nil {
		return err
	}
	switch word {
	case "C:":
		return c.say(rest + "\r\n")
	case "R:":
		return c.sayRaw(rest)
	case "S:", "S~":
		got, err := c.r.ReadString('\n')
		if got != rest+"\r\n" && (word != "S~" || !strings.HasPrefix(got, rest)) {
			return fmt.Errorf("the server said %q, %v", got, err)
		}
		return nil
	case "TLS":
		over := tls.Client(c.Conn, d.door.TLS)
		d.clients[who] = &client{over, bufio.NewReader(over)}
		return over.Handshake()
	case "CLOSED", "RESET":
		b, err := io.ReadAll(c.r)
		if len(b) > 0 || err != nil && (word != "RESET" || !errors.Is(err, syscall.ECONNRESET)) {
			return fmt.Errorf("the server said %q, %v", b, err)
		}
		return nil
	}
	return fmt.Errorf("%q is no word of a dialog", word)
}

func (d *dialog) openDoor(words []string) (err error) {
	var options []Option
	for _, w := range words {
		name, value, given := strings.Cut(w, "=")
		o := Option{Name: name}
		if given {
			if o.Value, err = strconv.Atoi(value); err != nil {
				return err
			}
		}
		options = append(options, o)
	}
	d.clients = map[string]*client{}
	d.door, err = d.open(d.t, options)
	return err
}

func (d *dialog) client(who string) (*client, error) {
	if c := d.clients[who]; c != nil {
		return c, nil
	}
	nc, err := net.Dial("tcp", d.door.Addr)
	if err != nil {
		return nil, err
	}
	d.t.Cleanup(func() { nc.Close() })
	d.clients[who] = &client{nc, bufio.NewReader(nc)}
	return d.clients[who], nc.SetDeadline(time.Now().Add(patience))
}

func (c *client) say(s string) error {
	_, err := io.WriteString(c.Conn, s)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil // a server that has closed may reset what is still being sent
	}
	return err
}

// sayRaw says bytes in Go's quotes, as often as a number behind them says.
func (c *client) sayRaw(rest string) error {
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return err
	}
	raw, err := strconv.Unquote(quoted)
	if err != nil {
		return err
	}
	times := 1
	if n := strings.TrimSpace(rest[len(quoted):]); n != "" {
		if times, err = strconv.Atoi(n); err != nil {
			return err
		}
	}
	return c.say(strings.Repeat(raw, times))
}
