package blob_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"relais/internal/blob"
	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/mail"
)

// wrappedKeys is the column of wrapped keys in the tenants' table.
type wrappedKeys map[mail.TenantID][]byte

func (w wrappedKeys) TenantKey(_ context.Context, tenant mail.TenantID) ([]byte, error) {
	if key, ok := w[tenant]; ok {
		return key, nil
	}
	return nil, keys.ErrErased
}

// TestErasedByItsKey goes through the real key file: a restart changes nothing,
// the loss of the wrapped key erases the tenant.
func TestErasedByItsKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyring, err := keys.Create(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	table := wrappedKeys{}
	if table[7], err = keyring.NewTenantKey(7); err != nil {
		t.Fatal(err)
	}
	body := []byte("Subject: secret\r\n\r\nhello")
	h := mail.Sum(body)
	var ref blob.Ref
	for restart := range 2 {
		if keyring, err = keys.Load(filepath.Join(dir, "keys")); err != nil {
			t.Fatal(err)
		}
		ring := keys.NewRing(keyring, table)
		s, err := blob.Open(t.Context(), blob.Config{Dir: filepath.Join(dir, "packs"), Keys: ring})
		if err != nil {
			t.Fatal(err)
		}
		if restart == 0 {
			refs, err := s.Append(t.Context(), []blob.Put{{Tenant: 7, Hash: h, Body: body}})
			if err != nil {
				t.Fatal(err)
			}
			ref = refs[0]
		}
		if got, err := s.Read(t.Context(), 7, h, ref); err != nil || !bytes.Equal(got, body) {
			t.Errorf("restart %d: %q, %v", restart, got, err)
		}
		if restart == 1 {
			delete(table, 7)
			ring.Forget(7)
			if got, err := s.Read(t.Context(), 7, h, ref); !fault.Is(err, fault.NotFound) || got != nil {
				t.Errorf("after the erasure: %q, %v", got, err)
			}
			sum, err := s.Check(t.Context(), func(blob.Record) error { return nil }, func(d blob.Damage) error { return d.Err })
			if err != nil || sum.Erased != 1 {
				t.Errorf("check: %+v, %v", sum, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
