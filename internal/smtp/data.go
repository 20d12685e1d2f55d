package smtp

import (
	"bytes"
	"errors"
)

// ErrDiscardLimit is a refused message that went on beyond what is read of it;
// its end was not reached, so the connection must be closed.
var ErrDiscardLimit = errors.New("message goes on far beyond the limit")

// minSpare is the room in a body below which it is grown before the next read.
const minSpare = 512

// Grow gives body more capacity: it returns a slice with the same bytes and at
// least 512 bytes of spare capacity, or an error when it may not grow.
type Grow func(body []byte) ([]byte, error)

// ReadData reads a message after DATA up to its final dot, appends it to body
// with CR LF kept and dots unstuffed (RFC 5321 §4.5.2), and returns it. The
// bytes are read into body's spare capacity and unstuffed in place.
//
// An error of grow refuses the message: up to discard further bytes are read
// and forgotten until the final dot, then that error is returned and the
// connection can go on. After a LineFault, ErrDiscardLimit or an error of the
// source it can't.
func (r *Reader) ReadData(body []byte, grow Grow, discard int64) ([]byte, error) {
	var (
		u       unstuffer
		refused error
	)
	for {
		if cap(body)-len(body) < minSpare {
			if refused == nil {
				var grown []byte
				if grown, refused = grow(body); refused == nil {
					body = grown
				}
			}
			if refused != nil {
				body = scratch(body)
			}
		}
		raw := body[len(body):cap(body)]
		k, err := r.read(raw)
		if err != nil {
			return nil, unexpected(err)
		}
		written, used, done, err := u.unstuff(raw[:k])
		if err != nil {
			return nil, err
		}
		if refused != nil {
			written = 0
			if discard -= int64(used); discard < 0 {
				return nil, ErrDiscardLimit
			}
		}
		if done {
			r.unread(raw[used:k])
			if refused != nil {
				return nil, refused
			}
			return body[:len(body)+written], nil
		}
		body = body[:len(body)+written]
	}
}

// scratch empties a refused body, to read the rest of the message over it.
func scratch(body []byte) []byte {
	if cap(body) < bufferSize {
		return make([]byte, 0, bufferSize)
	}
	return body[:0]
}

// unstuffer removes the dots that transparency added and finds the final one.
// The zero value stands at the start of a message.
type unstuffer struct {
	state dataState
}

type dataState uint8

const (
	lineStart dataState = iota // after CR LF, or at the start
	inLine
	afterCR
	afterDot   // a dot began the line; it is held back
	afterDotCR // and a CR followed it
)

// unstuff works through raw, whose bytes follow those of the last call, and
// moves what belongs to the message to raw's front. It returns how many bytes
// that are, how many of raw were used, and whether the final dot was among them.
func (u *unstuffer) unstuff(raw []byte) (written, used int, done bool, err error) {
	nul := bytes.IndexByte(raw, 0) // nearly always -1: one look for the whole block
	w, i := 0, 0
	for i < len(raw) {
		switch u.state {
		case lineStart, inLine:
			if u.state == lineStart && raw[i] == '.' {
				u.state = afterDot
				i++
				continue
			}
			end := len(raw)
			if lf := bytes.IndexByte(raw[i:], '\n'); lf >= 0 {
				end = i + lf + 1
			}
			next, err := lineState(raw[i:end])
			if err != nil {
				return w, i, false, err
			}
			if nul >= i && nul < end {
				return w, i, false, NUL
			}
			if w == i {
				w = end // nothing was taken out before: already in place
			} else {
				w += copy(raw[w:], raw[i:end])
			}
			u.state, i = next, end
		case afterCR:
			if raw[i] != '\n' {
				return w, i, false, BareCR
			}
			raw[w] = '\n'
			w++
			i++
			u.state = lineStart
		case afterDot:
			switch raw[i] {
			case '\r':
				u.state = afterDotCR
				i++
			case '\n':
				return w, i, false, BareLF
			default: // the line goes on: the dot was added by transparency
				u.state = inLine
			}
		case afterDotCR:
			if raw[i] != '\n' {
				return w, i, false, BareCR
			}
			u.state = lineStart
			return w, i + 1, true, nil
		}
	}
	return w, i, false, nil
}

// lineState is the state after segment, which holds an LF at most at its end.
func lineState(segment []byte) (dataState, error) {
	last := len(segment) - 1
	cr := bytes.IndexByte(segment, '\r')
	switch {
	case segment[last] == '\n' && last > 0 && cr == last-1:
		return lineStart, nil
	case cr >= 0 && cr == last:
		return afterCR, nil
	case cr >= 0:
		return 0, BareCR
	case segment[last] == '\n':
		return 0, BareLF
	}
	return inLine, nil
}

// CheckLines says whether a whole message can travel by DATA: nil, or the
// LineFault found first. A last line without CR LF is no fault.
func CheckLines(body []byte) error {
	if bytes.IndexByte(body, 0) >= 0 {
		return NUL
	}
	for len(body) > 0 {
		lf := bytes.IndexByte(body, '\n')
		if lf < 0 {
			if bytes.IndexByte(body, '\r') >= 0 {
				return BareCR
			}
			return nil
		}
		if _, err := lineState(body[:lf+1]); err != nil {
			return err
		}
		body = body[lf+1:]
	}
	return nil
}
