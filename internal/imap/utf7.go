package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7 (RFC 3501 §5.1.3): printable ASCII stands for itself, "&" is
// "&-", and all else is "&" base64(UTF-16BE) "-" with "," for "/" and no padding.

var base64Mailbox = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

// A byte of a name that is no modified UTF-7 is kept as two noncharacters,
// which Unicode reserves for internal use: high half, low half.
const (
	escapeHigh = 0xFDD0 // to U+FDDF
	escapeLow  = 0xFDE0 // to U+FDEF
)

// EncodeMailbox writes a UTF-8 name in modified UTF-7. What DecodeMailbox could
// not read comes out as it came in.
func EncodeMailbox(name string) string {
	if plain(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		switch c := name[i]; {
		case c == '&':
			b.WriteString("&-")
			i++
		case printable(c):
			b.WriteByte(c)
			i++
		default:
			if raw, ok := escaped(name[i:]); ok {
				b.WriteByte(raw)
				i += 6
				continue
			}
			j := i
			for j < len(name) && !printable(name[j]) {
				if _, ok := escaped(name[j:]); ok {
					break
				}
				_, n := utf8.DecodeRuneInString(name[j:])
				j += n
			}
			var wide []byte
			for _, u := range utf16.Encode([]rune(name[i:j])) {
				wide = append(wide, byte(u>>8), byte(u))
			}
			b.WriteByte('&')
			b.WriteString(base64Mailbox.EncodeToString(wide))
			b.WriteByte('-')
			i = j
		}
	}
	return b.String()
}

// DecodeMailbox reads a name in modified UTF-7. It never fails and loses
// nothing: EncodeMailbox(DecodeMailbox(s)) is s for every s. The bytes that are
// no modified UTF-7 (a lone "&", raw 8-bit) come out as noncharacters, U+FDD0 to
// U+FDEF, two for a byte.
func DecodeMailbox(s string) string {
	if plain(s) {
		return s
	}
	out := decodeMailbox(s, false)
	if EncodeMailbox(out) != s {
		// Readable but not as we would write it (two shifts in a row, ASCII in base64): keep every shift.
		out = decodeMailbox(s, true)
	}
	return out
}

func decodeMailbox(s string, keep bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if c != '&' {
			if printable(c) {
				b.WriteByte(c)
			} else {
				escape(&b, c)
			}
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if !keep && end == 1 {
			b.WriteByte('&')
			i += 2
			continue
		}
		if !keep && end > 1 {
			if text, ok := decodeShift(s[i+1 : i+end]); ok {
				b.WriteString(text)
				i += end + 1
				continue
			}
		}
		escape(&b, c)
		i++
	}
	return b.String()
}

// decodeShift reads what stands between "&" and "-".
func decodeShift(s string) (string, bool) {
	wide, err := base64Mailbox.DecodeString(s)
	if err != nil || len(wide)%2 != 0 || len(wide) == 0 {
		return "", false
	}
	units := make([]uint16, 0, len(wide)/2)
	for i := 0; i < len(wide); i += 2 {
		units = append(units, uint16(wide[i])<<8|uint16(wide[i+1]))
	}
	text := string(utf16.Decode(units))
	for _, r := range text {
		if r == utf8.RuneError || r == 0 || r < 0x80 && printable(byte(r)) {
			return "", false
		}
	}
	return text, true
}

func escape(b *strings.Builder, c byte) {
	b.WriteRune(escapeHigh + rune(c>>4))
	b.WriteRune(escapeLow + rune(c&15))
}

// escaped reads the byte that escape wrote at the start of s: 6 bytes.
func escaped(s string) (byte, bool) {
	high, n := utf8.DecodeRuneInString(s)
	if high < escapeHigh || high > escapeHigh+15 {
		return 0, false
	}
	low, _ := utf8.DecodeRuneInString(s[n:])
	if low < escapeLow || low > escapeLow+15 {
		return 0, false
	}
	return byte(high-escapeHigh)<<4 | byte(low-escapeLow), true
}

func printable(c byte) bool { return c >= 0x20 && c < 0x7f }

// plain tells whether s is the same in UTF-8 and in modified UTF-7.
func plain(s string) bool {
	for i := range len(s) {
		if !printable(s[i]) || s[i] == '&' {
			return false
		}
	}
	return true
}
