package dkim

import (
	"bytes"
	"hash"
)

var space = []byte(" ")

// hashBody writes body to h in canonical form (RFC 6376 §3.4.3 simple, §3.4.4
// relaxed). Unchanged runs go to the hash as they lie in body: nothing is copied.
func hashBody(h hash.Hash, body []byte, relaxed bool) {
	body = body[:contentEnd(body, relaxed)]
	if relaxed && len(body) == 0 {
		return
	}
	if !relaxed {
		h.Write(body)
		h.Write(crlf)
		return
	}
	start, n := 0, len(body)
	for i := 0; i < n; {
		c := body[i]
		if c != ' ' && c != '\t' {
			i++
			continue
		}
		j := i + 1
		for j < n && isSpace(body[j]) {
			j++
		}
		switch {
		case j+1 < n && body[j] == '\r' && body[j+1] == '\n': // at the end of a line: none of it
			h.Write(body[start:i])
			start = j
		case j-i > 1 || c == '\t': // within a line: one space
			h.Write(body[start:i])
			h.Write(space)
			start = j
		}
		i = j
	}
	h.Write(body[start:])
	h.Write(crlf)
}

// contentEnd is where the last line that is not empty ends, its CR LF left out
// (and with relaxed the white space before it): empty lines at the end do not count.
func contentEnd(body []byte, relaxed bool) int {
	end := len(body)
	for {
		if bytes.HasSuffix(body[:end], crlf) {
			end -= 2
		}
		if relaxed {
			for end > 0 && isSpace(body[end-1]) {
				end--
			}
		}
		if !bytes.HasSuffix(body[:end], crlf) {
			return end
		}
	}
}

// appendField appends a header field in canonical form (RFC 6376 §3.4.1 simple,
// §3.4.2 relaxed), without its final CR LF.
func appendField(dst, raw []byte, relaxed bool) []byte {
	raw = bytes.TrimSuffix(raw, crlf)
	if !relaxed {
		return append(dst, raw...)
	}
	colon := bytes.IndexByte(raw, ':')
	for _, c := range bytes.TrimRight(raw[:colon], " \t") {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	value := raw[colon+1:]
	gap, begun := false, false
	for i := 0; i < len(value); i++ {
		c := value[i]
		if isSpace(c) || c == '\r' && i+1 < len(value) && value[i+1] == '\n' {
			if c == '\r' {
				i++ // unfold: the CR LF goes, the white space after it stays
				continue
			}
			gap = true
			continue
		}
		if gap && begun {
			dst = append(dst, ' ')
		}
		gap, begun = false, true
		dst = append(dst, c)
	}
	return dst
}
