package blobtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"sync"

	"relais/internal/blob"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Keys gives every tenant a key of its own, until it is destroyed. The zero value is ready.
type Keys struct {
	mu        sync.Mutex
	destroyed map[mail.TenantID]bool
}

var _ blob.Keys = (*Keys)(nil)

// Key implements blob.Keys.
func (k *Keys) Key(_ context.Context, tenant mail.TenantID) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.destroyed[tenant] {
		return nil, fault.New(fault.NotFound, "the key of tenant %d was destroyed", tenant)
	}
	key := make([]byte, 32)
	binary.BigEndian.PutUint64(key, uint64(tenant))
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Destroy erases the tenant.
func (k *Keys) Destroy(tenant mail.TenantID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.destroyed == nil {
		k.destroyed = map[mail.TenantID]bool{}
	}
	k.destroyed[tenant] = true
}
