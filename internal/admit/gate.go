// Package admit lets clients in through a door within bounds, and out again in order when the door closes.
//
// A Gate is the part of a door that knows no protocol: it accepts, counts,
// turns away and shuts down. Memory and Failures are the bounds that doors share.
package admit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Config says whom a gate lets in and what becomes of them. All fields are required, but for Exempt.
type Config struct {
	MaxConnections int            // at once, in all
	MaxPerSource   int            // strangers at once, per source
	Exempt         []netip.Prefix // no bound per source for these

	Open   func(*Guest) Client // begins the protocol with a guest; says nothing to it yet
	Refuse func(Reason) string // what a connection that is turned away hears; nothing if ""
	Log    *slog.Logger
}

// Client is the protocol's side of a guest.
type Client interface {
	// Serve leads the dialogue to its end and closes the connection. ctx ends when
	// Shutdown gives up waiting, not when the client leaves.
	Serve(ctx context.Context)

	// Interrupt ends the dialogue the next time it waits for the client to begin
	// something, or now if it does. It is called from another goroutine, perhaps
	// before Serve, and does not block.
	Interrupt()
}

// Reason is why a connection is turned away, in words fit for its ears.
type Reason string

// The reasons.
const (
	Closing    Reason = "the server is closing down"
	Full       Reason = "too many connections, try again later"
	SourceFull Reason = "too many connections from your address, try again later"
)

// Gate admits connections. Its methods may be called from any goroutine.
type Gate struct {
	cfg Config

	// The context of all that is served: it ends when Shutdown does.
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	guests    map[*Guest]struct{}
	strangers map[netip.Prefix]int
	stats     Stats // but for Open
	running   sync.WaitGroup
}

// Stats are counts since the start, but for Open.
type Stats struct {
	Open       int   // connections at this moment
	Admitted   int64 // connections
	TurnedAway int64 // connections beyond a bound
}

// New makes a gate that is open.
func New(cfg Config) *Gate {
	ctx, cancel := context.WithCancel(context.Background())
	return &Gate{
		cfg: cfg, ctx: ctx, cancel: cancel,
		listeners: map[net.Listener]struct{}{}, guests: map[*Guest]struct{}{}, strangers: map[netip.Prefix]int{},
	}
}

// Serve admits connections from l, which it closes, until Shutdown; then it
// returns nil. It may run for several listeners at once.
func (g *Gate) Serve(l net.Listener) error {
	defer l.Close()
	if !g.addListener(l) {
		return nil
	}
	defer g.removeListener(l)
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			g.Admit(nc)
			continue
		}
		if g.isClosing() {
			return nil
		}
		if _, ok := errors.AsType[net.Error](err); !ok || errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: %w", err)
		}
		// Out of file descriptors and the like: it passes when connections end.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		g.cfg.Log.Warn("accept failed", "err", err)
		select {
		case <-time.After(pause):
		case <-g.ctx.Done():
		}
	}
}

// Admit serves nc, which it closes, in a goroutine of its own, or turns it away.
func (g *Gate) Admit(nc net.Conn) {
	guest := newGuest(nc, g.cfg.Exempt)
	if why := g.enter(guest); why != "" {
		g.turnAway(guest, why)
	}
}

// Shutdown stops accepting, interrupts every client and waits for them to end.
// When ctx ends first, what remains is cut off and ctx's error is returned.
func (g *Gate) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	g.closing = true
	for l := range g.listeners {
		l.Close()
	}
	for guest := range g.guests {
		guest.interrupt()
	}
	g.mu.Unlock()

	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	defer g.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	g.cancel()
	g.mu.Lock()
	for guest := range g.guests {
		guest.Conn.Close()
	}
	g.mu.Unlock()
	<-done
	return ctx.Err()
}

// Stats counts.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Open = len(g.guests)
	return s
}

// Acquainted says that guest is no stranger any more: it signed in, and does
// not count against its source from now on.
func (g *Gate) Acquainted(guest *Guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgetStranger(guest)
}

func (g *Gate) addListener(l net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.listeners[l] = struct{}{}
	return true
}

func (g *Gate) removeListener(l net.Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, l)
}

func (g *Gate) isClosing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closing
}

// enter counts guest and has it served, or returns why not.
func (g *Gate) enter(guest *Guest) Reason {
	g.mu.Lock()
	defer g.mu.Unlock()
	why := Reason("")
	switch {
	case g.closing:
		why = Closing
	case len(g.guests) >= g.cfg.MaxConnections:
		why = Full
	case !guest.Exempt && g.strangers[guest.Source] >= g.cfg.MaxPerSource:
		why = SourceFull
	}
	if why != "" {
		g.stats.TurnedAway++
		return why
	}
	g.stats.Admitted++
	g.guests[guest] = struct{}{}
	g.strangers[guest.Source]++
	guest.stranger = true
	g.running.Go(func() { g.serve(guest) })
	return ""
}

func (g *Gate) serve(guest *Guest) {
	defer g.leave(guest)
	client := g.cfg.Open(guest)
	g.mu.Lock()
	guest.client = client
	if g.closing { // Shutdown found no client to interrupt
		guest.interrupt()
	}
	g.mu.Unlock()
	client.Serve(g.ctx)
}

func (g *Gate) leave(guest *Guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.guests, guest)
	g.forgetStranger(guest)
}

func (g *Gate) forgetStranger(guest *Guest) {
	if !guest.stranger {
		return
	}
	guest.stranger = false
	if g.strangers[guest.Source]--; g.strangers[guest.Source] <= 0 {
		delete(g.strangers, guest.Source)
	}
}

func (g *Gate) turnAway(guest *Guest, why Reason) {
	g.cfg.Log.Debug("connection turned away", "peer", guest.Addr, "why", why)
	if say := g.cfg.Refuse(why); say != "" {
		// A new socket's buffer has room: this does not hold up the listener.
		_ = guest.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = guest.Conn.Write([]byte(say))
	}
	guest.Conn.Close()
}
