// Package keys keeps the key-encryption keys outside the store and wraps with them what must stay secret inside it.
//
// The formats are in docs/formats/keys.md. Nothing here prints a key: every type
// that holds one formats itself as its id.
package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"

	"relais/internal/fault"
	"relais/internal/mail"
)

const (
	keySize    = 32 // bytes: AES-256
	idSize     = 8
	nonceSize  = 12
	tagSize    = 16
	boxVersion = 1
	prefixSize = 1 + idSize
	maxSecret  = 64 << 10
	maxContext = 255
)

// keyID names a key-encryption key without telling it.
type keyID [idSize]byte

func idOf(key []byte) keyID {
	h := sha256.New()
	h.Write([]byte("relais key id 1"))
	h.Write(key)
	return keyID(h.Sum(nil)[:idSize])
}

// Keyring holds the key-encryption keys of a node: one in use, older ones that
// only open. Immutable; safe for concurrent use.
type Keyring struct {
	current keyID
	aeads   map[keyID]cipher.AEAD
}

// newKeyring takes the keys in the order of the file, the one in use first.
func newKeyring(all [][]byte) (*Keyring, error) {
	if len(all) == 0 || len(all) > maxKeys {
		return nil, fault.New(fault.Invalid, "the key file holds %d keys, want 1 to %d", len(all), maxKeys)
	}
	r := &Keyring{current: idOf(all[0]), aeads: make(map[keyID]cipher.AEAD, len(all))}
	for _, key := range all {
		aead, err := newAEAD(key)
		if err != nil {
			return nil, err
		}
		r.aeads[idOf(key)] = aead
	}
	return r, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return cipher.NewGCM(block)
}

// ID is the id of the key in use, 16 hexadecimal digits. It is no secret.
func (r *Keyring) ID() string { return hex.EncodeToString(r.current[:]) }

// Seal encrypts a small secret (at most 64 KiB) under the key in use. context
// says which secret of whom it is ("primary/example.org/master", at most 255 bytes);
// Open needs the same. The box is 37 bytes longer than the secret.
func (r *Keyring) Seal(context string, secret []byte) ([]byte, error) {
	if len(secret) > maxSecret || len(context) > maxContext {
		return nil, fault.New(fault.TooLarge, "a secret may hold %d bytes and its context %d", maxSecret, maxContext)
	}
	box := make([]byte, prefixSize+nonceSize, prefixSize+nonceSize+len(secret)+tagSize)
	box[0] = boxVersion
	copy(box[1:], r.current[:])
	nonce := box[prefixSize:]
	rand.Read(nonce) // never fails (crypto/rand)
	return r.aeads[r.current].Seal(box, nonce, secret, additional(box, context)), nil
}

// Open decrypts what Seal made. fault.Unavailable when the key file lacks the key
// that the box names (not NotFound: nothing was erased), fault.Corrupt when the box does not open with this context.
func (r *Keyring) Open(context string, box []byte) ([]byte, error) {
	if len(box) < prefixSize+nonceSize+tagSize {
		return nil, fault.New(fault.Corrupt, "a sealed secret is cut short")
	}
	if box[0] != boxVersion {
		return nil, fault.New(fault.Invalid, "a sealed secret has format version %d, this release reads version %d", box[0], boxVersion)
	}
	id := keyID(box[1:prefixSize])
	aead, ok := r.aeads[id]
	if !ok {
		return nil, fault.New(fault.Unavailable, "the key file lacks the key %x", id)
	}
	secret, err := aead.Open(nil, box[prefixSize:prefixSize+nonceSize], box[prefixSize+nonceSize:], additional(box, context))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "a sealed secret does not open")
	}
	return secret, nil
}

// Rewrap seals a box anew under the key in use. The box itself is returned when
// it is sealed with that key already.
func (r *Keyring) Rewrap(context string, box []byte) ([]byte, error) {
	secret, err := r.Open(context, box)
	if err != nil {
		return nil, err
	}
	if keyID(box[1:prefixSize]) == r.current {
		return box, nil
	}
	return r.Seal(context, secret)
}

// NewTenantKey makes a data key for a tenant and returns it wrapped, for the
// tenant's row.
func (r *Keyring) NewTenantKey(tenant mail.TenantID) ([]byte, error) {
	key := make([]byte, keySize)
	rand.Read(key) // never fails (crypto/rand)
	return r.Seal(TenantContext(tenant), key)
}

// TenantContext is the context under which a tenant's data key is wrapped; Rewrap needs it.
func TenantContext(tenant mail.TenantID) string {
	return "tenant-key/" + strconv.FormatInt(int64(tenant), 10)
}

func (r *Keyring) tenantAEAD(tenant mail.TenantID, wrapped []byte) (cipher.AEAD, error) {
	key, err := r.Open(TenantContext(tenant), wrapped)
	if err != nil {
		return nil, err
	}
	if len(key) != keySize {
		return nil, fault.New(fault.Corrupt, "the tenant's data key has %d bytes, want %d", len(key), keySize)
	}
	return newAEAD(key)
}

// additional binds version, key id and context to a box.
func additional(box []byte, context string) []byte {
	return append(box[:prefixSize:prefixSize], context...)
}

// Format prints the id of the key in use whatever the verb.
func (r *Keyring) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "keyring(%s)", r.ID()) }

// LogValue is the id of the key in use.
func (r *Keyring) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }
