package imap

import (
	"errors"
	"io"
	"unicode/utf8"
)

// A Literal is a string of the peer as a stream: of a literal's bytes as they
// arrive, or of a quoted string. What its reader leaves is skipped by the
// Decoder's next method. It is valid until then.
type Literal struct {
	Size   int64 // bytes in all
	Binary bool  // literal8 "~{n}": may hold NUL (RFC 9051 §4.3)

	d      *Decoder
	left   int64
	quoted []byte // a quoted string's rest
}

// Read reads from the string; io.EOF after its last byte, io.ErrUnexpectedEOF if the connection ends within.
func (l *Literal) Read(p []byte) (int, error) {
	if l.quoted != nil {
		if len(l.quoted) == 0 {
			return 0, io.EOF
		}
		n := copy(p, l.quoted)
		l.quoted = l.quoted[n:]
		return n, nil
	}
	if l.d.err != nil {
		return 0, l.d.err
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.d.r.Read(p)
	l.left -= int64(n)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		l.d.Fail(err)
	}
	return n, err
}

// Bytes reads all that is left. Memory grows with what really arrives, not with what was announced.
func (l *Literal) Bytes() ([]byte, error) {
	size := l.left
	if l.quoted != nil {
		size = int64(len(l.quoted))
	}
	b := make([]byte, 0, min(size, 1<<20))
	for int64(len(b)) < size {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(size, 4*int64(cap(b))))
			copy(grown, b)
			b = grown
		}
		n, err := l.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// skipLiteral consumes what the last literal's reader left.
func (d *Decoder) skipLiteral() error {
	for d.open.left > 0 && d.err == nil {
		n, err := d.r.Discard(int(min(d.open.left, 1<<30)))
		d.open.left -= int64(n)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			d.Fail(err)
		}
	}
	return d.err
}

// Stream is a string or literal as a stream: at most MaxLiteral bytes for a
// literal, MaxString for a quoted string. Never nil; empty after an error.
func (d *Decoder) Stream() *Literal {
	return d.stream(d.opt.MaxLiteral)
}

func (d *Decoder) stream(limit int64) *Literal {
	switch c := d.Peek(); {
	case d.err != nil:
		return &Literal{d: d}
	case c == '"':
		b := d.quoted()
		return &Literal{Size: int64(len(b)), d: d, quoted: append(make([]byte, 0, len(b)+1), b...)}
	default:
		d.literal(limit)
		return &d.open
	}
}

// NStream is Stream or NIL, which gives nil.
func (d *Decoder) NStream() *Literal {
	if c := d.Peek(); c != '"' && c != '{' && c != '~' {
		d.nilAtom()
		return nil
	}
	return d.Stream()
}

// literal consumes a literal's announcement and leaves d.open over its bytes.
func (d *Decoder) literal(limit int64) {
	d.open = Literal{d: d}
	binary := d.Accept('~')
	d.Expect('{')
	size := int64(d.Number64())
	nonSync := d.Accept('+')
	d.Expect('}')
	if !d.Accept('\r') && d.opt.Server {
		d.Want("CRLF")
	}
	d.Expect('\n')
	if d.err != nil {
		return
	}
	if size > limit {
		// The bytes of a non-synchronising literal come anyway: DiscardLine
		// passes over them, unless they are more than may ever be sent.
		d.Fail(&LimitError{"literal", limit})
		switch {
		case d.opt.Server && !nonSync:
			d.over = true
		case size <= d.opt.MaxLiteral:
			d.open.left = size
		default:
			d.err = hopeless{d.err}
		}
		return
	}
	if d.opt.Server && !nonSync && d.opt.Continue != nil {
		if err := d.opt.Continue(size); err != nil {
			d.Fail(err)
			d.over = true
			return
		}
	}
	d.open = Literal{Size: size, Binary: binary, d: d, left: size}
}

// quoted consumes a quoted string; the result is valid until the next read.
func (d *Decoder) quoted() []byte {
	d.Expect('"')
	out := make([]byte, 0, 64)
	for d.err == nil {
		if d.r.Buffered() == 0 {
			d.Peek()
			continue
		}
		buf, _ := d.r.Peek(d.r.Buffered())
		i := 0
		for i < len(buf) && buf[i] != '"' && buf[i] != '\\' && class[buf[i]]&isText != 0 {
			i++
		}
		out = append(out, buf[:i]...)
		if len(out) > d.opt.MaxString {
			d.Fail(&LimitError{"string", int64(d.opt.MaxString)})
			return nil
		}
		stop := byte(0)
		if i < len(buf) {
			stop = buf[i]
		}
		d.r.Discard(i)
		d.count(i)
		if i == len(buf) {
			continue
		}
		switch stop {
		case '"':
			d.next()
			if d.opt.Server && !utf8.Valid(out) {
				d.Want("UTF-8 in a quoted string")
				return nil
			}
			return out
		case '\\':
			d.next()
			c := d.Peek()
			if d.err == nil && (class[c]&isText == 0 || (d.opt.Server && c != '"' && c != '\\')) {
				d.Want(`\ or " after \`)
				return nil
			}
			if d.err == nil {
				out = append(out, c)
				d.next()
			}
		default:
			d.Want("the end of a quoted string")
		}
	}
	return nil
}

// String is a quoted string or a literal of at most MaxString bytes.
func (d *Decoder) String() string {
	switch c := d.Peek(); {
	case d.err != nil:
		return ""
	case c == '"':
		return string(d.quoted())
	case c != '{' && c != '~':
		d.Want("a string")
		return ""
	}
	d.literal(int64(d.opt.MaxString))
	if d.err != nil {
		return ""
	}
	b, err := d.open.Bytes()
	if err != nil {
		d.Fail(err)
		return ""
	}
	return string(b)
}

// AString is an atom (with "]" allowed) or a string.
func (d *Decoder) AString() string {
	switch c := d.Peek(); c {
	case '"', '{':
		return d.String()
	}
	// Servers put names with "%", "*", "\" or 8-bit bytes on the wire unquoted.
	if !d.opt.Server {
		return d.word(isValue, "an astring")
	}
	return d.word(isAString, "an astring")
}

// NString is a string or NIL.
func (d *Decoder) NString() NString {
	if c := d.Peek(); c == '"' || c == '{' || c == '~' {
		return NString{d.String(), d.err == nil}
	}
	d.nilAtom()
	return NString{}
}

// NString is a string that may be NIL; the zero value is NIL.
type NString struct {
	Value string
	Set   bool // not NIL
}

// Some is a string that is not NIL.
func Some(s string) NString { return NString{s, true} }

// NonEmpty is s, or NIL when s is empty.
func NonEmpty(s string) NString { return NString{s, s != ""} }
