package imapconn

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"relais/internal/fault"
)

// In a synctest bubble a goroutine that is left behind fails the test, and an
// IDLE of half an hour takes no time.
func TestNoGoroutineIsLeftBehind(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"clean":           "C: R4 NOOP\nS: R4 OK\nSTALL",
		"bye":             "C: R4 NOOP\nS: * BYE x\nCLOSE",
		"cut in literal":  "C: R4 NOOP\nS: * 1 FETCH (BODY[] {900}\nS- x\nCLOSE",
		"syntax":          "C: R4 NOOP\nS: * 1 FETCH )(\nSTALL",
		"silence":         "C: R4 NOOP\nSTALL",
		"nothing is read": "STALL",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, script, Handler{})
				err := c.Noop(t.Context())
				if name != "clean" && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestIdleIsIssuedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		there, here := net.Pipe()
		begin := time.Now()
		go func() {
			play(t, there, signedIn+`
	C: R4 IDLE
	S: + go
	STALL`, t.Context().Done())
		}()
		c, err := Dial(t.Context(), Config{Addr: "a:1", TLS: TLSNone, Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SignIn(t.Context(), Credentials{Login: "ann", Secret: "secret"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Select(t.Context(), "INBOX", SelectOptions{}); err != nil {
			t.Fatal(err)
		}
		// The server is silent through the whole IDLE, and again after DONE: only then is it dead.
		_, err = c.Idle(t.Context())
		if !fault.Is(err, fault.Unavailable) || time.Since(begin) != 28*time.Minute+3*time.Minute {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		_ = c.Close()
	})
}

func TestPoolOfSilentServerBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		p := NewPool(PoolConfig{
			Conn: Config{Addr: "a:1", TLS: TLSNone, Dial: func(context.Context, string, string) (net.Conn, error) {
				dials++
				return nil, &net.OpError{Op: "dial"}
			}},
			SignIn: func(context.Context, string) (Credentials, error) { return Credentials{Login: "ann"}, nil },
		})
		defer func() { _ = p.Close() }()
		for range 600 {
			if _, err := p.Lease(t.Context(), "ann"); !fault.Is(err, fault.Unavailable) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		// 1, 2, 4 … 32 seconds, then one a minute.
		if dials < 12 || dials > 18 {
			t.Errorf("%d attempts in ten minutes", dials)
		}
		p.Reset()
		if _, err := p.Lease(t.Context(), "ann"); err == nil || dials == 0 {
			t.Error(err)
		}
	})
}
