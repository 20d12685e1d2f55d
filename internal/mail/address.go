package mail

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"
)

// Address is an SMTP mailbox: local part and domain (RFC 5321 §4.1.2), without
// quotes or comments. The zero value is the null reverse-path <>.
type Address struct {
	Local  string // as written: case is kept
	Domain string // lower case, U-labels (RFC 5890) in NFC
}

var errAddress = errors.New("not an e-mail address")

// ParseAddress reads "local@domain", at most 254 bytes (RFC 5321 §4.5.3.1.3). The
// local part alone may exceed that section's 64: the bounce addresses of many
// senders do. "" gives the null address. A quoted local part loses its quotes.
func ParseAddress(s string) (Address, error) {
	if s == "" {
		return Address{}, nil
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || len(s) > 254 {
		return Address{}, errAddress
	}
	local, domain := s[:at], s[at+1:]
	if strings.HasPrefix(local, `"`) {
		if len(local) < 3 || !strings.HasSuffix(local, `"`) {
			return Address{}, errAddress
		}
		local = unquote(local[1 : len(local)-1])
	}
	if strings.ContainsAny(local, "\r\n\x00") || strings.ContainsAny(domain, "\r\n\x00 @<>") {
		return Address{}, errAddress
	}
	if strings.HasPrefix(domain, "[") {
		return Address{local, strings.ToLower(domain)}, nil
	}
	d, err := Domain(domain)
	if err != nil {
		return Address{}, err
	}
	return Address{local, d}, nil
}

// Domain brings a domain name to the form that is stored and compared: lower case, U-labels, no final dot.
func Domain(s string) (string, error) {
	u, err := idna.Lookup.ToUnicode(strings.TrimSuffix(strings.ToLower(s), "."))
	if err != nil {
		// Underscores and the like are refused by Lookup but occur in the wild.
		if isASCII(s) && !strings.ContainsAny(s, " \t/\\:") {
			return strings.TrimSuffix(strings.ToLower(s), "."), nil
		}
		return "", errAddress
	}
	return u, nil
}

// IsNull tells whether it is the null reverse-path.
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// String is local@domain, the local part quoted where it must be; "" for the null address.
func (a Address) String() string {
	if a.IsNull() {
		return ""
	}
	if strings.ContainsAny(a.Local, " \t()<>[]:;@\\,\"") || strings.HasPrefix(a.Local, ".") || strings.HasSuffix(a.Local, ".") || strings.Contains(a.Local, "..") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Local) + `"@` + a.Domain
	}
	return a.Local + "@" + a.Domain
}

// Key is the form to look up and compare: lower case throughout. (RFC 5321 lets
// local parts differ by case; no company's directory does.)
func (a Address) Key() string { return strings.ToLower(a.String()) }

// Base is the address without its plus-detail: ann+news@x becomes ann@x.
func (a Address) Base() Address {
	if i := strings.IndexByte(a.Local, '+'); i > 0 {
		a.Local = a.Local[:i]
	}
	return a
}

// ASCII tells whether the address can be said without SMTPUTF8; the domain then goes as A-labels.
func (a Address) ASCII() (string, bool) {
	if !isASCII(a.Local) {
		return "", false
	}
	if a.IsNull() || strings.HasPrefix(a.Domain, "[") {
		return a.String(), true
	}
	d, err := idna.Lookup.ToASCII(a.Domain)
	if err != nil {
		d = a.Domain
	}
	if !isASCII(d) {
		return "", false
	}
	return Address{a.Local, d}.String(), true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
