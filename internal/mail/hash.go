// Package mail holds the words that every other room uses for a message: hash, flags, roles, addresses.
package mail

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash is the SHA-256 of a message's bytes as stored (lines end in CR LF, no
// header added for one recipient alone). It addresses the body within a tenant.
type Hash [sha256.Size]byte

// Sum hashes the message bytes b.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// String is the hash in lower-case hexadecimal, 64 digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero tells whether no hash was set.
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads what String wrote.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("hash %q: want %d hexadecimal digits", s, 2*len(h))
	}
	copy(h[:], b)
	return h, nil
}
