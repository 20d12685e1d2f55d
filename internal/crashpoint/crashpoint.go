// Package crashpoint names the instants at which a test may kill the process, to prove that nothing acknowledged is lost.
//
// RELAIS_CRASHPOINT=name or name:n in the environment sends SIGKILL to the
// process itself at the n-th passage (n counts from 1, 1 when left out). SIGKILL
// and not a panic: no deferred function runs, no buffer is flushed, as when the
// kernel or an operator ends the process. Without the variable a passage costs one
// comparison.
package crashpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Env is the environment variable that arms a point.
const Env = "RELAIS_CRASHPOINT"

// Point is the name of an instant: "room.instant", declared in names.go.
type Point string

// trap is one armed point and how many passages are left before it kills.
type trap struct {
	point Point
	left  atomic.Int64
}

// armed is read once, before main, and never replaced: nil in every real run.
var armed, armedErr = parse(os.Getenv(Env))

// parse reads the value of Env; "" arms nothing.
func parse(value string) (*trap, error) {
	if value == "" {
		return nil, nil
	}
	name, count, counted := strings.Cut(value, ":")
	t := &trap{point: Point(name)}
	t.left.Store(1)
	if counted {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s=%s: after the colon stands a number from 1", Env, value)
		}
		t.left.Store(n)
	}
	for _, d := range declared {
		if d.Point == t.point {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%s=%s: no such point; there are %v", Env, value, Names())
}

// Err says what is wrong with the environment variable. The command line
// refuses to start on it: a misspelt point would never kill, and the test
// that relies on it would prove nothing.
func Err() error { return armedErr }

// Hit marks the passage of p, and does not return when it is the one to kill at.
func Hit(p Point) {
	if armed == nil || armed.point != p {
		return
	}
	if armed.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintln(os.Stderr, "crashpoint:", p)
	// Kill fails for no process that may signal itself; should it, waiting
	// is still right, since nothing after the point may happen.
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
