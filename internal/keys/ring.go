package keys

import (
	"context"
	"crypto/cipher"
	"errors"
	"sync"

	"relais/internal/fault"
	"relais/internal/mail"
)

// ErrErased says that the tenant's data key was destroyed: its bodies are erased.
var ErrErased = errors.New("data key destroyed")

// Source finds wrapped data keys: the record fills it from the tenants' rows.
type Source interface {
	// TenantKey returns what NewTenantKey made for the tenant, ErrErased (or an
	// error that wraps it) when the key was destroyed, another error when it
	// cannot be told. Safe for concurrent use.
	TenantKey(ctx context.Context, tenant mail.TenantID) ([]byte, error)
}

// Ring gives out the tenants' data keys as ciphers and keeps those it has
// unwrapped. One small entry per tenant seen; safe for concurrent use.
type Ring struct {
	keyring *Keyring
	source  Source

	mu    sync.RWMutex
	aeads map[mail.TenantID]cipher.AEAD
	forgo uint64 // counts Forget, so that a look-up begun before one is not cached after it
}

// NewRing makes an empty ring.
func NewRing(keyring *Keyring, source Source) *Ring {
	return &Ring{keyring: keyring, source: source, aeads: map[mail.TenantID]cipher.AEAD{}}
}

// Key is the AES-256-GCM cipher of the tenant's data key. The error is
// fault.NotFound and wraps ErrErased when the key was destroyed.
func (r *Ring) Key(ctx context.Context, tenant mail.TenantID) (cipher.AEAD, error) {
	r.mu.RLock()
	aead, seen := r.aeads[tenant], r.forgo
	r.mu.RUnlock()
	if aead != nil {
		return aead, nil
	}
	wrapped, err := r.source.TenantKey(ctx, tenant)
	if errors.Is(err, ErrErased) {
		return nil, fault.Wrap(err, fault.NotFound, "the tenant's data was erased")
	}
	if err != nil {
		return nil, err
	}
	if aead, err = r.keyring.tenantAEAD(tenant, wrapped); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgo == seen {
		r.aeads[tenant] = aead
	}
	return aead, nil
}

// Forget drops the tenant's key from memory: call it when the row of the wrapped
// key was destroyed. What was begun with the key may still end.
func (r *Ring) Forget(tenant mail.TenantID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgo++
	delete(r.aeads, tenant)
}
