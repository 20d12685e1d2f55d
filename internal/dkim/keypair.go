package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"relais/internal/fault"
)

// Key signs for a domain under one selector.
type Key struct {
	Selector string
	private  crypto.Signer
}

// Keys are the keys of one domain. Every message gets a signature of each.
type Keys []Key

const (
	rsaBits    = 2048 // RFC 8301 §3.2: at least 1024, should be 2048; more does not fit into one UDP answer everywhere
	pemType    = "PRIVATE KEY"
	pemSection = "Selector"
)

// Generate makes the keys of a new domain: RSA with 2,048 bits, which every
// receiver verifies, and with alsoEd25519 a second, short one (RFC 8463) for the
// few that know it. The selector tells when it was made, so that a later
// rotation never meets the name of an older key.
func Generate(now time.Time, alsoEd25519 bool) (Keys, error) {
	selector := "relais" + now.UTC().Format("20060102")
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("make a DKIM key: %w", err)
	}
	keys := Keys{{selector, key}}
	if alsoEd25519 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a DKIM key: %w", err)
		}
		keys = append(keys, Key{selector + "e", key})
	}
	return keys, nil
}

// Private is the keys in PEM (PKCS #8, the selector in each block's headers): a
// secret, to be sealed before it is stored.
func (k Keys) Private() ([]byte, error) {
	var out []byte
	for _, key := range k {
		der, err := x509.MarshalPKCS8PrivateKey(key.private)
		if err != nil {
			return nil, fmt.Errorf("encode DKIM key: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemType, Headers: map[string]string{pemSection: key.Selector}, Bytes: der})...)
	}
	return out, nil
}

// ParsePrivate reads what Private wrote.
func ParsePrivate(text []byte) (Keys, error) {
	var keys Keys
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "a DKIM key does not parse")
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok || block.Headers[pemSection] == "" {
			return nil, fault.New(fault.Corrupt, "a DKIM key is of an unknown kind")
		}
		keys = append(keys, Key{block.Headers[pemSection], signer})
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Corrupt, "no DKIM key")
	}
	return keys, nil
}

// Public is the text to store beside the sealed keys and to publish: a line for
// each key, the selector and a space before the record's text (RFC 6376 §3.6.1).
func (k Keys) Public() (string, error) {
	lines := make([]string, len(k))
	for i, key := range k {
		text, err := key.record()
		if err != nil {
			return "", err
		}
		lines[i] = key.Selector + " " + text
	}
	return strings.Join(lines, "\n"), nil
}

func (k Key) record() (string, error) {
	switch public := k.private.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", fmt.Errorf("encode DKIM key: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	}
	return "", errors.New("DKIM key of an unknown kind")
}
