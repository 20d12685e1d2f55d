package record

import (
	"sync"

	"relais/internal/db"
	"relais/internal/mail"
)

// watches tells who waits for what. The zero value is ready.
type watches struct {
	mu       sync.Mutex
	accounts map[mail.AccountID]map[chan struct{}]struct{}
	topics   map[string]map[chan struct{}]struct{}
}

// Watch returns a channel that gets a signal after each durable change of the
// account (0: of any). Signals that were not taken yet become one; stop ends them.
func (s *Store) Watch(acc mail.AccountID) (signal <-chan struct{}, stop func()) {
	return watch(&s.watches, &s.watches.accounts, acc)
}

// WatchTopic is Watch for what a topic names: "queue", "duty", "job", "continuity", "directory".
func (s *Store) WatchTopic(topic string) (signal <-chan struct{}, stop func()) {
	return watch(&s.watches, &s.watches.topics, topic)
}

func watch[K comparable](w *watches, all *map[K]map[chan struct{}]struct{}, key K) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if *all == nil {
		*all = map[K]map[chan struct{}]struct{}{}
	}
	if (*all)[key] == nil {
		(*all)[key] = map[chan struct{}]struct{}{}
	}
	(*all)[key][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete((*all)[key], ch)
		if len((*all)[key]) == 0 {
			delete(*all, key)
		}
	}
}

// wake signals the watchers of what a transaction touched.
func (w *watches) wake(t *db.Touched) {
	if len(t.Accounts()) == 0 && len(t.Topics()) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, acc := range t.Accounts() {
		nudge(w.accounts[acc])
	}
	if len(t.Accounts()) > 0 {
		nudge(w.accounts[0])
	}
	for _, topic := range t.Topics() {
		nudge(w.topics[topic])
	}
}

func nudge(chs map[chan struct{}]struct{}) {
	for ch := range chs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
