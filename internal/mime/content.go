package mime

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// readHeader reads what the tree keeps of a part's header, and for a multipart
// its boundary. A message (not a part) is MIME only if it says so.
func (p *Part) readHeader(header []byte, message, insideMultipart, inDigest bool) (bound []byte, ok bool) {
	isMIME := insideMultipart // a part of a multipart needs no MIME-Version
	c := &p.Content
	var boundary Nullable
	var env envelopeReader
	for f := range Fields(header) {
		if len(f.Name) < 2 {
			continue
		}
		if f.Is("MIME-Version") {
			isMIME = true
		} else if len(f.Name) > 8 && lower(f.Name[0]) == 'c' && asciiEqualFold(f.Name[:8], "Content-") {
			if !c.HasType && f.Is("Content-Type") {
				isMIME = true
				boundary = c.readType(f.unfold(), p)
			} else {
				c.readField(f)
			}
		}
		if message {
			env.read(f)
		}
	}
	if message {
		p.Envelope = env.finish()
	}
	if !isMIME {
		p.Kind, p.Digest, *c = Leaf, false, Content{}
	}
	if !c.HasType && inDigest {
		p.Kind = Message
	}
	return []byte(boundary.Text), boundary.Set
}

// readType reads a Content-Type field. A broken one is kept as far as it could be read, without parameters.
func (c *Content) readType(value string, p *Part) (boundary Nullable) {
	l := lexer{s: value}
	var buf [64]byte
	out := buf[:0]
	st := l.mediaType(&out)
	c.HasType = true
	whole := string(out)
	c.Type, c.Subtype, _ = strings.Cut(whole, "/")
	switch {
	case equalFold(whole, "message/rfc822"):
		p.Kind = Message
	case len(whole) >= 10 && equalFold(whole[:10], "multipart/"):
		p.Kind = Multipart
		p.Digest = equalFold(c.Subtype, "digest")
	}
	if st == broken {
		return Nullable{}
	}
	c.Params = l.params()
	if p.Kind == Multipart {
		for _, q := range c.Params {
			if equalFold(q.Name, "boundary") {
				return some(q.Value[:min(len(q.Value), maxBoundary)])
			}
		}
	}
	return Nullable{}
}

// mediaType reads type "/" subtype. A type alone is kept; anything else that is
// wrong makes both empty.
func (l *lexer) mediaType(out *[]byte) status {
	if l.skip() != more {
		return broken
	}
	if st := l.token(out); st != more && len(*out) > 0 {
		return st
	}
	if len(*out) > 0 && l.at('/') {
		l.i++
		*out = append(*out, '/')
		n := len(*out)
		if l.skip() == more && l.token(out) != broken && len(*out) > n && (l.i == len(l.s) || l.at(';')) {
			return l.state()
		}
	}
	*out = (*out)[:0]
	return broken
}

// readField reads a Content-* field other than the type. Of several the first good one counts.
func (c *Content) readField(f Field) {
	once := func(n *Nullable) {
		if !n.Set {
			*n = some(dropBreaks(f.Value()))
		}
	}
	switch {
	case f.Is("Content-ID"):
		once(&c.ID)
	case f.Is("Content-Description"):
		once(&c.Description)
	case f.Is("Content-MD5"):
		once(&c.MD5)
	case f.Is("Content-Location"):
		once(&c.Location)
	case f.Is("Content-Transfer-Encoding") && !c.Encoding.Set:
		l := lexer{s: f.unfold()}
		var out []byte
		l.skip()
		if l.token(&out) != broken && l.skip() == ended && len(out) > 0 {
			c.Encoding = some(string(out))
		}
	case f.Is("Content-Disposition") && c.DispositionParams == nil:
		l := lexer{s: f.unfold()}
		var out []byte
		l.skip()
		if l.token(&out) != broken {
			c.Disposition = some(string(out))
			c.DispositionParams = l.params()
		}
	case f.Is("Content-Language") && c.Language == nil:
		l := lexer{s: f.unfold()}
		l.skip()
		for {
			var out []byte
			if l.atom(&out) == broken {
				break
			}
			c.Language = append(c.Language, string(out))
			if !l.at(',') {
				break
			}
			l.i++
			l.skip()
		}
	}
}

// maxParams bounds the parameters of one field, pieces counted.
const maxParams = 128

