package mime

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Decoded is the body of a leaf with its transfer encoding removed; ok is false
// where the encoding is unknown. It may share raw's bytes.
func (p *Part) Decoded(raw []byte) (body []byte, ok bool) {
	b := raw[p.Body:p.End]
	switch e := p.Content.Encoding.Text; {
	case e == "", equalFold(e, "7bit"), equalFold(e, "8bit"), equalFold(e, "binary"):
		return b, true
	case equalFold(e, "quoted-printable"):
		return decodeQP(b), true
	case equalFold(e, "base64"):
		return decodeBase64(bytes.Clone(b)), true
	}
	return b, false
}

// Text is the text of a leaf in UTF-8; ok is false if it is none (neither text/*
// nor message/*) or its encoding is unknown.
func (p *Part) Text(raw []byte) (text []byte, ok bool) {
	if p.Kind != Leaf || !p.IsText() && !equalFold(p.Content.Type, "message") {
		return nil, false
	}
	b, ok := p.Decoded(raw)
	if !ok {
		return nil, false
	}
	return ToUTF8(b, p.Content.Param("charset")), true
}

// Words calls f with the pieces of the message that SEARCH TEXT looks at (RFC
// 9051 §6.4.4) until f is false: for each part, with headers its decoded fields,
// then its text. Without headers, only the texts: SEARCH BODY.
func (p *Part) Words(raw []byte, headers bool, f func(text []byte) bool) bool {
	if headers {
		var buf bytes.Buffer
		for h := range Fields(raw[p.Start:p.Body]) {
			buf.Write(h.Name)
			buf.WriteString(": ")
			buf.WriteString(h.Text())
			buf.WriteString("\r\n")
		}
		if !f(buf.Bytes()) {
			return false
		}
	}
	if text, ok := p.Text(raw); ok && len(text) > 0 && !f(text) {
		return false
	}
	for _, q := range p.Parts {
		if !q.Words(raw, headers, f) {
			return false
		}
	}
	return true
}

// Fold is the form in which texts are compared: i;unicode-casemap (RFC 5051 §2),
// each character in title case and decomposed.
func Fold(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		c := b[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			out = append(out, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		out = norm.NFKD.AppendString(out, string(unicode.ToTitle(r)))
		i += n
	}
	return out
}
