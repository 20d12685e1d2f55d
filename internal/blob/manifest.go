package blob

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"relais/internal/fault"
	"relais/internal/mail"
)

const (
	maxSegments = 4096 // of one manifest
	maxDepth    = 4    // of references that lead to references
	maxFollowed = 4096 // references followed for one body

	segInline = 0
	segRef    = 1
	segBase64 = 2

	endLF    = 1 // lines end in LF, else in CR LF
	endFinal = 2 // the last line ends too
	maxLine  = math.MaxUint16
)

// segment is one entry of a manifest; its bytes are a stretch of the body.
type segment struct {
	kind   byte
	inline []byte    // segInline: the bytes
	hash   mail.Hash // else: of the body referred to
	size   int64     // of what the segment makes
	line   int       // segBase64: characters of a line, 0 is one endless line
	end    byte      // segBase64: endLF, endFinal
}

// appendManifest writes the manifest of the segments behind dst. Its size is
// at most the sum of the inline bytes and 64 for each segment.
func appendManifest(dst []byte, segments []segment) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(segments)))
	for i := range segments {
		s := &segments[i]
		dst = append(dst, s.kind)
		if s.kind == segInline {
			dst = binary.AppendUvarint(dst, uint64(len(s.inline)))
			dst = append(dst, s.inline...)
			continue
		}
		dst = append(dst, s.hash[:]...)
		dst = binary.AppendUvarint(dst, uint64(s.size))
		if s.kind == segBase64 {
			dst = binary.AppendUvarint(dst, uint64(s.line))
			dst = append(dst, s.end)
		}
	}
	return dst
}

var errManifest = fault.New(fault.Corrupt, "the manifest of a body is not well formed")

// parseManifest reads the manifest of a body of size bytes. Inline segments
// alias b. Its error is fault.Corrupt.
func parseManifest(b []byte, size int64) ([]segment, error) {
	r := reader{rest: b}
	count := r.varint(maxSegments)
	segments := make([]segment, 0, min(count, 16))
	for range count {
		s := segment{kind: r.byte()}
		switch s.kind {
		case segInline:
			s.inline = r.bytes(r.varint(MaxBody))
			s.size = int64(len(s.inline))
		case segRef, segBase64:
			copy(s.hash[:], r.bytes(int64(len(s.hash))))
			s.size = r.varint(MaxBody)
			if s.kind == segBase64 {
				s.line = int(r.varint(maxLine))
				s.end = r.byte()
			}
			if s.end&^(endLF|endFinal) != 0 {
				return nil, errManifest
			}
		default:
			return nil, errManifest
		}
		if size -= s.size; r.failed || size < 0 {
			return nil, errManifest
		}
		segments = append(segments, s)
	}
	if r.failed || size != 0 || len(r.rest) != 0 {
		return nil, errManifest
	}
	return segments, nil
}

// reader takes a manifest apart; after a failure it gives zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) varint(limit uint64) int64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return int64(v)
}

func (r *reader) bytes(n int64) []byte {
	if n > int64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// assemble makes a body of size bytes from its segments; fetch returns the body
// that a reference names. The single inline segment of most bodies is returned
// without a copy.
func assemble(segments []segment, size int64, fetch func(mail.Hash) ([]byte, error)) ([]byte, error) {
	if len(segments) == 1 && segments[0].kind == segInline {
		return segments[0].inline, nil
	}
	body := make([]byte, 0, size)
	for i := range segments {
		s := &segments[i]
		if s.kind == segInline {
			body = append(body, s.inline...)
			continue
		}
		part, err := fetch(s.hash)
		if err != nil {
			return nil, err
		}
		if s.made(int64(len(part))) != s.size {
			return nil, fault.New(fault.Corrupt, "a part of a body has another size than its manifest says")
		}
		if s.kind == segRef {
			body = append(body, part...)
		} else {
			body = s.appendBase64(body, part)
		}
	}
	return body, nil
}

// made is how many bytes the segment makes of a part of n bytes.
func (s *segment) made(n int64) int64 {
	if s.kind == segRef {
		return n
	}
	chars := (n + 2) / 3 * 4
	breaks := int64(0)
	if s.line > 0 && chars > 0 {
		breaks = (chars - 1) / int64(s.line)
	}
	if s.end&endFinal != 0 {
		breaks++
	}
	return chars + breaks*int64(len(s.eol()))
}

func (s *segment) eol() string {
	if s.end&endLF != 0 {
		return "\n"
	}
	return "\r\n"
}

// appendBase64 writes part in lines behind body.
func (s *segment) appendBase64(body, part []byte) []byte {
	if s.line > 0 && s.line%4 == 0 {
		// The common form, line by line and without a second buffer.
		for take := s.line / 4 * 3; len(part) > take; part = part[take:] {
			body = base64.StdEncoding.AppendEncode(body, part[:take])
			body = append(body, s.eol()...)
		}
		body = base64.StdEncoding.AppendEncode(body, part)
	} else {
		text := base64.StdEncoding.AppendEncode(nil, part)
		for ; s.line > 0 && len(text) > s.line; text = text[s.line:] {
			body = append(body, text[:s.line]...)
			body = append(body, s.eol()...)
		}
		body = append(body, text...)
	}
	if s.end&endFinal != 0 {
		body = append(body, s.eol()...)
	}
	return body
}