// piece is a parameter of RFC 2231: name*index, name*index* or name*.
type piece struct {
	name, value string
	index       uint32
	extended    bool
}

// params reads *(";" attribute "=" value) and joins the pieces of RFC 2231 §3
// into one parameter each, behind the others; pieces with a gap stay as they are.
func (l *lexer) params() []Param {
	var plain []Param
	var pieces []piece
	for l.i < len(l.s) && len(plain)+len(pieces) < maxParams {
		name, value, ok := l.param()
		if !ok {
			l.i++ // try again from the next byte on
			continue
		}
		if q, ok := pieceOf(name, value); ok {
			pieces = append(pieces, q)
		} else {
			plain = append(plain, Param{name, value})
		}
	}
	if pieces != nil {
		plain = append(plain, joinPieces(pieces)...)
	}
	return plain
}

// param reads one ";" attribute "=" value. What is broken in the value loses the parameter.
func (l *lexer) param() (name, value string, ok bool) {
	if l.s[l.i] != ';' {
		return "", "", false
	}
	l.i++
	var buf [128]byte
	out := buf[:0]
	if l.skip() != more || l.token(&out) != more || l.s[l.i] != '=' {
		return "", "", false
	}
	l.i++
	name = string(out)
	out = buf[:0]
	st := l.skip()
	switch {
	case st != more:
	case l.s[l.i] == '"':
		st = l.quoted(&out)
	case l.s[l.i] == '=':
		// name==?utf-8?b?…?=, as some programs write.
		for l.i < len(l.s) && !strings.ContainsRune("; \t\r\n", rune(l.s[l.i])) {
			out = append(out, l.s[l.i])
			l.i++
		}
	default:
		st = l.token(&out)
	}
	return name, string(out), st != broken
}

func pieceOf(name, value string) (piece, bool) {
	base, rest, found := strings.Cut(name, "*")
	if !found {
		return piece{}, false
	}
	q := piece{name: base, value: value}
	if rest == "" { // name*
		q.extended = true
		return q, true
	}
	digits := 0
	for ; digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9'; digits++ {
		q.index = q.index*10 + uint32(rest[digits]-'0') // absurd ones wrap around
	}
	switch rest[digits:] {
	case "":
	case "*":
		q.extended = true
	default:
		return piece{}, false
	}
	return q, true
}

func joinPieces(pieces []piece) []Param {
	slices.SortStableFunc(pieces, func(a, b piece) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return cmp.Compare(a.index, b.index)
	})
	var out []Param
	for i := 0; i < len(pieces); {
		complete, extended := true, false
		j := i
		for ; j < len(pieces) && equalFold(pieces[j].name, pieces[i].name); j++ {
			complete = complete && pieces[j].index == uint32(j-i)
			extended = extended || pieces[j].extended
		}
		if complete {
			out = append(out, joinOne(pieces[i:j], extended))
		} else {
			for _, q := range pieces[i:j] {
				name := q.name + "*" + strconv.FormatUint(uint64(q.index), 10)
				if q.extended {
					name += "*"
				}
				out = append(out, Param{name, q.value})
			}
		}
		i = j
	}
	return out
}

func joinOne(pieces []piece, extended bool) Param {
	if !extended {
		var b strings.Builder
		for _, q := range pieces {
			b.WriteString(q.value)
		}
		return Param{pieces[0].name, b.String()}
	}
	var b strings.Builder
	if !pieces[0].extended {
		b.WriteString("''")
	}
	for _, q := range pieces {
		if q.extended {
			b.WriteString(q.value)
		} else {
			b.WriteString(strings.ReplaceAll(q.value, "%", "%25"))
		}
	}
	return Param{pieces[0].name + "*", b.String()}
}

// paramText is the parameter's value for people: RFC 2231 decoded, or the
// encoded words that some programs put there decoded.
func paramText(params []Param, name string) string {
	for _, q := range params {
		if equalFold(q.Name, name+"*") {
			parts := strings.SplitN(q.Value, "'", 3)
			if len(parts) == 3 {
				return string(ToUTF8(percentDecode(parts[2]), parts[0]))
			}
			return string(ToUTF8(percentDecode(q.Value), ""))
		}
	}
	for _, q := range params {
		if equalFold(q.Name, name) {
			return DecodeWords(q.Value)
		}
	}
	return ""
}

func percentDecode(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

func dropBreaks(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(s)
}
