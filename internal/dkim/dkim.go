// Package dkim signs messages with DKIM and verifies the signatures of others.
//
// RFC 6376 (DKIM), RFC 8301 (no SHA-1, RSA from 1024 bits), RFC 8463 (Ed25519).
// It is our own because a verification costs a sixth of what the library at
// hand takes (docs/adr/0005-own-dkim.md); that library is the oracle of its tests.
package dkim

import (
	"bytes"
	"errors"
	"strings"
)

// Status is the result of one signature, as RFC 8601 §2.7.1 spells it.
type Status string

// The results.
const (
	Pass      Status = "pass"
	Fail      Status = "fail"      // the signature or the body hash does not match
	Policy    Status = "policy"    // valid perhaps, but it protects too little to be believed
	Neutral   Status = "neutral"   // it does not parse, or the key is a test
	TempError Status = "temperror" // the key could not be looked up
	PermError Status = "permerror" // no key, a revoked or an unsuitable one
)

// Bounds on what a stranger's message can make us do.
const (
	maxSignatures = 8    // verified per message, from the top
	maxFields     = 2000 // header fields of a message that is verified or signed
	maxSigned     = 200  // names in h=
)

var (
	errHeader = errors.New("malformed message header")
	errFields = errors.New("too many header fields")
)

// field is one header field of a message, its bytes shared with the message.
type field struct {
	name []byte // as written, without the white space before the colon
	raw  []byte // all of it, folded lines and the final CR LF too
}

func (f field) is(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(string(f.name), name)
}

// value is what follows the colon, up to but without the final CR LF.
func (f field) value() []byte {
	i := bytes.IndexByte(f.raw, ':')
	return bytes.TrimSuffix(f.raw[i+1:], crlf)
}

var crlf = []byte("\r\n")

// split parts a message into its header fields and its body. A message without
// an empty line is all header. Lines end in CR LF; a bare LF is content.
func split(msg []byte) (fields []field, body []byte, err error) {
	fields = make([]field, 0, 32)
	for start := 0; start < len(msg); {
		end := lineEnd(msg, start)
		if end-start == 2 {
			return fields, msg[end:], nil
		}
		for end < len(msg) && isSpace(msg[end]) {
			end = lineEnd(msg, end)
		}
		raw := msg[start:end]
		colon := bytes.IndexByte(raw, ':')
		if colon <= 0 || isSpace(raw[0]) {
			return nil, nil, errHeader
		}
		if len(fields) == maxFields {
			return nil, nil, errFields
		}
		fields = append(fields, field{bytes.TrimRight(raw[:colon], " \t"), raw})
		start = end
	}
	return fields, nil, nil
}

// lineEnd is the index after the CR LF that ends the line at start, or the message's end.
func lineEnd(msg []byte, start int) int {
	for i := start; ; {
		n := bytes.IndexByte(msg[i:], '\n')
		if n < 0 {
			return len(msg)
		}
		i += n + 1
		if i-start >= 2 && msg[i-2] == '\r' {
			return i
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }
