package reconcile

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/record"
)

// Signed is a report with its signature. Report holds the exact bytes that were signed.
type Signed struct {
	Report    json.RawMessage `json:"report"`
	Algorithm string          `json:"algorithm"` // "ed25519"
	PublicKey string          `json:"public_key"`
	Signature string          `json:"signature"`
}

// settingKey is where the record keeps the sealed signing key; sealContext binds it to its use.
const (
	settingKey  = "report-key"
	sealContext = "report-key"
	algorithm   = "ed25519"
)

// Signer signs reports with this installation's key.
type Signer struct{ key ed25519.PrivateKey }

// OpenSigner reads the signing key from the record, and makes it the first time.
func OpenSigner(ctx context.Context, store *record.Store, ring *keys.Keyring) (*Signer, error) {
	var seed []byte
	err := store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		text, err := tx.Directory.Setting(ctx, settingKey)
		if err == nil && text != "" {
			box, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return fault.Wrap(err, fault.Corrupt, "the key that signs reports is damaged")
			}
			seed, err = ring.Open(sealContext, box)
			return err
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		seed = key.Seed()
		box, err := ring.Seal(sealContext, seed)
		if err != nil {
			return err
		}
		return tx.Directory.SetSetting(ctx, settingKey, base64.StdEncoding.EncodeToString(box))
	})
	if err != nil {
		return nil, err
	}
	return &Signer{ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is the public key in base64, to be kept apart from the reports.
func (s *Signer) Public() string {
	return base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
}

// Sign writes a report as a file: indented JSON that ends in a newline.
func (s *Signer) Sign(r *Report) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(Signed{Report: body, Algorithm: algorithm, PublicKey: s.Public(),
		Signature: base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, signedBytes(body)))}, "", "  ")
	return append(out, '\n'), err
}

// signedBytes is what is signed: the report as compact JSON, after a line that
// keeps the signature from being taken for one of something else.
func signedBytes(report []byte) []byte {
	var b bytes.Buffer
	b.WriteString(Format + "\n")
	if err := json.Compact(&b, report); err != nil {
		return nil
	}
	return b.Bytes()
}

// Verify checks a file that Sign wrote. trusted is the expected public key in
// base64; "" accepts the one in the file, whose Fingerprint is then to be compared
// by a person. fault.Corrupt when the signature is not right.
func Verify(file []byte, trusted string) (*Report, string, error) {
	var s Signed
	if err := json.Unmarshal(file, &s); err != nil {
		return nil, "", fault.Wrap(err, fault.Invalid, "this is no Relais report")
	}
	key, err := base64.StdEncoding.DecodeString(s.PublicKey)
	if err != nil || len(key) != ed25519.PublicKeySize || s.Algorithm != algorithm {
		return nil, "", fault.New(fault.Invalid, "this is no Relais report: its key is not an Ed25519 key")
	}
	if trusted != "" && trusted != s.PublicKey {
		return nil, "", fault.New(fault.Corrupt, "the report was signed by another key than the one expected")
	}
	signature, err := base64.StdEncoding.DecodeString(s.Signature)
	signed := signedBytes(s.Report)
	if err != nil || signed == nil || !ed25519.Verify(key, signed, signature) {
		return nil, "", fault.New(fault.Corrupt, "the signature does not fit the report: it was altered after it was signed")
	}
	var r Report
	if err := json.Unmarshal(s.Report, &r); err != nil || r.Format != Format {
		return nil, "", fault.New(fault.Invalid, "the report has the format %q, this release reads %q", r.Format, Format)
	}
	return &r, Fingerprint(key), nil
}

// Fingerprint is the SHA-256 of a public key in hexadecimal, in groups of four for people to compare.
func Fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	text := hex.EncodeToString(sum[:16])
	var b []byte
	for i := 0; i < len(text); i += 4 {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, text[i:i+4]...)
	}
	return string(b)
}
