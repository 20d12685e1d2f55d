package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"relais/internal/fault"
	"relais/internal/mail"
)

// rows is a Source in memory.
type rows struct {
	mu      sync.Mutex
	wrapped map[mail.TenantID][]byte
	asked   int
	err     error
	during  func() // called in the middle of a look-up
}

func (r *rows) TenantKey(_ context.Context, tenant mail.TenantID) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	w, ok := r.wrapped[tenant]
	if r.during != nil {
		r.during()
	}
	if r.err != nil {
		return nil, r.err
	}
	if !ok {
		return nil, fmt.Errorf("tenant %d: %w", tenant, ErrErased)
	}
	return w, nil
}

func setupRing(t *testing.T) (*Ring, *rows) {
	t.Helper()
	kr := ring(t, testKey(1))
	src := &rows{wrapped: map[mail.TenantID][]byte{}}
	for tenant := mail.TenantID(1); tenant <= 2; tenant++ {
		w, err := kr.NewTenantKey(tenant)
		if err != nil {
			t.Fatal(err)
		}
		src.wrapped[tenant] = w
	}
	return NewRing(kr, src), src
}

func TestRingUnwrapsOnce(t *testing.T) {
	t.Parallel()
	r, src := setupRing(t)
	nonce := make([]byte, nonceSize)
	first, err := r.Key(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Key(t.Context(), 1)
	if err != nil || src.asked != 1 {
		t.Fatalf("asked %d times, %v", src.asked, err)
	}
	box := first.Seal(nil, nonce, []byte("body"), nil)
	if _, err := again.Open(nil, nonce, box, nil); err != nil {
		t.Error("the same tenant has two keys")
	}
	other, err := r.Key(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(nil, nonce, box, nil); err == nil {
		t.Error("two tenants share a key")
	}
}

func TestRingErasure(t *testing.T) {
	t.Parallel()
	r, src := setupRing(t)
	if _, err := r.Key(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	delete(src.wrapped, 1)
	r.Forget(1)
	if _, err := r.Key(t.Context(), 1); !errors.Is(err, ErrErased) || !fault.Is(err, fault.NotFound) {
		t.Errorf("after the erasure: %v", err)
	}
	if _, err := r.Key(t.Context(), 2); err != nil {
		t.Errorf("the other tenant: %v", err)
	}
}

func TestRingDoesNotCacheWhatWasForgottenMeanwhile(t *testing.T) {
	t.Parallel()
	r, src := setupRing(t)
	src.during = func() { r.Forget(1) }
	if _, err := r.Key(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	src.during = nil
	delete(src.wrapped, 1)
	if _, err := r.Key(t.Context(), 1); !errors.Is(err, ErrErased) {
		t.Errorf("the erased key is still there: %v", err)
	}
}

func TestRingRefusesAnotherTenantsKey(t *testing.T) {
	t.Parallel()
	r, src := setupRing(t)
	src.wrapped[1] = src.wrapped[2]
	if _, err := r.Key(t.Context(), 1); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a swapped row: %v, want corrupt", err)
	}
	src.err = fault.New(fault.Unavailable, "no database")
	if _, err := r.Key(t.Context(), 2); !fault.Is(err, fault.Unavailable) {
		t.Errorf("the source's error: %v", err)
	}
}
