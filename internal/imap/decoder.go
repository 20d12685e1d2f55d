package imap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// DecoderOptions bound and shape a Decoder. The zero value is a client's, with the defaults named.
type DecoderOptions struct {
	// Server reads commands: lines end in CR LF and nothing else, one space is
	// one space, and a synchronising literal waits for Continue. A client
	// forgives what servers are known to send (bare LF, doubled spaces).
	Server bool
	// Continue is called by a server's Decoder when the peer announced a
	// synchronising literal of size bytes: it sends "+ …" and flushes. An error
	// refuses the literal (it becomes Err, and DiscardLine knows that no bytes follow).
	Continue func(size int64) error

	MaxLine    int   // bytes of one line or command outside its literals; default 64 KiB for a server, 8 MiB for a client
	MaxString  int   // bytes of a string that is read into a Go string; default 64 KiB for a server, 1 MiB for a client
	MaxLiteral int64 // bytes of a literal that is streamed; default 200 MiB
	MaxDepth   int   // nested lists; default 64
	Buffer     int   // bytes of read buffer; default 4 KiB for a server (many idle), 32 KiB for a client
}

func (o *DecoderOptions) setDefaults() {
	line, text, buffer := 8<<20, 1<<20, 32<<10
	if o.Server {
		line, text, buffer = 64<<10, 64<<10, 4<<10
	}
	if o.MaxLine == 0 {
		o.MaxLine = line
	}
	if o.MaxString == 0 {
		o.MaxString = text
	}
	if o.MaxLiteral == 0 {
		o.MaxLiteral = 200 << 20
	}
	if o.MaxDepth == 0 {
		o.MaxDepth = 64
	}
	if o.Buffer == 0 {
		o.Buffer = buffer
	}
}

// A SyntaxError says what the grammar wanted and did not find. It holds none of
// the peer's bytes, since those may be a password.
type SyntaxError struct {
	Want   string // in the grammar's words: "astring", "CRLF", …
	Offset int    // bytes into the line, literals not counted
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("IMAP syntax: expected %s at byte %d of the line", e.Want, e.Offset)
}

// A LimitError says which bound of DecoderOptions the peer's bytes passed.
type LimitError struct {
	What string // "line", "string", "literal", "depth"
	Max  int64
}

func (e *LimitError) Error() string { return fmt.Sprintf("IMAP %s exceeds %d", e.What, e.Max) }

// A Decoder reads IMAP tokens. Not safe for concurrent use. After the first
// error all methods return zero values; see Err and DiscardLine.
type Decoder struct {
	// UTF8 says that UTF8=ACCEPT or IMAP4rev2 is enabled: mailbox names are
	// UTF-8, not modified UTF-7.
	UTF8 bool

	r       *bufio.Reader
	opt     DecoderOptions
	err     error
	line    int     // bytes of the current line consumed so far
	depth   int     // open lists
	open    Literal // the literal whose bytes come next, while open.left > 0
	over    bool    // the peer ended its line and waits for us: a refused synchronising literal
	scratch []byte  // a token that did not lie whole in the buffer
}

// NewDecoder reads from r.
func NewDecoder(r io.Reader, o DecoderOptions) *Decoder {
	o.setDefaults()
	return &Decoder{r: bufio.NewReaderSize(r, o.Buffer), opt: o}
}

// Reset goes on with another stream (after STARTTLS). What was buffered of the
// old one is dropped and its size returned: bytes that a peer, or somebody
// between, sent in plain before the handshake must end the connection (CVE-2011-0411).
func (d *Decoder) Reset(r io.Reader) (dropped int) {
	dropped = d.r.Buffered()
	d.r.Reset(r)
	d.err, d.line, d.depth, d.open, d.over = nil, 0, 0, Literal{}, false
	return dropped
}

// Err is the first error since the start or the last DiscardLine: a
// *SyntaxError, a *LimitError, what Continue returned, or an I/O error.
// io.EOF stands for an end between lines, io.ErrUnexpectedEOF for one within.
func (d *Decoder) Err() error { return d.err }

// Fail records err as if a token had been wrong; the first error stays.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Want records a SyntaxError: the grammar wanted what.
func (d *Decoder) Want(what string) { d.Fail(&SyntaxError{what, d.line}) }

// Buffered is the number of bytes that can be read without waiting: a server
// that finds none flushes its answers.
func (d *Decoder) Buffered() int { return d.r.Buffered() }

// Peek is the next byte without consuming it, 0 after an error. It waits for input.
func (d *Decoder) Peek() byte {
	if d.err != nil {
		return 0
	}
	if d.open.left > 0 && d.skipLiteral() != nil {
		return 0
	}
	b, err := d.r.Peek(1)
	if err != nil {
		d.Fail(d.ioError(err))
		return 0
	}
	return b[0]
}

