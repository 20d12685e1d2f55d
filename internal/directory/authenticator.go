package directory

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/db"
	"relais/internal/fault"
)

// How long a verified passphrase is remembered, how many are, and how often the
// last use of a credential is written down.
const (
	verifiedFor   = 10 * time.Minute
	verifiedAtOne = 10_000
	touchEvery    = time.Hour
)

// Authenticator checks sign-ins. It works with the primary and every identity
// provider dead: all it needs is the record. Safe for concurrent use.
type Authenticator struct {
	engine db.Engine
	clock  clock.Clock
	log    *slog.Logger
	slots  chan struct{} // Argon2 runs at once: each takes 19 MiB and a core
	key    [32]byte      // of this process, so that what is remembered is worthless outside
	dummy  string        // verifier hashed for unknown people, so that time tells nothing

	mu       sync.Mutex
	verified map[[32]byte]time.Time // HMAC of verifier and passphrase, until when
}

// NewAuthenticator makes an authenticator over the record's engine.
func NewAuthenticator(engine db.Engine, c clock.Clock, log *slog.Logger) (*Authenticator, error) {
	a := &Authenticator{engine: engine, clock: c, log: log, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), verified: map[[32]byte]time.Time{}}
	rand.Read(a.key[:])
	var err error
	a.dummy, err = HashPassphrase(rand.Text())
	return a, err
}

// Verify finds the person who signs in with this address and password: an app
// password or the passphrase. fault.Unauthenticated does not tell which of both
// was wrong, nor does the time it takes. peer is for the log.
func (a *Authenticator) Verify(ctx context.Context, email, password, peer string) (Person, error) {
	wrong := fault.New(fault.Unauthenticated, "user name or password is wrong")
	if password == "" || len(password) > MaxPassword {
		return Person{}, wrong
	}
	person, credentials, err := a.load(ctx, email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Person{}, err
	}
	used, err := a.match(ctx, credentials, password)
	if err != nil {
		return Person{}, err
	}
	if used == nil {
		a.log.Info("sign-in refused", "person", db.Text(email), "peer", peer)
		return Person{}, wrong
	}
	a.touch(ctx, used)
	return person, nil
}

func (a *Authenticator) load(ctx context.Context, email string) (p Person, cs []Credential, err error) {
	err = a.engine.View(ctx, func(ctx context.Context, tx db.Tx) error {
		d := In(tx, a.clock.Now(), new(db.Touched))
		if p, err = d.PersonByEmail(ctx, email); err != nil {
			return err
		}
		cs, err = d.Credentials(ctx, p.ID)
		return err
	})
	return p, cs, err
}

// match is the credential that the password fits, nil for none.
func (a *Authenticator) match(ctx context.Context, credentials []Credential, password string) (*Credential, error) {
	var passphrase, used *Credential
	app := appVerifier(password)
	for i := range credentials {
		c := &credentials[i]
		if c.Kind == Passphrase {
			passphrase = c
		} else if subtle.ConstantTimeCompare([]byte(c.Verifier), []byte(app)) == 1 {
			used = c
		}
	}
	if used != nil {
		return used, nil
	}
	verifier := a.dummy
	if passphrase != nil {
		verifier = passphrase.Verifier
	}
	ok, err := a.verify(ctx, verifier, password)
	if err != nil || !ok || passphrase == nil {
		return nil, err
	}
	return passphrase, nil
}

// verify runs Argon2, or remembers that the same verifier took the same
// passphrase a while ago. A changed passphrase has another verifier.
func (a *Authenticator) verify(ctx context.Context, verifier, passphrase string) (bool, error) {
	m := hmac.New(sha256.New, a.key[:])
	m.Write([]byte(verifier))
	m.Write([]byte{0})
	m.Write([]byte(passphrase))
	id := [32]byte(m.Sum(nil))
	now := a.clock.Now()
	a.mu.Lock()
	until, seen := a.verified[id]
	a.mu.Unlock()
	if seen && now.Before(until) {
		return true, nil
	}
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ok := verifyPassphrase(verifier, passphrase)
	<-a.slots
	if ok {
		a.remember(id, now)
	}
	return ok, nil
}

func (a *Authenticator) remember(id [32]byte, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.verified) >= verifiedAtOne {
		for old, until := range a.verified {
			if !now.Before(until) {
				delete(a.verified, old)
			}
		}
		if len(a.verified) >= verifiedAtOne {
			clear(a.verified)
		}
	}
	a.verified[id] = now.Add(verifiedFor)
}

// touch writes down when the credential was used, at most once an hour; the
// sign-in does not fail with it.
func (a *Authenticator) touch(ctx context.Context, c *Credential) {
	if a.clock.Now().Sub(c.LastUsedAt) < touchEvery {
		return
	}
	err := a.engine.Update(ctx, func(ctx context.Context, tx db.Tx) error {
		return In(tx, a.clock.Now(), new(db.Touched)).TouchCredential(ctx, c.ID)
	})
	if err != nil {
		a.log.Warn("note the use of a credential", "err", err)
	}
}
