package mime

// lexer reads the tokens of structured fields (RFC 5322 §3.2, RFC 2045 §5.1)
// tolerantly. Its methods append what they read to out and tell how it went.
type lexer struct {
	s       string
	i       int
	comment []byte // the last comment skipped, if keep is set
	keep    bool
}

// status is how reading a token went: broken syntax, the field's end reached, or more to read.
type status int

const (
	broken status = iota - 1
	ended
	more
)

func (l *lexer) state() status {
	if l.i < len(l.s) {
		return more
	}
	return ended
}

// at tells whether the next byte is c.
func (l *lexer) at(c byte) bool { return l.i < len(l.s) && l.s[l.i] == c }

// Classes of bytes: atext (RFC 5322 §3.2.3, and everything beyond ASCII, RFC
// 6532), and those atext that end a MIME token.
var class = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= 128, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			t[c] = 1
		}
	}
	for _, c := range []byte("!#$%&'*+-^_`{|}~") {
		t[c] = 1
	}
	for _, c := range []byte("/=?") {
		t[c] = 2
	}
	return t
}()

func isAtext(c byte) bool { return class[c] != 0 }
func isToken(c byte) bool { return class[c] == 1 || c == '.' }

// skip passes white space and comments.
func (l *lexer) skip() status {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case ' ', '\t', '\r', '\n':
			l.i++
		case '(':
			if l.skipComment() == broken {
				return broken
			}
		default:
			return more
		}
	}
	return ended
}

func (l *lexer) skipComment() status {
	l.comment = l.comment[:0]
	depth := 1
	l.i++
	start := l.i
	for ; l.i < len(l.s); l.i++ {
		switch l.s[l.i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				l.keepComment(start)
				l.i++
				return l.state()
			}
		case '\\':
			l.keepComment(start)
			l.i++
			start = l.i
			if l.i >= len(l.s) {
				return broken
			}
		}
	}
	return broken
}

func (l *lexer) keepComment(start int) {
	if l.keep {
		for i := start; i < l.i; i++ {
			l.comment = appendText(l.comment, l.s[i])
		}
	}
}

// atom reads 1*atext and the white space after it.
func (l *lexer) atom(out *[]byte) status {
	if l.i >= len(l.s) || !isAtext(l.s[l.i]) {
		return broken
	}
	start := l.i
	for l.i < len(l.s) && isAtext(l.s[l.i]) {
		l.i++
	}
	*out = append(*out, l.s[start:l.i]...)
	return l.skip()
}

// dotAtom reads atoms with dots between them, white space around the dots allowed (RFC 5322 §4.4).
func (l *lexer) dotAtom(out *[]byte) status {
	if l.i >= len(l.s) || !isAtext(l.s[l.i]) {
		return broken
	}
	for {
		start := l.i
		for l.i < len(l.s) && isAtext(l.s[l.i]) {
			l.i++
		}
		*out = append(*out, l.s[start:l.i]...)
		if st := l.skip(); st != more {
			return st
		}
		if l.s[l.i] != '.' {
			return more
		}
		l.i++
		*out = append(*out, '.')
		if l.skip() != more || !isAtext(l.s[l.i]) {
			return broken
		}
	}
}

// localAtoms reads atoms with any dots between and around them, up to "@": what
// the wild has as local parts.
func (l *lexer) localAtoms(out *[]byte) status {
	st := broken
	for {
		for l.at('.') {
			*out = append(*out, '.')
			if l.i++; l.i == len(l.s) {
				return ended
			}
			st = more
		}
		if l.at('@') {
			return st
		}
		if st = l.atom(out); st != more || !l.at('.') {
			return st
		}
	}
}

// token reads a MIME token, which may be empty.
func (l *lexer) token(out *[]byte) status {
	start := l.i
	for l.i < len(l.s) && isToken(l.s[l.i]) {
		l.i++
	}
	*out = append(*out, l.s[start:l.i]...)
	return l.skip()
}

// quoted reads a quoted string, without its quotes and backslashes.
func (l *lexer) quoted(out *[]byte) status {
	l.i++
	for ; l.i < len(l.s); l.i++ {
		switch c := l.s[l.i]; c {
		case '"':
			l.i++
			return l.skip()
		case '\\':
			if l.i++; l.i >= len(l.s) {
				return broken
			}
			*out = appendText(*out, l.s[l.i])
		default:
			*out = appendText(*out, c)
		}
	}
	return broken
}

// appendText adds a byte of free text: NUL becomes U+FFFD, which no client chokes on.
func appendText(b []byte, c byte) []byte {
	if c == 0 {
		return append(b, "\uFFFD"...)
	}
	return append(b, c)
}

// phrase reads words with one space between them (RFC 5322 §3.2.5, dots allowed).
func (l *lexer) phrase(out *[]byte) status {
	if l.i >= len(l.s) {
		return ended
	}
	if l.s[l.i] == '.' {
		return broken
	}
	for {
		var st status
		if l.s[l.i] == '"' {
			st = l.quoted(out)
		} else {
			start := l.i
			for l.i < len(l.s) && (isAtext(l.s[l.i]) || l.s[l.i] == '.') {
				l.i++
			}
			*out = append(*out, l.s[start:l.i]...)
			st = l.skip()
		}
		if st != more {
			return st
		}
		if c := l.s[l.i]; !isAtext(c) && c != '"' && c != '.' {
			return l.skip()
		}
		*out = append(*out, ' ')
	}
}

// domain reads "@" and a domain or domain literal.
func (l *lexer) domain(out *[]byte) status {
	l.i++
	if l.skip() != more {
		return broken
	}
	if l.s[l.i] != '[' {
		return l.dotAtom(out)
	}
	start := l.i
	for ; l.i < len(l.s); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
		case ']':
			l.i++
			*out = append(*out, l.s[start:l.i]...)
			return l.skip()
		}
	}
	return broken
}
