package outbound

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"relais/internal/clock"
	"relais/internal/crashpoint"
	"relais/internal/db/sqlite"
	"relais/internal/mail"
)

const (
	helperDir  = "OUTBOUND_TEST_DIR" // makes the test binary play the node that is killed
	helperHost = "OUTBOUND_TEST_HOST"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		fmt.Fprintln(os.Stderr, node(dir, os.Getenv(helperHost)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// node sends what lies in dir's queue through host, until it is killed.
func node(dir, host string) error {
	engine, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(dir, "queue.db")})
	if err != nil {
		return err
	}
	s := &store{engine: engine, clock: clock.System{}, bodies: map[mail.Hash][]byte{}, changed: make(chan struct{})}
	for i := range killRows {
		s.bodies[mail.Sum(killBody(i))] = killBody(i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	config := Config{Hostname: "relais.test", SmartHosts: map[string]string{"*": host}, Sole: true}
	NewRunner(config, s, nil, nil).Run(ctx)
	return errors.New("was not killed")
}

const killRows = 20

func killBody(i int) []byte { return fmt.Appendf(nil, "Message-ID: <%d@x>\r\n\r\n%d\r\n", i, i) }

// A node killed at a point or anywhere loses nothing and sends at most what was in flight once more.
func TestKilledNodeLosesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		point  crashpoint.Point
		copies int // more than killRows at most: one per connection
	}{{crashpoint.OutboundClaimed, 0}, {crashpoint.OutboundAfterSend, 10}, {crashpoint.DBBeforeCommit + ":4", 10}, {crashpoint.DBAfterCommit + ":5", 10}} {
		t.Run(string(c.point), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorld(t)
			mx := w.mx(t, "x.test", 10, 2)
			engine, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "queue.db")})
			if err != nil {
				t.Fatal(err)
			}
			w.engine = engine
			var ids []mail.QueueID
			for i := range killRows {
				ids = append(ids, w.put(t, New{From: from, Intake: fmt.Sprint(i)}, string(killBody(i)), "a@x.test")...)
			}
			if err := engine.Close(); err != nil {
				t.Fatal(err)
			}
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), helperDir+"="+dir, helperHost+"="+mx.Addr, crashpoint.Env+"="+string(c.point))
			out, err := child.CombinedOutput()
			if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the node ended otherwise: %v\n%s", err, out)
			}
			if engine, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "queue.db")}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = engine.Close() })
			w.engine = engine
			w.config.Sole = true
			w.run(t)
			w.awaitState(t, ids, Sent)
			got := map[string]int{}
			for _, m := range mx.Messages() {
				got[string(m.Data)]++
			}
			if n := len(mx.Messages()); len(got) != killRows || n > killRows+c.copies {
				t.Errorf("%d copies of %d messages, want %d", n, len(got), killRows)
			}
		})
	}
}
