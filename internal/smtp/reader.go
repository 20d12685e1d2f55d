package smtp

import (
	"bytes"
	"errors"
	"io"
)

const (
	bufferSize = 4 << 10   // of a connection that exchanges commands
	maxRead    = 256 << 10 // of one read into a body: bounds what may have to be handed back
)

// ErrLineTooLong is a line longer than the limit. The rest of the line is still
// on the connection, which must be closed.
var ErrLineTooLong = errors.New("line too long")

// Reader reads lines, message data and chunks from a connection. It holds a
// small buffer; bodies are read past it, straight to where they stay.
type Reader struct {
	src io.Reader
	buf []byte // buf[r:w] is read and not yet used
	r   int
	w   int
}

// NewReader reads from src.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, bufferSize)}
}

// Buffered is the number of bytes that were read and not yet used: what the other side sent ahead.
func (r *Reader) Buffered() int { return r.w - r.r }

// Reset forgets what is buffered. After STARTTLS nothing that came in plaintext may count (RFC 3207 §4.2).
func (r *Reader) Reset() { r.r, r.w = 0, 0 }

// ReadLine returns the next line without its CR LF, valid until the next call.
// Errors: LineFault, ErrLineTooLong above max bytes, io.EOF between lines,
// io.ErrUnexpectedEOF inside one, and those of the source.
func (r *Reader) ReadLine(max int) ([]byte, error) {
	seen := 0 // bytes of buf[r:w] known to hold no LF
	for {
		pending := r.buf[r.r:r.w]
		if i := bytes.IndexByte(pending[seen:], '\n'); i >= 0 {
			line := pending[:seen+i]
			r.r += len(line) + 1
			return checkLine(line, max)
		}
		// A lone CR is said at once: the sender may wait for an answer to it.
		if i := bytes.IndexByte(pending[seen:], '\r'); i >= 0 && seen+i < len(pending)-1 {
			return nil, BareCR
		}
		seen = len(pending)
		if seen > 0 && pending[seen-1] == '\r' {
			seen--
		}
		if seen > max {
			return nil, ErrLineTooLong
		}
		if err := r.fill(); err != nil {
			if errors.Is(err, io.EOF) && r.Buffered() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// checkLine takes a line with its CR and without its LF.
func checkLine(line []byte, max int) ([]byte, error) {
	n := len(line) - 1
	if n < 0 || line[n] != '\r' {
		return nil, BareLF
	}
	line = line[:n]
	if bytes.IndexByte(line, '\r') >= 0 {
		return nil, BareCR
	}
	if len(line) > max {
		return nil, ErrLineTooLong
	}
	return line, nil
}

// ReadFull fills p (a BDAT chunk or a part of one).
func (r *Reader) ReadFull(p []byte) error {
	for len(p) > 0 {
		n, err := r.read(p)
		p = p[n:]
		if err != nil && len(p) > 0 {
			return unexpected(err)
		}
	}
	return nil
}

// Discard reads n bytes and forgets them.
func (r *Reader) Discard(n int64) error {
	for n > 0 {
		if r.Buffered() == 0 {
			if err := r.fill(); err != nil {
				return unexpected(err)
			}
		}
		k := min(n, int64(r.Buffered()))
		r.r += int(k)
		n -= k
	}
	return nil
}

// fill reads once from the source to the end of the buffer, which it first makes room in.
func (r *Reader) fill() error {
	switch {
	case r.r == r.w && len(r.buf) > bufferSize:
		r.buf, r.r, r.w = make([]byte, bufferSize), 0, 0
	case r.r > 0:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil // an error that came with bytes comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// read gives buffered bytes first, then reads from the source straight into p.
func (r *Reader) read(p []byte) (int, error) {
	if r.r < r.w {
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	n, err := r.src.Read(p[:min(len(p), maxRead)])
	if n > 0 {
		return n, nil
	}
	if err == nil && len(p) > 0 {
		err = io.ErrNoProgress
	}
	return 0, err
}

// unread hands p back, to be read before all else.
func (r *Reader) unread(p []byte) {
	if len(p) == 0 {
		return
	}
	if rest := r.buf[r.r:r.w]; len(p)+len(rest) > len(r.buf) || len(rest) > 0 {
		r.buf = append(append(make([]byte, 0, max(bufferSize, len(p)+len(rest))), p...), rest...)
		r.r, r.w = 0, len(r.buf)
		r.buf = r.buf[:cap(r.buf)]
		return
	}
	r.r, r.w = 0, copy(r.buf, p)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
