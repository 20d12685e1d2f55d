package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// record is a parsed key record (RFC 6376 §3.6.1).
type record struct {
	keyType string // "rsa", "ed25519"
	key     crypto.PublicKey
	test    bool // t=y
	strict  bool // t=s: i= must be of the very domain d=
}

var (
	errNotKey  = errors.New("not a DKIM key record")
	errRevoked = errors.New("the key is revoked")
	errWeak    = errors.New("RSA key of less than 1024 bits")
)

// parseRecord reads the text of a key record. errNotKey means that it is some other TXT record.
func parseRecord(text string) (*record, error) {
	tags, err := parseTags(text)
	if err != nil {
		return nil, errNotKey
	}
	r := &record{keyType: "rsa"}
	var encoded string
	found := false
	for i, t := range tags {
		switch t.name {
		case "v":
			if i != 0 || t.value != "DKIM1" {
				return nil, errNotKey
			}
		case "k":
			r.keyType = strings.ToLower(t.value)
		case "h":
			if !hasWord(words(t.value), "sha256") {
				return nil, errors.New("the key is not for SHA-256")
			}
		case "s":
			if s := words(t.value); !hasWord(s, "*") && !hasWord(s, "email") {
				return nil, errors.New("the key is not for e-mail")
			}
		case "t":
			flags := words(t.value)
			r.test, r.strict = hasWord(flags, "y"), hasWord(flags, "s")
		case "p":
			encoded, found = t.value, true
		}
	}
	if !found {
		return nil, errNotKey
	}
	if encoded == "" {
		return nil, errRevoked
	}
	der, err := decode64(encoded)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return r, r.setKey(der)
}

func (r *record) setKey(der []byte) error {
	switch r.keyType {
	case "rsa":
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			// RFC 6376 §3.6.1 wants PKIX; keys in PKCS#1 form are about and other verifiers take them.
			if key, err = x509.ParsePKCS1PublicKey(der); err != nil {
				return fmt.Errorf("public key: %w", err)
			}
		}
		public, ok := key.(*rsa.PublicKey)
		if !ok {
			return errors.New("the key is not an RSA key")
		}
		if public.N.BitLen() < 1024 {
			return errWeak
		}
		r.key = public
	case "ed25519":
		if len(der) != ed25519.PublicKeySize {
			return errors.New("an Ed25519 key has 32 bytes")
		}
		r.key = ed25519.PublicKey(der)
	default:
		return fmt.Errorf("unknown key type %q", r.keyType)
	}
	return nil
}

// recordCache keeps parsed records by their text, so that an RSA key is parsed
// once and not for each message.
type recordCache struct {
	mu      sync.Mutex
	records map[string]*record
}

const maxRecords = 4096

func (c *recordCache) parse(text string) (*record, error) {
	c.mu.Lock()
	r := c.records[text]
	c.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := parseRecord(text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == nil || len(c.records) >= maxRecords {
		c.records = make(map[string]*record) // filling it anew costs less than keeping an order
	}
	c.records[text] = r
	return r, nil
}
