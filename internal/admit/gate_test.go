package admit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// echo is a protocol: the server says hello, then what it hears, and bye when interrupted.
type echo struct {
	nc          net.Conn
	interrupted chan struct{}
	once        sync.Once
}

func (e *echo) Interrupt() { e.once.Do(func() { close(e.interrupted) }) }

func (e *echo) Serve(ctx context.Context) {
	defer e.nc.Close()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = e.nc.Write([]byte("hello\n"))
		_, _ = io.Copy(e.nc, e.nc)
	}()
	select {
	case <-heard:
	case <-ctx.Done():
	case <-e.interrupted:
		_, _ = e.nc.Write([]byte("bye\n"))
	}
}

// deaf is a protocol that does not let itself be interrupted.
type deaf struct{ *echo }

func (deaf) Interrupt() {}

// bundle is a gate, with its guests in the order in which they came.
type bundle struct {
	*Gate
	guests chan *Guest
}

func setup(cfg Config) *bundle {
	b := &bundle{guests: make(chan *Guest, 100)}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 100
	}
	if cfg.MaxPerSource == 0 {
		cfg.MaxPerSource = 100
	}
	open := cfg.Open
	cfg.Open = func(g *Guest) Client {
		b.guests <- g
		if open != nil {
			return open(g)
		}
		return &echo{nc: g.Conn, interrupted: make(chan struct{})}
	}
	cfg.Refuse = func(why Reason) string { return string(why) + "\n" }
	cfg.Log = slog.New(slog.DiscardHandler)
	b.Gate = New(cfg)
	return b
}

// from is a connection that comes from an address.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addr)) }

// come has a client come to the gate, and returns it with the first line it hears.
func (b *bundle) come(t *testing.T, addr string) (client net.Conn, heard string) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	go b.Admit(from{server, addr})
	return client, hear(t, client)
}

func hear(t *testing.T, client net.Conn) string {
	t.Helper()
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	var line []byte
	for !bytes.HasSuffix(line, []byte("\n")) {
		b := make([]byte, 1)
		if _, err := client.Read(b); err != nil {
			t.Fatalf("%v after %q", err, line)
		}
		line = append(line, b...)
	}
	return string(line[:len(line)-1])
}

func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(Config{MaxConnections: 5, MaxPerSource: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		want := func(addr, want string) net.Conn {
			t.Helper()
			client, heard := b.come(t, addr)
			if heard != want {
				t.Errorf("from %s: heard %q", addr, heard)
			}
			return client
		}
		want("[2001:db8::1]:1", "hello")
		first := <-b.guests
		leaves := want("[2001:db8::2]:1", "hello")
		<-b.guests
		want("[2001:db8::3]:1", string(SourceFull))
		want("[2001:db8:0:1::3]:1", "hello")

		b.Acquainted(first)
		b.Acquainted(first) // counts once
		want("[2001:db8::3]:1", "hello")
		want("[2001:db8::4]:1", string(SourceFull))
		leaves.Close()
		synctest.Wait()
		want("10.0.0.1:1", "hello")
		want("10.0.0.1:2", "hello")
		want("192.0.2.1:1", string(Full))
		if s := b.Stats(); s != (Stats{Open: 5, Admitted: 6, TurnedAway: 3}) {
			t.Errorf("%+v", s)
		}

		now, cancel := context.WithCancel(t.Context())
		cancel()
		_ = b.Shutdown(now) // nobody is waited for
		want("192.0.2.1:1", string(Closing))
		if len(b.strangers) > 0 || len(b.Gate.guests) > 0 {
			t.Errorf("left behind: %v, %v", b.strangers, b.Gate.guests)
		}
	})
}

func TestShutdownInterrupts(t *testing.T) {
	t.Parallel()
	b := setup(Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- b.Serve(l) }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got := hear(t, client); got != "hello" {
		t.Errorf("heard %q", got)
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, client); got != "bye" {
		t.Errorf("heard %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(late); err != nil {
		t.Errorf("serve a closed gate: %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its listener: %v", err)
	}
}

// A guest whose client is still being made when the gate closes is interrupted, too.
func TestShutdownInterruptsWhoJustCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		b := setup(Config{Open: func(g *Guest) Client {
			<-opened
			return &echo{nc: g.Conn, interrupted: make(chan struct{})}
		}})
		client, server := net.Pipe()
		b.Admit(server)
		down := make(chan error)
		go func() { down <- b.Shutdown(t.Context()) }()
		synctest.Wait()
		close(opened)
		said, _ := io.ReadAll(client)
		if err := <-down; err != nil || !bytes.Contains(said, []byte("bye\n")) {
			t.Errorf("heard %q, %v", said, err)
		}
	})
}

func TestShutdownCutsOffWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(Config{Open: func(g *Guest) Client { return deaf{&echo{nc: g.Conn}} }})
		client, _ := b.come(t, "192.0.2.1:1")
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client: %v", err)
		}
	})
}

// tired is a listener that has no file descriptors for a while, then a connection, then breaks.
type tired struct {
	net.Listener
	errs []error
	nc   net.Conn
}

func (l *tired) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	if nc := l.nc; nc != nil {
		l.nc = nil
		return nc, nil
	}
	return nil, &net.OpError{Op: "accept", Err: net.ErrClosed}
}

func (*tired) Close() error { return nil }

func TestAcceptIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(Config{})
		client, server := net.Pipe()
		many := errors.New("too many open files")
		start := time.Now()
		err := b.Serve(&tired{errs: []error{many, many, many}, nc: server})
		if !errors.Is(err, net.ErrClosed) || time.Since(start) != (5+10+20)*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if got := hear(t, client); got != "hello" {
			t.Errorf("heard %q", got)
		}
		client.Close()
	})
}

func TestSourceOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64"} {
		if got := sourceOf(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s counts as %s", addr, got)
		}
	}
}
