package imap

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// An Encoder writes IMAP tokens into a buffer. Methods chain; the first error
// sticks and Flush returns it. Not safe for concurrent use.
type Encoder struct {
	// UTF8 says that UTF8=ACCEPT or IMAP4rev2 is enabled: mailbox names and
	// quoted strings may be UTF-8.
	UTF8 bool
	// NonSync is up to how many bytes a client may send a literal without
	// waiting: 0 none, 4096 with LITERAL-, AnySize with LITERAL+ (RFC 7888).
	NonSync int64
	// Wait makes the Encoder a client's: it is called after "{n}" CR LF went
	// out, and returns once the server's "+" came. An error (the server's NO)
	// ends the command: nothing more of it is written. Nil for a server.
	Wait func() error

	w       *bufio.Writer
	err     error
	scratch []byte
	items   bool // Sep has been called since the last list opened
}

// AnySize is Encoder.NonSync for LITERAL+.
const AnySize = math.MaxInt64

// NewEncoder writes to w through a buffer of size bytes (0: 4 KiB).
func NewEncoder(w io.Writer, size int) *Encoder {
	if size == 0 {
		size = 4 << 10
	}
	return &Encoder{w: bufio.NewWriterSize(w, size)}
}

// Reset goes on with another stream (after STARTTLS), dropping what was not flushed.
func (e *Encoder) Reset(w io.Writer) {
	e.w.Reset(w)
	e.err = nil
}

// Err is the first error so far.
func (e *Encoder) Err() error { return e.err }

// ClearErr forgets what Wait returned, so that the next command can be written.
// An error of the stream itself comes again with the next write.
func (e *Encoder) ClearErr() { e.err = nil }

// Flush sends what is buffered.
func (e *Encoder) Flush() error {
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}

// Buffered is how many bytes wait for Flush.
func (e *Encoder) Buffered() int { return e.w.Buffered() }

// Raw writes s as it is: names, spaces, parentheses, atoms known to be atoms.
func (e *Encoder) Raw(s string) *Encoder {
	if e.err == nil {
		_, e.err = e.w.WriteString(s)
	}
	return e
}

func (e *Encoder) raw(b []byte) *Encoder {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	return e
}

// SP writes a space.
func (e *Encoder) SP() *Encoder { return e.Raw(" ") }

// CRLF ends the line. It does not flush.
func (e *Encoder) CRLF() *Encoder { return e.Raw("\r\n") }

// Open writes "(" and Close ")"; Sep between them writes a space, except the first time.
func (e *Encoder) Open() *Encoder {
	e.items = false
	return e.Raw("(")
}

// Sep writes the space before every item of a list but the first.
func (e *Encoder) Sep() *Encoder {
	if e.items {
		return e.SP()
	}
	e.items = true
	return e
}

// Close writes ")". The list that holds the closed one goes on.
func (e *Encoder) Close() *Encoder {
	e.items = true
	return e.Raw(")")
}

// Number writes n.
func (e *Encoder) Number(n uint32) *Encoder { return e.Number64(uint64(n)) }

// Number64 writes n.
func (e *Encoder) Number64(n uint64) *Encoder {
	e.scratch = strconv.AppendUint(e.scratch[:0], n, 10)
	return e.raw(e.scratch)
}

// NumSet writes a sequence set.
func (e *Encoder) NumSet(s NumSet) *Encoder {
	e.scratch = s.Append(e.scratch[:0])
	return e.raw(e.scratch)
}

// DateTime writes an INTERNALDATE.
func (e *Encoder) DateTime(t time.Time) *Encoder {
	e.scratch = AppendDateTime(e.scratch[:0], t)
	return e.raw(e.scratch)
}

// Flags writes a parenthesised list of flags. What is no flag (it holds a space
// or a control character) is left out rather than breaking the line.
func (e *Encoder) Flags(flags []string) *Encoder {
	e.Open()
	for _, f := range flags {
		if IsFlag(f) {
			e.Sep().Raw(f)
		}
	}
	return e.Close()
}

// IsFlag tells whether s can be written as a flag: an atom, with or without "\", or "\*".
func IsFlag(s string) bool { return s == `\*` || isAll(strings.TrimPrefix(s, `\`), isAtom) }

// IsAtom tells whether s can be written as an atom.
func IsAtom(s string) bool { return isAll(s, isAtom) }

func isAll(s string, mask uint16) bool {
	for i := range len(s) {
		if class[s[i]]&mask == 0 {
			return false
		}
	}
	return s != ""
}

// Mailbox writes a mailbox name given in UTF-8.
func (e *Encoder) Mailbox(name string) *Encoder {
	if !e.UTF8 {
		name = EncodeMailbox(name)
	}
	return e.AString(name)
}

// AString writes s as an atom where it is one, else as String does. "NIL" is quoted.
func (e *Encoder) AString(s string) *Encoder {
	if isAll(s, isAString) && !strings.EqualFold(s, "NIL") {
		return e.Raw(s)
	}
	return e.String(s)
}

// NString writes NIL or a string.
func (e *Encoder) NString(s NString) *Encoder {
	if !s.Set {
		return e.Raw("NIL")
	}
	return e.String(s.Value)
}

// String writes s quoted, or as a literal when it is long or holds what can't be quoted.
func (e *Encoder) String(s string) *Encoder {
	if len(s) > 1024 {
		return e.LiteralString(s)
	}
	special := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			special = true
		case c >= 0x80 && e.UTF8:
		case c < ' ' || c >= 0x7f:
			return e.LiteralString(s)
		}
	}
	if !special {
		return e.Raw(`"`).Raw(s).Raw(`"`)
	}
	e.scratch = append(e.scratch[:0], '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			e.scratch = append(e.scratch, '\\')
		}
		e.scratch = append(e.scratch, s[i])
	}
	e.scratch = append(e.scratch, '"')
	return e.raw(e.scratch)
}

// LiteralString writes s as a literal.
func (e *Encoder) LiteralString(s string) *Encoder {
	e.announce(int64(len(s)), false)
	return e.Raw(s)
}

// LiteralBytes writes b as a literal; a big one is not copied into the buffer.
func (e *Encoder) LiteralBytes(b []byte) *Encoder {
	e.announce(int64(len(b)), false)
	return e.raw(b)
}

// Literal writes size bytes of r as a literal. If r ends before, the stream is
// broken beyond repair: the error says so and the connection must be closed.
func (e *Encoder) Literal(size int64, r io.Reader) *Encoder {
	e.announce(size, false)
	return e.copy(size, r)
}

// Literal8 is Literal as "~{n}", which may hold NUL (RFC 3516 §4.4).
func (e *Encoder) Literal8(size int64, r io.Reader) *Encoder {
	e.announce(size, true)
	return e.copy(size, r)
}

func (e *Encoder) copy(size int64, r io.Reader) *Encoder {
	if e.err != nil {
		return e
	}
	if n, err := io.Copy(e.w, io.LimitReader(r, size)); err != nil {
		e.err = fmt.Errorf("write literal: %w", err)
	} else if n < size {
		e.err = fmt.Errorf("write literal: %d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
	}
	return e
}

// announce writes "{n}" CR LF, and for a client waits where it must.
func (e *Encoder) announce(size int64, binary bool) {
	if binary {
		e.Raw("~")
	}
	e.Raw("{").Number64(uint64(size))
	if e.Wait == nil {
		e.Raw("}\r\n")
		return
	}
	if size <= e.NonSync {
		e.Raw("+}\r\n")
		return
	}
	e.Raw("}\r\n")
	if e.Flush() == nil {
		e.err = e.Wait()
	}
}
