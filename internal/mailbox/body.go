package mailbox

import (
	"context"

	"relais/internal/blob"
	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// BodyRow says where a body lies in the packs: the row that makes its record count.
type BodyRow struct {
	Tenant mail.TenantID
	Hash   mail.Hash
	Ref    blob.Ref
	Size   int64 // of the body, bytes
}

// Body finds where the tenant's body lies; fault.NotFound.
func (tx *Tx) Body(ctx context.Context, tenant mail.TenantID, hash mail.Hash) (blob.Ref, error) {
	var r blob.Ref
	err := tx.QueryRow(ctx, `SELECT pack, pos, len FROM blobs WHERE tenant_id = $1 AND hash = $2`, tenant, hash[:]).
		Scan(&r.Pack, &r.Offset, &r.Length)
	return r, found(err, "body")
}

// AddBody files where a body lies. One that has a row keeps it: of two records
// of the same body the later is an orphan.
func (tx *Tx) AddBody(ctx context.Context, b BodyRow) error {
	_, err := tx.Exec(ctx, `INSERT INTO blobs (tenant_id, hash, pack, pos, len, size) VALUES ($1, $2, $3, $4, $5, $6)
 ON CONFLICT (tenant_id, hash) DO NOTHING`, b.Tenant, b.Hash[:], b.Ref.Pack, b.Ref.Offset, b.Ref.Length, b.Size)
	return err
}

// MoveBody names the place of a compacted copy, where the row still names From.
// It tells whether it did: false means that the copy is an orphan.
func (tx *Tx) MoveBody(ctx context.Context, m blob.Moved) (bool, error) {
	res, err := tx.Exec(ctx, `UPDATE blobs SET pack = $5, pos = $6, len = $7 WHERE tenant_id = $1 AND hash = $2 AND pack = $3 AND pos = $4`,
		m.Tenant, m.Hash[:], m.From.Pack, m.From.Offset, m.To.Pack, m.To.Offset, m.To.Length)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// LiveBytes adds up what rows point at in each pack: bytes, headers of the records included.
func (tx *Tx) LiveBytes(ctx context.Context) (map[uint64]int64, error) {
	type share struct {
		pack  uint64
		bytes int64
	}
	shares, err := db.Collect(func(s db.Scanner) (one share, err error) { return one, s.Scan(&one.pack, &one.bytes) })(
		tx.Query(ctx, `SELECT pack, CAST(SUM(len) AS BIGINT) FROM blobs GROUP BY pack`))
	live := make(map[uint64]int64, len(shares))
	for _, one := range shares {
		live[one.pack] = one.bytes
	}
	return live, err
}

// Bodies lists at most limit bodies of the tenant in order of hash, after the one given.
func (tx *Tx) Bodies(ctx context.Context, tenant mail.TenantID, after mail.Hash, limit int) ([]BodyRow, error) {
	if limit < 1 {
		return nil, fault.New(fault.Invalid, "limit below 1")
	}
	start := after[:]
	if after.IsZero() {
		start = []byte{}
	}
	return db.Collect(func(s db.Scanner) (BodyRow, error) {
		b := BodyRow{Tenant: tenant}
		var hash []byte
		err := s.Scan(&hash, &b.Ref.Pack, &b.Ref.Offset, &b.Ref.Length, &b.Size)
		copy(b.Hash[:], hash)
		return b, err
	})(tx.Query(ctx, `SELECT hash, pack, pos, len, size FROM blobs WHERE tenant_id = $1 AND hash > $2 ORDER BY hash LIMIT $3`, tenant, start, limit))
}

// HoldBody makes sure that the body has a row, and that it keeps it until the
// end of the transaction; fault.NotFound.
func (tx *Tx) HoldBody(ctx context.Context, tenant mail.TenantID, hash mail.Hash) error {
	query := `SELECT pack FROM blobs WHERE tenant_id = $1 AND hash = $2`
	if tx.Dialect() == db.Postgres {
		query = `SELECT pack FROM blobs WHERE tenant_id = $1 AND hash = $2 FOR KEY SHARE`
	}
	var pack uint64
	err := tx.QueryRow(ctx, query, tenant, hash[:]).Scan(&pack)
	return found(err, "body")
}
