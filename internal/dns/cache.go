package dns

import (
	"container/list"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// How long answers are kept.
const (
	maxTTL      = 6 * time.Hour
	maxDenial   = 15 * time.Minute // RFC 2308 §5 allows hours; a new record should be seen sooner
	bareDenial  = 30 * time.Second // a denial without SOA has no TTL of its own
	failureKept = 5 * time.Second  // RFC 9520 §3.2: at least a second
)

// question is what is asked: a canonical name (lower case, final dot) and a type.
type question struct {
	name  string
	qtype uint16
}

// answer is what a server said. Its records are shared by readers: never changed.
type answer struct {
	records   []dns.RR // of the type asked for, at the end of the chain of CNAMEs
	canonical string   // the name at that end
	exists    bool     // the name exists, perhaps without records of this type
	authentic bool     // validated by a trusted resolver
	failure   error    // a temporary failure that is worth remembering
	ttl       time.Duration
}

// cache keeps answers until they expire; when full the least recently used goes.
type cache struct {
	mu      sync.Mutex
	limit   int
	entries map[question]*list.Element
	recent  *list.List // of *entry, the most recently used in front
}

type entry struct {
	question question
	answer   *answer
	expires  time.Time
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: make(map[question]*list.Element), recent: list.New()}
}

// get returns the answer to q that is still valid at now, or nil.
func (c *cache) get(q question, now time.Time) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[q]
	if e == nil {
		return nil
	}
	if !now.Before(e.Value.(*entry).expires) {
		c.remove(e)
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*entry).answer
}

// put keeps a for its TTL; nothing is kept of a TTL of 0.
func (c *cache) put(q question, a *answer, now time.Time) {
	if a.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[q]; e != nil {
		c.remove(e)
	}
	c.entries[q] = c.recent.PushFront(&entry{q, a, now.Add(a.ttl)})
	for len(c.entries) > c.limit {
		c.remove(c.recent.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	c.recent.Remove(e)
	delete(c.entries, e.Value.(*entry).question)
}

// denialTTL is how long a denial may be kept: the lesser of the SOA's TTL and
// its minimum field (RFC 2308 §5).
func denialTTL(authority []dns.RR) time.Duration {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, maxDenial)
		}
	}
	return bareDenial
}
