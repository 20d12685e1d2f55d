package imap

import (
	"strings"
	"unicode/utf8"
)

// Classes of bytes (RFC 9051 §9), as bits of class.
const (
	isAtom     = 1 << iota // ATOM-CHAR
	isAString              // ASTRING-CHAR: ATOM-CHAR or "]"
	isTag                  // ASTRING-CHAR except "+"
	isListChar             // list-char: ATOM-CHAR, wildcards, "]"
	isName                 // a FETCH item's name up to its section: ATOM-CHAR without "[" and "<"
	isSet                  // sequence-set
	isText                 // TEXT-CHAR and 8-bit: all but NUL, CR, LF
	isValue                // what SkipValue takes for an atom: all but space, parentheses, quotes, controls
	isCode                 // a response code's name
	isSearch               // a SEARCH key's name or set: as isAtom plus "*"
)

var class = classes()

func classes() (t [256]uint16) {
	for c := range 256 {
		b := byte(c)
		if c != 0 && b != '\r' && b != '\n' {
			t[c] |= isText
		}
		if c <= ' ' || c == 0x7f {
			continue
		}
		if !strings.ContainsRune(`()"`, rune(c)) {
			t[c] |= isValue
		}
		if c >= 0x80 {
			continue
		}
		atom := !strings.ContainsRune(`(){%*"\]`, rune(c))
		if atom {
			t[c] |= isAtom
			if b != '[' && b != '<' {
				t[c] |= isName
			}
		}
		if atom || b == ']' {
			t[c] |= isAString | isListChar
			if b != '+' {
				t[c] |= isTag
			}
			if b != ']' {
				t[c] |= isCode
			}
		}
		if b == '%' || b == '*' {
			t[c] |= isListChar
		}
		if (b >= '0' && b <= '9') || strings.ContainsRune(":,*$", rune(c)) {
			t[c] |= isSet
		}
		if atom || b == '*' {
			t[c] |= isSearch
		}
	}
	return t
}

// take consumes the bytes of class mask. The result is valid until the next read.
func (d *Decoder) take(mask uint16) []byte {
	if d.Peek(); d.err != nil {
		return nil
	}
	d.scratch = d.scratch[:0]
	for {
		buf, _ := d.r.Peek(d.r.Buffered())
		i := 0
		for i < len(buf) && class[buf[i]]&mask != 0 {
			i++
		}
		d.r.Discard(i)
		d.count(i)
		if i < len(buf) {
			if len(d.scratch) == 0 {
				return buf[:i]
			}
			d.scratch = append(d.scratch, buf[:i]...)
			return d.scratch
		}
		d.scratch = append(d.scratch, buf...)
		if d.err != nil {
			return nil
		}
		if _, err := d.r.Peek(1); err != nil {
			d.Fail(d.ioError(err))
			return nil
		}
	}
}

// word is take as a string, with the frequent ones shared.
func (d *Decoder) word(mask uint16, what string) string {
	b := d.take(mask)
	if d.err != nil {
		return ""
	}
	if len(b) == 0 {
		d.Want(what)
		return ""
	}
	return share(b)
}

// Atom is 1*ATOM-CHAR, as written.
func (d *Decoder) Atom() string { return d.word(isAtom, "an atom") }

// Tag is a command's tag, or "*" or "+" before a response.
func (d *Decoder) Tag() string {
	if c := d.Peek(); !d.opt.Server && (c == '*' || c == '+') {
		d.next()
		return string(rune(c))
	}
	return d.word(isTag, "a tag")
}

// Command is a command's or response's name, in upper case.
func (d *Decoder) Command() string { return upper(d.word(isAtom, "a command")) }

// Name is the name of a FETCH, STATUS or LIST item in upper case, up to any section.
func (d *Decoder) Name() string { return upper(d.word(isName, "an item's name")) }

// ListPattern is list-mailbox of LIST and LSUB: as Mailbox, with "%" and "*" allowed unquoted.
func (d *Decoder) ListPattern() string {
	var s string
	switch d.Peek() {
	case '"', '{':
		s = d.String()
	default:
		s = d.word(isListChar, "a mailbox pattern")
	}
	if d.UTF8 {
		return s
	}
	return DecodeMailbox(s)
}

