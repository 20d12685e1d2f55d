package continuity

import (
	"context"
	"net"
	"sync"
	"time"
)

// referencesNeeded is how many of the references must answer before a switch.
const referencesNeeded = 2

// references are hosts outside that tell whether Relais itself is cut off.
type references struct {
	hosts   []string
	timeout time.Duration

	mu      sync.Mutex
	looking chan struct{} // closed at the end of the look that runs
	at      time.Time     // end of the last look
	seen    Outside
}

func newReferences(hosts []string, timeout time.Duration) *references {
	return &references{hosts: hosts, timeout: timeout}
}

// look tells what was seen at since or later. It looks when that is not known
// yet, once for all domains that ask at the same time, and takes at most limit.
func (r *references) look(ctx context.Context, since time.Time, limit time.Duration) Outside {
	if len(r.hosts) == 0 {
		return Unchecked
	}
	r.mu.Lock()
	if !r.at.Before(since) {
		defer r.mu.Unlock()
		return r.seen
	}
	done := r.looking
	if done == nil {
		done = make(chan struct{})
		r.looking = done
		go func() {
			seen := r.ask(context.WithoutCancel(ctx), min(limit, r.timeout))
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen, r.at, r.looking = seen, time.Now(), nil
			close(done)
		}()
	}
	r.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return Silent
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// ask opens a TCP connection to every reference.
func (r *references) ask(ctx context.Context, limit time.Duration) Outside {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answers := make(chan bool, len(r.hosts))
	for _, host := range r.hosts {
		go func() {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", host)
			if err == nil {
				conn.Close()
			}
			answers <- err == nil
		}()
	}
	n := 0
	for range r.hosts {
		if <-answers {
			if n++; n == referencesNeeded {
				return Reached
			}
		}
	}
	return Silent
}
