package mime

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// DecodeWords decodes the encoded words in a field's value (RFC 2047) to UTF-8,
// tolerantly: words of any length, inside other text, with a character split
// between two. What can't be decoded stays as it is; bytes that are no UTF-8
// are taken for Windows-1252, as most such mail means it.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return string(ToUTF8([]byte(s), ""))
	}
	var out strings.Builder
	var run []byte // decoded bytes of adjacent words that share a charset
	var charset string
	flush := func() {
		out.Write(ToUTF8(run, charset))
		run = run[:0]
	}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, ok := parseWord(s[i:])
		between := s[:i]
		if !ok {
			flush()
			out.Write(ToUTF8([]byte(s[:i+2]), ""))
			s = s[i+2:]
			continue
		}
		// White space between two encoded words is not shown (RFC 2047 §6.2).
		if len(run) == 0 || strings.Trim(between, " \t\r\n") != "" {
			flush()
			out.Write(ToUTF8([]byte(between), ""))
		} else if !equalFold(charset, w.charset) {
			flush()
		}
		charset = w.charset
		run = append(run, w.text...)
		s = s[i+w.length:]
	}
	flush()
	out.Write(ToUTF8([]byte(s), ""))
	return out.String()
}

type word struct {
	charset string
	text    []byte
	length  int // of the encoded form
}

// parseWord reads "=?charset[*language]?B|Q?text?=" at the start of s.
func parseWord(s string) (word, bool) {
	none := word{}
	i := strings.IndexByte(s[2:], '?')
	if i <= 0 || len(s) < i+5 || s[i+4] != '?' {
		return none, false
	}
	charset, _, _ := strings.Cut(s[2:2+i], "*")
	text := s[i+5:]
	j := strings.Index(text, "?=")
	if j < 0 || strings.ContainsAny(text[:j], "\r\n") && len(text) > maxHeader {
		return none, false
	}
	w := word{charset: charset, length: i + 5 + j + 2}
	switch text = text[:j]; lower(s[i+3]) {
	case 'b':
		w.text = decodeBase64([]byte(text))
	case 'q':
		w.text = decodeQ(text)
	default:
		return none, false
	}
	return w, true
}

// decodeQ decodes the Q encoding (RFC 2047 §4.2).
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= lower(c) && lower(c) <= 'f':
		return int(lower(c)-'a') + 10
	}
	return -1
}

// decodeBase64 decodes what is base64 in b and stops at the padding; bytes
// outside the alphabet are passed over (RFC 2045 §6.8). It decodes in place.
func decodeBase64(b []byte) []byte {
	n := 0
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/':
			b[n] = c
			n++
		case c == '=' && n%4 >= 2:
			return decodeQuads(b[:n])
		}
	}
	return decodeQuads(b[:n])
}

func decodeQuads(b []byte) []byte {
	if len(b)%4 == 1 {
		b = b[:len(b)-1]
	}
	n, _ := base64.RawStdEncoding.Decode(b, b)
	return b[:n]
}

// decodeQP decodes quoted-printable (RFC 2045 §6.7) tolerantly: a broken escape stays as it is.
func decodeQP(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch c {
		case '=':
			j := i + 1
			for j < len(b) && (b[j] == ' ' || b[j] == '\t') {
				j++
			}
			switch {
			case j < len(b) && b[j] == '\n':
				i = j
			case j+1 < len(b) && b[j] == '\r' && b[j+1] == '\n':
				i = j + 1
			case i+2 < len(b) && unhex(b[i+1]) >= 0 && unhex(b[i+2]) >= 0:
				out = append(out, byte(unhex(b[i+1])<<4|unhex(b[i+2])))
				i += 2
			default:
				out = append(out, c)
			}
		case ' ', '\t':
			// White space at a line's end was added in transport.
			j := i
			for j < len(b) && (b[j] == ' ' || b[j] == '\t') {
				j++
			}
			if j < len(b) && (b[j] == '\n' || b[j] == '\r' && j+1 < len(b) && b[j+1] == '\n') {
				i = j - 1
				continue
			}
			out = append(out, b[i:j]...)
			i = j - 1
		default:
			out = append(out, c)
		}
	}
	return out
}

// ToUTF8 converts text from a charset to UTF-8. An unknown charset is taken for
// UTF-8 where that is valid, else for Windows-1252. It returns b itself where
// nothing changes.
func ToUTF8(b []byte, charset string) []byte {
	if isASCII(b) && !strings.HasPrefix(strings.ToLower(charset), "utf-16") && !strings.HasPrefix(strings.ToLower(charset), "iso-2022") {
		return b
	}
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "utf-7", "unicode-1-1-utf-7":
		if utf8.Valid(b) {
			return b
		}
		charset = "windows-1252"
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		if utf8.Valid(b) {
			return b
		}
		enc, _ = htmlindex.Get("windows-1252")
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return []byte(strings.ToValidUTF8(string(b), "\uFFFD"))
	}
	return out
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
