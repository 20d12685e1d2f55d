package mime

import (
	"bytes"
	"iter"
	"strings"
)

// Field is a header field as it stands in the message. The slices are parts of
// the message's bytes.
type Field struct {
	Name []byte // as spelled, without the white space before the colon; a line without colon is all name
	Body []byte // what follows the colon, folded, without the last line break
	Raw  []byte // the whole field with its line breaks
}

// Is tells whether the field has the name, without regard to case.
func (f Field) Is(name string) bool {
	return len(f.Name) == len(name) && asciiEqualFold(f.Name, name)
}

// Value is the field's body unfolded (RFC 5322 §2.2.3), without the white space
// at its start; NUL becomes U+FFFD.
func (f Field) Value() string {
	return strings.ReplaceAll(f.unfold(), "\x00", "\uFFFD")
}

// unfold is Value with its NULs.
func (f Field) unfold() string {
	b := f.Body
	first := b
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		first = b[:i]
	}
	n := 0
	for n < len(first) && (first[n] == ' ' || first[n] == '\t') {
		n++
	}
	if n == len(b) && n > 0 {
		n = 1 // nothing but white space: only the usual one is left out
	}
	b = b[n:]
	if bytes.IndexByte(b, '\n') < 0 {
		return string(b)
	}
	var out strings.Builder
	out.Grow(len(b))
	for i, c := range b {
		if c != '\n' && (c != '\r' || i+1 == len(b) || b[i+1] != '\n') {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// Text is the value with its encoded words decoded (RFC 2047), in UTF-8, white
// space runs made one space.
func (f Field) Text() string { return squeeze(DecodeWords(f.Value())) }

// Fields reads a header's fields in order, up to an empty line or the end.
func Fields(header []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for pos := 0; pos < len(header); {
			end := lineEnd(header, pos)
			if isEmptyLine(header[pos:end]) {
				return
			}
			for end < len(header) && (header[end] == ' ' || header[end] == '\t') {
				end = lineEnd(header, end)
			}
			if !yield(field(header[pos:end])) {
				return
			}
			pos = end
		}
	}
}

func field(raw []byte) Field {
	f := Field{Raw: raw}
	text := raw[:lineBreakBefore(raw, len(raw))]
	first := text
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		first = text[:lineBreakBefore(text, i+1)]
	}
	if i := bytes.IndexByte(first, ':'); i >= 0 {
		f.Name, f.Body = first[:i], text[i+1:]
	} else {
		f.Name = first
		return f
	}
	for n := len(f.Name); n > 0 && (f.Name[n-1] == ' ' || f.Name[n-1] == '\t'); n-- {
		f.Name = f.Name[:n-1]
	}
	return f
}

// First is the first field of that name; ok is false if there is none.
func First(header []byte, name string) (f Field, ok bool) {
	for f := range Fields(header) {
		if f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}

// Header is the message's header up to and with the empty line.
func Header(raw []byte) []byte {
	for pos := 0; pos < len(raw); {
		end := lineEnd(raw, pos)
		if isEmptyLine(raw[pos:end]) {
			return raw[:end]
		}
		pos = end
	}
	return raw
}

// FilterFields gives the fields of a header whose names are (not: are not) in
// names, and the empty line if the header has one (RFC 9051 §6.4.5.1, HEADER.FIELDS).
func FilterFields(header []byte, names []string, not bool) []byte {
	out := make([]byte, 0, 512)
	for f := range Fields(header) {
		listed := false
		for _, n := range names {
			if f.Is(n) {
				listed = true
				break
			}
		}
		if listed == not {
			continue
		}
		out = append(out, f.Raw...)
	}
	if HasEnd(header) {
		out = append(out, "\r\n"...)
	}
	return out
}

// HasEnd tells whether an empty line ends the header.
func HasEnd(header []byte) bool {
	rest := header[:lineBreakBefore(header, len(header))]
	return len(rest) < len(header) && (len(rest) == 0 || rest[len(rest)-1] == '\n')
}

// CRLF gives the message with every line ended by CR LF, as the record keeps
// it; raw itself if it is so already.
func CRLF(raw []byte) []byte {
	bare := 0
	for pos := 0; ; {
		i := bytes.IndexByte(raw[pos:], '\n')
		if i < 0 {
			break
		}
		pos += i
		if pos == 0 || raw[pos-1] != '\r' {
			bare++
		}
		pos++
	}
	if bare == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw)+bare)
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			break
		}
		if i > 0 && raw[i-1] == '\r' {
			out = append(out, raw[:i+1]...)
		} else {
			out = append(append(out, raw[:i]...), '\r', '\n')
		}
		raw = raw[i+1:]
	}
	return append(out, raw...)
}

func asciiEqualFold(a []byte, b string) bool {
	for i, c := range a {
		d := b[i]
		if c != d && lower(c) != lower(d) {
			return false
		}
	}
	return true
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// squeeze makes runs of white space one space and trims both ends.
func squeeze(s string) string {
	clean, last := true, byte(' ')
	for i := range len(s) {
		c := s[i]
		if c == '\t' || c == '\r' || c == '\n' || c == ' ' && last == ' ' {
			clean = false
			break
		}
		last = c
	}
	if clean && (len(s) == 0 || last != ' ') {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			if len(out) > 0 && out[len(out)-1] != ' ' {
				out = append(out, ' ')
			}
		default:
			out = append(out, c)
		}
	}
	return string(bytes.TrimRight(out, " "))
}
