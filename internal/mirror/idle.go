package mirror

import (
	"context"
	"sync"
	"time"

	"relais/internal/mail"
)

// idles gives out the places for sessions that wait for a primary's news: to the
// accounts that were used last.
type idles struct {
	mu      sync.Mutex
	max     int
	used    map[*accountRunner]time.Time // when something last changed in it
	holders map[*accountRunner]bool
}

func newIdles(most int) *idles {
	return &idles{max: most, used: map[*accountRunner]time.Time{}, holders: map[*accountRunner]bool{}}
}

// use notes that something changed in the account.
func (i *idles) use(a *accountRunner) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.used[a] = time.Now()
}

// take tells whether the account has a place, taking a free one or that of an
// account that was used longer ago (which goes on until its next pass).
func (i *idles) take(a *accountRunner) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.holders[a] {
		return true
	}
	if i.max <= 0 {
		return false
	}
	if len(i.holders) >= i.max {
		var oldest *accountRunner
		for h := range i.holders {
			if oldest == nil || i.used[h].Before(i.used[oldest]) {
				oldest = h
			}
		}
		if !i.used[oldest].Before(i.used[a]) {
			return false
		}
		delete(i.holders, oldest)
		oldest.kick()
	}
	i.holders[a] = true
	return true
}

// leave gives the place back for good.
func (i *idles) leave(a *accountRunner) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.holders, a)
	delete(i.used, a)
}

// listen returns when the primary has news of the inbox, or something is wrong
// (the next pass says what), or ctx ends, which leaves the connection alive.
func (a *accountRunner) listen(ctx context.Context) {
	session, err := a.domain.far.Open(ctx, a.account.Login)
	if err == nil {
		err = session.Wait(ctx, "INBOX", a.inbox)
		if cerr := session.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil && ctx.Err() == nil {
		a.domain.s.Log.Debug("listen to the primary", "account", a.account.Email, "err", err)
		<-ctx.Done() // passes go on by the clock
	}
}

// inboxToken is where the primary's inbox stood when this pass looked.
func (p *pass) inboxToken() Token {
	for _, pr := range p.pairs {
		if pr.folder.Name != "INBOX" && pr.folder.Role != mail.Inbox {
			continue
		}
		if pr.delta != nil {
			return pr.delta.Token
		}
		return tokenOf(pr.folder.Token)
	}
	return Token{}
}

// worked tells whether the pass found anything to do.
func (p *pass) worked() bool { return len(p.subjects) > 0 || len(p.fresh) > 0 }
