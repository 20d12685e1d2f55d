package outbound

import (
	"sync"
	"time"
)

// How long a host that failed is left alone; doubled at each failure.
const (
	firstRest = 10 * time.Second
	lastRest  = 2 * time.Minute
	maxHosts  = 10_000
)

// health remembers the hosts that could not be reached, so that one dead host is
// not waited for by each message that goes there.
type health struct {
	mu    sync.Mutex
	hosts map[string]ailing // by IP:PORT
}

type ailing struct {
	failures int
	until    time.Time
	words    string
}

// resting tells whether the host is left alone at now, and why.
func (h *health) resting(addr string, now time.Time) (words string, yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.hosts[addr]
	return a.words, now.Before(a.until)
}

func (h *health) failed(addr, words string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.hosts) >= maxHosts || h.hosts == nil {
		h.hosts = make(map[string]ailing) // what is still dead is found so again
	}
	a := h.hosts[addr]
	rest := min(firstRest<<min(a.failures, 8), lastRest)
	h.hosts[addr] = ailing{a.failures + 1, now.Add(rest), words}
}

func (h *health) well(addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.hosts, addr)
}