// Mailbox is a mailbox's name as UTF-8: decoded from modified UTF-7 unless UTF8
// is set, and "INBOX" in upper case whatever its case was (RFC 9051 §5.1).
// DecodeMailbox says what becomes of a name that is no modified UTF-7.
func (d *Decoder) Mailbox() string {
	s := d.AString()
	if strings.EqualFold(s, "INBOX") {
		return "INBOX"
	}
	if d.UTF8 {
		if d.err == nil && !utf8.ValidString(s) {
			d.Want("a UTF-8 mailbox name")
		}
		return s
	}
	return DecodeMailbox(s)
}

// Number is a 32-bit number.
func (d *Decoder) Number() uint32 {
	n := d.Number64()
	if n > 1<<32-1 {
		d.Want("a 32-bit number")
		return 0
	}
	return uint32(n)
}

// NonZero is a 32-bit number greater than 0 (nz-number).
func (d *Decoder) NonZero() uint32 {
	n := d.Number()
	if n == 0 {
		d.Want("a number above 0")
	}
	return n
}

// Number64 is a number below 2^63, as mod-sequences and sizes are (RFC 7162 §7).
func (d *Decoder) Number64() uint64 {
	var n uint64
	digits := 0
	for {
		c := d.Peek()
		if d.err != nil {
			return 0
		}
		if c < '0' || c > '9' {
			break
		}
		if n > (1<<63-1-uint64(c-'0'))/10 {
			d.Want("a number below 2^63")
			return 0
		}
		n = n*10 + uint64(c-'0')
		digits++
		d.next()
	}
	if digits == 0 {
		d.Want("a number")
	}
	return n
}

// Flag is a flag or a LIST attribute: "\Seen", "$Forwarded", `\*`. Its case is
// kept. A client takes keywords that are no atoms ("[a]", 8-bit), which some
// servers have: IsFlag tells them apart.
func (d *Decoder) Flag() string {
	mask := uint16(isAtom)
	if !d.opt.Server {
		mask = isValue
	}
	if !d.Accept('\\') {
		return d.word(mask, "a flag")
	}
	if d.Accept('*') {
		return `\*`
	}
	return shareFlag(d.take(mask))
}

// Flags is flag-list: "(" flags ")". A client also takes quoted keywords.
func (d *Decoder) Flags() []string {
	flags := []string{}
	d.List(func() {
		if c := d.Peek(); c == '"' && !d.opt.Server {
			flags = append(flags, d.String())
			return
		}
		flags = append(flags, d.Flag())
	})
	return flags
}

// Text is the rest of the line without its end.
func (d *Decoder) Text() string {
	return string(d.take(isText))
}

// nilAtom consumes NIL.
func (d *Decoder) nilAtom() {
	b := d.take(isAtom)
	if d.err == nil && !(len(b) == 3 && b[0]|0x20 == 'n' && b[1]|0x20 == 'i' && b[2]|0x20 == 'l') {
		d.Want("NIL")
	}
}

// upper is strings.ToUpper for ASCII, without an allocation when nothing changes.
func upper(s string) string {
	for i := range len(s) {
		if s[i] >= 'a' && s[i] <= 'z' {
			return strings.ToUpper(s)
		}
	}
	return s
}

// share gives the one copy of a frequent word, or a new string.
func share(b []byte) string {
	if s, ok := frequent[string(b)]; ok {
		return s
	}
	return string(b)
}

// shareFlag is share for a system flag, whose backslash was consumed.
func shareFlag(b []byte) string {
	if s, ok := frequentFlags[string(b)]; ok {
		return s
	}
	return `\` + string(b)
}

// frequent and frequentFlags are never written after start.
var (
	frequent = table("", "OK", "NO", "BAD", "FETCH", "FLAGS", "UID", "MODSEQ", "INTERNALDATE", "RFC822.SIZE", "BODY", "EMAILID",
		"THREADID", "EXISTS", "RECENT", "EXPUNGE", "VANISHED", "NIL", "STATUS", "LIST", "SEARCH", "ESEARCH", "STORE", "NOOP",
		"IDLE", "SELECT", "APPEND", "$Forwarded", "$MDNSent", "$Junk", "$NotJunk", "NonJunk", "Junk", "INBOX",
		"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "SIZE")
	frequentFlags = table(`\`, "Seen", "Answered", "Flagged", "Deleted", "Draft", "Recent",
		"HasNoChildren", "HasChildren", "Noselect", "Subscribed", "Sent", "Drafts", "Trash", "Junk", "Archive", "All")
)

func table(prefix string, words ...string) map[string]string {
	t := make(map[string]string, len(words))
	for _, w := range words {
		t[w] = prefix + w
	}
	return t
}
