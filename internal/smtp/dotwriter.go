package smtp

import (
	"bytes"
	"io"
)

// DotWriter sends a message after 354: it doubles a dot at the start of a line
// and ends with the final dot (RFC 5321 §4.5.2). A bare CR, a bare LF or a NUL
// is refused with a LineFault, since the other side might take it for a line
// end; the final dot then can't be sent and the connection must be dropped. Use
// CheckLines beforehand.
type DotWriter struct {
	w     io.Writer
	state dataState
	err   error
}

// NewDotWriter writes to w, which should be buffered. The caller flushes it.
func NewDotWriter(w io.Writer) *DotWriter { return &DotWriter{w: w} }

// Write sends a piece of the message.
func (d *DotWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && d.err == nil {
		end := len(p)
		if lf := bytes.IndexByte(p[n:], '\n'); lf >= 0 {
			end = n + lf + 1
		}
		d.err = d.segment(p[n:end])
		if d.err == nil {
			n = end
		}
	}
	return n, d.err
}

// segment sends a part of one line.
func (d *DotWriter) segment(p []byte) error {
	switch {
	case bytes.IndexByte(p, 0) >= 0:
		return NUL
	case d.state == afterCR && p[0] != '\n':
		return BareCR
	case d.state == lineStart && p[0] == '.':
		if _, err := d.w.Write([]byte{'.'}); err != nil {
			return err
		}
	}
	if d.state == afterCR {
		d.state = lineStart // p is the LF alone
	} else {
		next, err := lineState(p)
		if err != nil {
			return err
		}
		d.state = next
	}
	_, err := d.w.Write(p)
	return err
}

// Close ends an unfinished last line and sends the final dot.
func (d *DotWriter) Close() error {
	if d.err != nil {
		return d.err
	}
	end := ".\r\n"
	switch d.state {
	case inLine:
		end = "\r\n.\r\n"
	case afterCR:
		return BareCR
	}
	_, d.err = io.WriteString(d.w, end)
	return d.err
}