func (d *Decoder) ioError(err error) error {
	if errors.Is(err, io.EOF) && d.line > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next consumes the byte that Peek saw.
func (d *Decoder) next() {
	d.r.Discard(1)
	d.count(1)
}

func (d *Decoder) count(n int) {
	d.line += n
	if d.line > d.opt.MaxLine {
		d.Fail(&LimitError{"line", int64(d.opt.MaxLine)})
	}
}

// Accept consumes the next byte if it is c, and tells whether it was.
func (d *Decoder) Accept(c byte) bool {
	if d.Peek() != c || d.err != nil {
		return false
	}
	d.next()
	return d.err == nil
}

// Expect consumes c.
func (d *Decoder) Expect(c byte) {
	if !d.Accept(c) {
		d.Want(string(rune(c)))
	}
}

// SP consumes one space; a client forgives several.
func (d *Decoder) SP() {
	if !d.Accept(' ') {
		d.Want("a space")
	}
	for !d.opt.Server && d.Accept(' ') {
	}
}

// CRLF consumes the end of the line. A client forgives spaces before it and a bare LF.
func (d *Decoder) CRLF() {
	for !d.opt.Server && d.Accept(' ') {
	}
	if !d.Accept('\r') && d.opt.Server {
		d.Want("CRLF")
	}
	if d.Peek() != '\n' || d.err != nil {
		d.Want("CRLF")
		return
	}
	d.r.Discard(1)
	d.line, d.depth = 0, 0
}

// AtEnd tells whether the line ends here (or reading has failed, so that loops end).
func (d *Decoder) AtEnd() bool {
	c := d.Peek()
	return d.err != nil || c == '\r' || c == '\n'
}

// List reads "(" item *(SP item) ")", calling item at the start of each. The
// list may be empty. A client forgives missing spaces, as between the parts of
// a BODYSTRUCTURE.
func (d *Decoder) List(item func()) {
	d.Expect('(')
	d.enter()
	for d.err == nil && !d.Accept(')') {
		item()
		if !d.Accept(' ') && d.opt.Server && d.Peek() != ')' {
			d.Want("a space or )")
		}
	}
	d.depth--
}

// NList is List or NIL; it tells whether there was a list.
func (d *Decoder) NList(item func()) bool {
	if d.Peek() == '(' {
		d.List(item)
		return d.err == nil
	}
	d.nilAtom()
	return false
}

func (d *Decoder) enter() {
	d.depth++
	if d.depth > d.opt.MaxDepth {
		d.Fail(&LimitError{"depth", int64(d.opt.MaxDepth)})
	}
}

// SkipValue consumes one value of whatever kind: atom, number, string, literal,
// section name or list. It is how an unknown FETCH item or LIST extension is passed over.
func (d *Decoder) SkipValue() {
	switch c := d.Peek(); {
	case d.err != nil:
	case c == '(':
		d.List(d.SkipValue)
	case c == '"' || c == '{' || c == '~':
		d.Stream()
	default:
		if len(d.take(isValue)) == 0 {
			d.Want("a value")
		}
	}
}

// DiscardLine goes to the start of the next line, past the literals that the
// rest of the line announces, and forgets an error that was one of grammar or
// limits, so that a server answers BAD and goes on. What can't be forgotten (I/O,
// a rest too long to wait for) is returned, and stays as Err.
func (d *Decoder) DiscardLine() error {
	var tail []byte // the last bytes of the line, where a literal announces itself
	over := d.over
	d.over = false
	if d.err != nil && !over && !forgivable(d.err) {
		return d.err
	}
	d.err = nil
	d.depth = 0
	if over {
		d.line = 0
		return nil
	}
	for seen := 0; ; {
		if d.open.left > 0 && d.skipLiteral() != nil {
			return d.err
		}
		b, err := d.r.ReadSlice('\n')
		if seen += len(b); seen > d.opt.MaxLine+1<<20 {
			d.Fail(hopeless{&LimitError{"line", int64(d.opt.MaxLine + 1<<20)}})
			return d.err
		}
		tail = append(tail, b...)
		if len(tail) > 64 {
			tail = append(tail[:0], tail[len(tail)-64:]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			d.line += len(b)
			d.Fail(d.ioError(err))
			return d.err
		}
		size, nonSync, ok := announced(tail)
		if !ok || (d.opt.Server && !nonSync) {
			d.line = 0
			return nil
		}
		if size > d.opt.MaxLiteral {
			d.Fail(hopeless{&LimitError{"literal", d.opt.MaxLiteral}})
			return d.err
		}
		d.open = Literal{d: d, left: size}
		tail = tail[:0]
	}
}

// hopeless marks an error after which the start of the next line can't be found within bounds.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// forgivable tells whether only this line is lost.
func forgivable(err error) bool {
	if _, ok := errors.AsType[hopeless](err); ok {
		return false
	}
	if _, ok := errors.AsType[*SyntaxError](err); ok {
		return true
	}
	_, ok := errors.AsType[*LimitError](err)
	return ok
}

// announced reads "{n}" or "{n+}" off the end of a line.
func announced(line []byte) (size int64, nonSync, ok bool) {
	i := len(line) - 1
	for i >= 0 && (line[i] == '\n' || line[i] == '\r') {
		i--
	}
	if i < 2 || line[i] != '}' {
		return 0, false, false
	}
	i--
	if line[i] == '+' {
		nonSync = true
		i--
	}
	scale := int64(1)
	digits := 0
	for ; i >= 0 && line[i] >= '0' && line[i] <= '9' && digits < 18; i-- {
		size += int64(line[i]-'0') * scale
		scale *= 10
		digits++
	}
	return size, nonSync, digits > 0 && i >= 0 && line[i] == '{'
}
