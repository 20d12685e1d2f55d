package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"relais/internal/fault"
)

// sealed are the fields that a signature covers once more than they occur, so
// that nobody can add another one on the way (RFC 6376 §8.15). Fields that lists
// and relays may add rightly (Sender, List-*, Received) are not among them.
var sealed = []string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// Sign returns the DKIM-Signature fields, each with its CR LF, to be put before
// msg (lines end in CR LF). domain is the signing domain in A-labels: for the
// signature to count in DMARC it must be that of the From address. fault.Invalid
// when the message has not exactly one From field.
func (k Keys) Sign(domain string, msg []byte, now time.Time) ([]byte, error) {
	fields, body, err := split(msg)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the message cannot be signed")
	}
	names := make([]string, 0, 2*len(sealed))
	for _, name := range sealed {
		for _, f := range fields {
			if f.is(name) {
				names = append(names, name)
			}
		}
		names = append(names, name)
	}
	if len(names) < 2 || names[1] != "From" || names[2] == "From" {
		return nil, fault.New(fault.Invalid, "a message must have exactly one From field")
	}
	h := sha256.New()
	hashBody(h, body, true)
	bodySum := h.Sum(nil)
	var out []byte
	for _, key := range k {
		signed, err := key.sign(domain, names, fields, bodySum, now)
		if err != nil {
			return nil, err
		}
		out = append(out, signed...)
	}
	return out, nil
}

func (k Key) sign(domain string, names []string, fields []field, bodySum []byte, now time.Time) ([]byte, error) {
	algorithm, hash := "rsa-sha256", crypto.SHA256
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		algorithm, hash = "ed25519-sha256", crypto.Hash(0) // RFC 8463 §3: the hash is the message that Ed25519 signs
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed; d=%s;\r\n\ts=%s; t=%s;\r\n\th=",
		algorithm, domain, k.Selector, strconv.FormatInt(now.Unix(), 10))
	column := 3
	for i, name := range names {
		if i > 0 {
			b.WriteByte(':')
			if column++; column+len(name) > 74 {
				b.WriteString("\r\n\t")
				column = 1
			}
		}
		b.WriteString(name)
		column += len(name)
	}
	b.WriteString(";\r\n\tbh=" + base64.StdEncoding.EncodeToString(bodySum) + ";\r\n\tb=")
	own := field{raw: b.Bytes()}
	end := len(own.value())
	sig := signature{signed: names, relaxedHeader: true, relaxedBody: true, field: own, start: end, after: end}
	sum := sha256.Sum256(sig.signedBytes(fields))
	value, err := k.private.Sign(rand.Reader, sum[:], hash)
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	for text, width := base64.StdEncoding.EncodeToString(value), 72; text != ""; {
		n := min(width, len(text))
		b.WriteString(text[:n])
		if text = text[n:]; text != "" {
			b.WriteString("\r\n\t ")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}
