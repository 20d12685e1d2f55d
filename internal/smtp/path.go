package smtp

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"relais/internal/mail"
)

// maxAddress bounds local part, @ and domain (RFC 5321 §4.5.3.1.3 less the
// brackets). The local part alone may exceed RFC 5321's 64 bytes: the bounce
// addresses of many senders do.
const maxAddress = 254

// parseReverse reads a reverse-path without its brackets; "" is the null one.
func parseReverse(path string) (mail.Address, error) {
	if path == "" {
		return mail.Address{}, nil
	}
	a, _, ok := parseMailbox(path)
	if !ok {
		return mail.Address{}, NewReply(553, "5.1.7", "sender address is not valid")
	}
	return a, nil
}

// parseForward reads a forward-path without its brackets, and returns the mailbox as written besides.
func parseForward(path string) (mail.Address, string, error) {
	if strings.EqualFold(path, "postmaster") { // RFC 5321 §4.1.1.3
		return mail.Address{Local: path}, path, nil
	}
	a, written, ok := parseMailbox(path)
	if !ok {
		return mail.Address{}, "", NewReply(553, "5.1.3", "recipient address is not valid")
	}
	return a, written, nil
}

// parseMailbox reads Mailbox of RFC 5321 §4.1.2 (with RFC 6531 §3.3). A source
// route before it is taken off (RFC 5321 §3.6.1 and appendix C).
func parseMailbox(path string) (a mail.Address, written string, ok bool) {
	if strings.HasPrefix(path, "@") {
		_, mailbox, found := strings.Cut(path, ":")
		if !found {
			return a, "", false
		}
		path = mailbox
	}
	if len(path) > maxAddress || !utf8.ValidString(path) {
		return a, "", false
	}
	local, rest, ok := cutLocal(path)
	if !ok || local == "" || len(rest) < 2 || rest[0] != '@' {
		return a, "", false
	}
	domain, ok := parseDomain(rest[1:])
	return mail.Address{Local: local, Domain: domain}, path, ok
}

// cutLocal takes the local part off, a quoted one without its quotes.
func cutLocal(s string) (local, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := 0
		for i < len(s) && s[i] != '@' {
			if !isAtext(s[i]) && s[i] != '.' { // dots side by side occur in the wild
				return "", "", false
			}
			i++
		}
		return s[:i], s[i:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", false
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// isAtext is RFC 5322 §3.2.3 and any byte of a UTF-8 sequence (RFC 6532 §3.2).
func isAtext(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= utf8.RuneSelf:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// parseDomain reads a domain name or an address literal (RFC 5321 §4.1.3).
func parseDomain(s string) (string, bool) {
	if strings.HasPrefix(s, "[") {
		return strings.ToLower(s), isLiteral(s)
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf
		if !letter && (c != '.' || i > 0 && s[i-1] == '.') && c != '-' && c != '_' {
			return "", false
		}
	}
	d, err := mail.Domain(s)
	return d, err == nil && d != "" && d[0] != '.'
}

func isLiteral(s string) bool {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return false
	}
	const v6 = "IPv6:"
	if len(inner) > len(v6) && strings.EqualFold(inner[:len(v6)], v6) {
		ip, err := netip.ParseAddr(inner[len(v6):])
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	ip, err := netip.ParseAddr(inner)
	return err == nil && ip.Is4()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
