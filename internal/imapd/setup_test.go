package imapd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/internal/db"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/record/recordtest"
)

// people is the directory of the tests: everyone's password is "secret".
type people struct{ b *recordtest.Bundle }

func (p people) Verify(ctx context.Context, email, password, _ string) (who directory.Person, err error) {
	err = p.b.Engine().View(ctx, func(ctx context.Context, tx db.Tx) error {
		who, err = directory.In(tx, p.b.Clock.Now(), nil).PersonByEmail(ctx, email)
		return err
	})
	if err != nil || password != "secret" {
		return who, fault.New(fault.Unauthenticated, "user name or password is wrong")
	}
	return who, nil
}

// bundle is a server over a record with ann@example.org.
type bundle struct {
	*recordtest.Bundle
	server *Server
	addr   string
	ann    directory.Person
}

func setup(t testing.TB, change func(*Config)) *bundle {
	t.Helper()
	b := &bundle{Bundle: recordtest.SQLite(t)}
	b.ann = b.Person("ann")
	cfg := Config{Hostname: "mail.example.org", PlaintextAuth: true, Clock: b.Clock, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.server, err = New(cfg, b.Store, people{b.Bundle}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	done := make(chan error)
	go func() { done <- b.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// client speaks raw IMAP with a server, ours or another's.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
	c := &client{t, nc, bufio.NewReader(nc)}
	c.response()
	return c
}

// signIn is dial and LOGIN.
func signIn(t testing.TB, addr, user, password string) *client {
	t.Helper()
	c := dial(t, addr)
	c.ok(fmt.Sprintf("LOGIN %s %s", user, password))
	return c
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
}

// response reads one response with its literals, without its line's end.
func (c *client) response() string {
	c.t.Helper()
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%v after %q", err, b.String()+line)
		}
		b.WriteString(line)
		var n int64
		if i := strings.LastIndexByte(line, '{'); i < 0 || !strings.HasSuffix(line, "}\r\n") {
			return strings.TrimSuffix(b.String(), "\r\n")
		} else if _, err := fmt.Sscanf(line[i:], "{%d}", &n); err != nil {
			return strings.TrimSuffix(b.String(), "\r\n")
		}
		if _, err := io.CopyN(&b, c.r, n); err != nil {
			c.t.Fatal(err)
		}
	}
}

// do sends a command and returns the untagged responses and the end.
func (c *client) do(command string) (untagged []string, end string) {
	c.t.Helper()
	c.write("x " + command + "\r\n")
	for {
		r := c.response()
		if rest, ok := strings.CutPrefix(r, "x "); ok {
			return untagged, rest
		}
		untagged = append(untagged, r)
	}
}

// ok is do for a command that must succeed.
func (c *client) ok(command string) []string {
	c.t.Helper()
	untagged, end := c.do(command)
	if !strings.HasPrefix(end, "OK") {
		c.t.Fatalf("%.100s: %s", command, end)
	}
	return untagged
}

func (c *client) append(box string, raw []byte) string {
	c.t.Helper()
	c.write(fmt.Sprintf("x APPEND %s {%d+}\r\n%s\r\n", box, len(raw), raw))
	for {
		if rest, ok := strings.CutPrefix(c.response(), "x "); ok {
			return rest
		}
	}
}

// corpus is the odd mail of internal/mime, by name.
func corpus(t testing.TB) (names []string, raws [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../mime/testdata/odd/*.eml")
	if err != nil || len(files) < 100 {
		t.Fatalf("corpus: %d files, %v", len(files), err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 0 { // Dovecot, too, takes no empty message
			names, raws = append(names, strings.TrimSuffix(filepath.Base(f), ".eml")), append(raws, raw)
		}
	}
	return names, raws
}

// plain writes the value of a FETCH response so that servers' liberties do not
// matter: strings quoted alike, one space between all, names in capitals.
func plain(response string) string {
	_, value, _ := strings.Cut(response, " FETCH ")
	var b strings.Builder
	d := imap.NewDecoder(strings.NewReader(value+"\r\n"), imap.DecoderOptions{MaxString: 10 << 20, MaxDepth: 500})
	plainValue(d, &b)
	if err := d.Err(); err != nil {
		return "unreadable: " + err.Error() + ": " + value
	}
	return b.String()
}

func plainValue(d *imap.Decoder, b *strings.Builder) {
	switch c := d.Peek(); {
	case c == '(':
		b.WriteString("(")
		d.List(func() { plainValue(d, b) })
		b.WriteString(")")
	case c == '"' || c == '{':
		fmt.Fprintf(b, "%q ", strings.TrimLeft(d.String(), " "))
	case c == '\\':
		b.WriteString(d.Flag() + " ")
	default:
		item := d.FetchItem()
		b.WriteString(item.Name)
		if item.Section != nil {
			b.WriteString("[" + strings.ToUpper(item.Section.String()) + "]")
		}
		if item.Partial != nil {
			fmt.Fprintf(b, "<%d>", item.Partial.Offset)
		}
		b.WriteString(" ")
	}
}
