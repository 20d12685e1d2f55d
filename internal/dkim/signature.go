package dkim

import (
	"crypto"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// signature is a parsed DKIM-Signature field (RFC 6376 §3.5).
type signature struct {
	algorithm     string // "rsa-sha256", "ed25519-sha256"
	keyType       string // "rsa", "ed25519"
	hash          crypto.Hash
	value         []byte // b=
	bodyHash      []byte // bh=
	relaxedHeader bool
	relaxedBody   bool
	domain        string // d=, A-labels, lower case
	selector      string // s=, A-labels, lower case
	identity      string // i=, "" when left out
	signed        []string
	limited       bool // l= is there
	expires       time.Time
	field         field
	start, after  int // where the value of b= lies in field.value()
}

var (
	errVersion   = errors.New("unknown version")
	errMissing   = errors.New("a required tag is missing")
	errAlgorithm = errors.New("unknown or outdated algorithm")
)

// parseSignature reads f. Unknown tags are passed over (RFC 6376 §3.2).
func parseSignature(f field) (*signature, error) {
	tags, err := parseTags(string(f.value()))
	if err != nil {
		return nil, err
	}
	s := &signature{field: f}
	var version, query string
	var signedAt, expires int64 = -1, -1
	canon := "simple/simple"
	for _, t := range tags {
		switch t.name {
		case "v":
			version = t.value
		case "a":
			s.algorithm = strings.ToLower(t.value)
		case "b":
			s.value, err = decode64(t.value)
			s.start, s.after = t.start, t.after
		case "bh":
			s.bodyHash, err = decode64(t.value)
		case "c":
			canon = strings.ToLower(t.value)
		case "d":
			s.domain, err = asciiName(t.value)
		case "s":
			s.selector, err = asciiName(t.value)
		case "h":
			s.signed = words(t.value)
		case "i":
			s.identity = t.value
		case "l":
			s.limited = true
		case "q":
			query = t.value
		case "t":
			signedAt, err = strconv.ParseInt(t.value, 10, 64)
		case "x":
			expires, err = strconv.ParseInt(t.value, 10, 64)
		}
		if err != nil {
			return s, fmt.Errorf("tag %s=: %w", t.name, err)
		}
	}
	if err := s.setCanon(canon); err != nil {
		return s, err
	}
	if expires >= 0 {
		s.expires = time.Unix(expires, 0)
	}
	switch {
	case version != "1":
		return s, errVersion
	case len(s.value) == 0 || len(s.bodyHash) == 0 || s.domain == "" || s.selector == "" || len(s.signed) == 0 || s.algorithm == "":
		return s, errMissing
	case len(s.signed) > maxSigned:
		return s, errFields
	case query != "" && !hasWord(words(query), "dns/txt"):
		return s, errors.New("unknown query method")
	case signedAt >= 0 && expires >= 0 && expires <= signedAt:
		return s, errors.New("expires before it was made")
	case !s.identityUnderDomain():
		return s, errors.New("identity i= is not under the domain d=")
	}
	// RFC 8301 §3: rsa-sha1 must not be used any more.
	switch s.algorithm {
	case "rsa-sha256":
		s.keyType, s.hash = "rsa", crypto.SHA256
	case "ed25519-sha256":
		s.keyType, s.hash = "ed25519", crypto.SHA256
	default:
		return s, errAlgorithm
	}
	return s, nil
}

// setCanon reads c=: header and body form, simple when left out (RFC 6376 §3.5).
func (s *signature) setCanon(c string) error {
	header, body, _ := strings.Cut(c, "/")
	for _, part := range []struct {
		word    string
		relaxed *bool
	}{{trimFold(header), &s.relaxedHeader}, {trimFold(body), &s.relaxedBody}} {
		switch part.word {
		case "relaxed":
			*part.relaxed = true
		case "simple", "":
		default:
			return fmt.Errorf("unknown canonicalization %q", part.word)
		}
	}
	return nil
}

func (s *signature) identityUnderDomain() bool {
	if s.identity == "" {
		return true
	}
	_, domain, found := strings.Cut(s.identity, "@")
	domain, err := asciiName(domain)
	return found && err == nil && (domain == s.domain || strings.HasSuffix(domain, "."+s.domain))
}

func asciiName(s string) (string, error) {
	s = strings.ToLower(s)
	for i := range len(s) {
		if s[i] >= 0x80 {
			return idna.Lookup.ToASCII(s)
		}
		if s[i] <= ' ' || s[i] == '"' || s[i] == '\\' || s[i] == '(' || s[i] == ')' {
			return "", errors.New("not a domain name")
		}
	}
	if s == "" || len(s) > 253 || s[0] == '.' || s[len(s)-1] == '.' {
		return "", errors.New("not a domain name")
	}
	return s, nil
}

// signedBytes is what the signature covers (RFC 6376 §3.7): the fields that h=
// names, each name from the bottom up, then the signature's own field with an
// empty b=.
func (s *signature) signedBytes(fields []field) []byte {
	out := make([]byte, 0, 4096)
	taken := make([]bool, len(fields))
	for _, name := range s.signed {
		for i := len(fields) - 1; i >= 0; i-- {
			if !taken[i] && fields[i].is(name) {
				taken[i] = true
				out = appendField(out, fields[i].raw, s.relaxedHeader)
				out = append(out, crlf...)
				break
			}
		}
	}
	raw := s.field.raw
	head := len(raw) - len(s.field.value())
	if len(raw) >= 2 && raw[len(raw)-1] == '\n' {
		head -= 2
	}
	own := make([]byte, 0, len(raw))
	own = append(own, raw[:head+s.start]...)
	own = append(own, raw[head+s.after:]...)
	return appendField(out, own, s.relaxedHeader)
}
