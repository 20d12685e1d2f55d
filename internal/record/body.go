package record

import (
	"context"

	"relais/internal/blob"
	"relais/internal/db"
	"relais/internal/directory"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/mailbox"
)

// blobReader reads bodies from the packs.
type blobReader interface {
	Read(ctx context.Context, tenant mail.TenantID, hash mail.Hash, ref blob.Ref) ([]byte, error)
}

// Body reads the bytes of a message. The caller owns them. fault.NotFound when
// the tenant has no such body, or was erased; fault.Corrupt.
func (s *Store) Body(ctx context.Context, tenant mail.TenantID, hash mail.Hash) ([]byte, error) {
	ref, err := s.Locate(ctx, tenant, hash)
	if err != nil {
		return nil, err
	}
	return s.cfg.Bodies.Read(ctx, tenant, hash, ref)
}

// Locate finds where a body lies in the packs; fault.NotFound.
func (s *Store) Locate(ctx context.Context, tenant mail.TenantID, hash mail.Hash) (blob.Ref, error) {
	return LocateIn(s.cfg.Engine)(ctx, tenant, hash)
}

// LocateIn finds bodies by the rows of an engine: what opening the packs needs
// before there is a Store.
func LocateIn(engine db.Engine) blob.Locate {
	return func(ctx context.Context, tenant mail.TenantID, hash mail.Hash) (ref blob.Ref, err error) {
		err = engine.View(ctx, func(ctx context.Context, tx db.Tx) error {
			ref, err = (&mailbox.Tx{Tx: tx}).Body(ctx, tenant, hash)
			return err
		})
		return ref, err
	}
}

// tenantKeys reads wrapped data keys from the tenants' rows.
type tenantKeys struct{ engine db.Engine }

// TenantKeysIn is the source of the key ring.
func TenantKeysIn(engine db.Engine) keys.Source { return tenantKeys{engine} }

// TenantKey implements keys.Source.
func (k tenantKeys) TenantKey(ctx context.Context, tenant mail.TenantID) (wrapped []byte, err error) {
	err = k.engine.View(ctx, func(ctx context.Context, tx db.Tx) error {
		wrapped, err = (&directory.Tx{Tx: tx}).TenantKey(ctx, tenant)
		return err
	})
	if err == nil && len(wrapped) == 0 {
		err = keys.ErrErased
	}
	return wrapped, err
}
