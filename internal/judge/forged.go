package judge

import (
	"bytes"
	"strings"

	"relais/internal/mime"
)

// forgedPrefix renames a result that we did not write: what it said is kept as
// evidence, and no program takes it for ours.
const forgedPrefix = "X-Forged-"

// Disarm renames the Authentication-Results fields of msg that bear our
// authserv-id although a stranger sent them (RFC 8601 §5). msg itself comes back
// when there are none.
func (j *Judge) Disarm(msg []byte) []byte {
	header := mime.Header(msg)
	var out []byte
	kept := 0 // bytes of msg already in out
	at := 0
	for f := range mime.Fields(header) {
		if f.Is("Authentication-Results") && strings.EqualFold(servID(f.Value()), j.config.Hostname) {
			if out == nil {
				out = make([]byte, 0, len(msg)+4*len(forgedPrefix))
			}
			out = append(append(out, msg[kept:at]...), forgedPrefix...)
			kept = at
		}
		at += len(f.Raw)
	}
	if out == nil {
		return msg
	}
	return append(out, msg[kept:]...)
}

// servID is the authserv-id at the start of a field's value: before the first
// semicolon, comments and quotes taken off, without a version after it.
func servID(value string) string {
	var b bytes.Buffer
	depth := 0
	for _, c := range []byte(value) {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0 || c == '"' || c == '\\':
		case c == ';', (c == ' ' || c == '\t') && b.Len() > 0:
			return b.String()
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			b.WriteByte(c)
		}
	}
	return b.String()
}
