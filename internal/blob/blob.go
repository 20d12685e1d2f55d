// Package blob stores the bodies of messages, encrypted with the key of their tenant, in append-only packs.
//
// Store is a contract with several makers; blobtest is the suite that each of
// them passes. Packs is the maker for one node with a directory of its own. The
// format, the rules after a crash and what was measured are in
// docs/formats/packs.md.
//
//	Append   callers: manifest → zstd → AES-256-GCM ─┐
//	         (in parallel)                           ├→ one writer: write, sync, tell all
//	Append   manifest → zstd → AES-256-GCM ──────────┘
//	Read     pread → AES-256-GCM → zstd → manifest → SHA-256 compared
package blob

import (
	"context"
	"crypto/cipher"
	"fmt"

	"relais/internal/mail"
)

// MaxBody is the largest body in bytes. Doors have their own, smaller limits.
const MaxBody = 1 << 30

// Store keeps bodies. A body counts once the caller has committed a row with its
// Ref: what has no row is an orphan and goes at compaction. All methods are safe
// for concurrent use; after Close they give fault.Unavailable.
type Store interface {
	// Append stores bodies and returns where they lie, in the order of puts.
	// They are durable when it returns; callers at the same time share one
	// sync. All are stored or an error is returned. fault.Temporary: nothing
	// counts as stored, the same may be tried again (disk full, write or sync
	// failed); fault.TooLarge; the errors of Keys. When ctx ends first its error
	// is returned and the bodies may become orphans.
	//
	// The row has to be committed within an hour, or compaction may find the
	// record dead.
	Append(ctx context.Context, puts []Put) ([]Ref, error)

	// Read returns the body with that hash from the place that its row names.
	// The caller owns the result. Every byte is verified: fault.Corrupt when
	// there is something else at ref, or of another tenant, or altered;
	// fault.NotFound when the tenant's key was destroyed; fault.Temporary when
	// the medium does not answer.
	Read(ctx context.Context, tenant mail.TenantID, hash mail.Hash, ref Ref) ([]byte, error)

	// Packs lists the packs by number.
	Packs(ctx context.Context) ([]PackInfo, error)

	// Walk calls found for every whole record of a pack, in the order of their
	// offsets, and damaged for every stretch that holds none. It needs no key
	// and looks into no record. An error of either ends the walk and is returned.
	// fault.NotFound without such a pack.
	Walk(ctx context.Context, pack uint64, found func(Record) error, damaged func(Damage) error) error

	// Check is Walk over all packs that also opens every record and compares
	// its hash. It holds one record in memory. The records of tenants whose key
	// was destroyed are found, and counted as erased.
	Check(ctx context.Context, found func(Record) error, damaged func(Damage) error) (Summary, error)

	// Compact copies the live records of a sealed pack to the newest and removes
	// the pack. live tells whether a row points at this very record (tenant,
	// hash and place). moved is called after copies became durable, with some
	// of them at a time: it must commit To into the rows that still say From
	// before it returns nil. fault.Conflict: the pack is not sealed, or was
	// written within the last hour; fault.Corrupt: it is damaged, and stays.
	// Whatever the error, the same can be called again.
	Compact(ctx context.Context, pack uint64, live func(Record) (bool, error), moved func([]Moved) error) (Compaction, error)

	// Close waits for the appends under way and gives the packs free for another node.
	Close() error
}

// Keys gives the tenants' data keys; keys.Ring is one.
type Keys interface {
	// Key is the tenant's AES-256-GCM cipher (12-byte nonces, 16-byte tags).
	// fault.NotFound when the key was destroyed.
	Key(ctx context.Context, tenant mail.TenantID) (cipher.AEAD, error)
}

// Locate finds the place of a body by its row; fault.NotFound without one.
type Locate func(ctx context.Context, tenant mail.TenantID, hash mail.Hash) (Ref, error)

// Put is one body to store. Hash is mail.Sum(Body), computed by the caller, who
// needs it anyway: a wrong one makes a body that no Read returns.
type Put struct {
	Tenant mail.TenantID
	Hash   mail.Hash
	Body   []byte
}

// Ref is where a record lies.
type Ref struct {
	Pack   uint64
	Offset int64 // of the record's header, bytes
	Length int64 // header and payload, bytes
}

// String is pack:offset+length.
func (r Ref) String() string { return fmt.Sprintf("%d:%d+%d", r.Pack, r.Offset, r.Length) }

// Record is what a record says of itself.
type Record struct {
	Tenant mail.TenantID
	Hash   mail.Hash
	Size   int64 // of the body, bytes
	Ref    Ref
}

// Damage is a stretch of a pack that holds no whole record, or a record that does not open.
type Damage struct {
	Ref    Ref           // the stretch
	Tenant mail.TenantID // 0 when the stretch has no readable header
	Hash   mail.Hash     // zero when the stretch has no readable header
	Err    error         // what is wrong
}

// PackInfo describes a pack.
type PackInfo struct {
	Number uint64
	Size   int64 // bytes up to the end of the last record
	Sealed bool  // nothing is appended any more
}

// Moved is a record that compaction copied.
type Moved struct {
	Tenant   mail.TenantID
	Hash     mail.Hash
	From, To Ref
}

// Summary counts what Check saw.
type Summary struct {
	Packs    int   `json:"packs"`
	Records  int64 `json:"records"`  // whole records, the erased ones among them
	Erased   int64 `json:"erased"`   // records whose tenant's key was destroyed
	Bytes    int64 `json:"bytes"`    // of all whole records, as stored
	Damages  int64 `json:"damages"`  // stretches reported as damaged
	Unusable int64 `json:"unusable"` // bytes in them
}

// Compaction counts what Compact did.
type Compaction struct {
	Kept    int64 // records copied
	Dropped int64 // dead records
	Freed   int64 // bytes of the removed pack less those copied
}
