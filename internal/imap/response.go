package imap

import (
	"strconv"
	"strings"
)

// Words of a status response (RFC 9051 §7.1).
const (
	OK      = "OK"
	No      = "NO"
	Bad     = "BAD"
	Bye     = "BYE"
	PreAuth = "PREAUTH"
)

// A Status is a status response: its word, code and text (RFC 9051 §7.1). As
// the end of a command it is OK, NO or BAD; untagged it may be any.
type Status struct {
	Word string // OK, No, Bad, Bye, PreAuth
	Code Code
	Text string // for people; no line ends
}

// IsStatus tells whether word is the word of a status response.
func IsStatus(word string) bool {
	switch word {
	case OK, No, Bad, Bye, PreAuth:
		return true
	}
	return false
}

// Codes that a side acts upon (RFC 9051 §7.1, 5530, 4315, 7162, 3501 …). The set is open.
const (
	CodeAlert                = "ALERT"
	CodeAlreadyExists        = "ALREADYEXISTS"
	CodeAppendUID            = "APPENDUID"
	CodeAuthenticationFailed = "AUTHENTICATIONFAILED"
	CodeAuthorizationFailed  = "AUTHORIZATIONFAILED"
	CodeBadCharset           = "BADCHARSET"
	CodeCannot               = "CANNOT"
	CodeCapability           = "CAPABILITY"
	CodeClientBug            = "CLIENTBUG"
	CodeClosed               = "CLOSED"
	CodeContactAdmin         = "CONTACTADMIN"
	CodeCopyUID              = "COPYUID"
	CodeCorruption           = "CORRUPTION"
	CodeExpired              = "EXPIRED"
	CodeExpungeIssued        = "EXPUNGEISSUED"
	CodeHasChildren          = "HASCHILDREN"
	CodeHighestModSeq        = "HIGHESTMODSEQ"
	CodeInUse                = "INUSE"
	CodeLimit                = "LIMIT"
	CodeMailboxID            = "MAILBOXID"
	CodeModified             = "MODIFIED"
	CodeNoModSeq             = "NOMODSEQ"
	CodeNonExistent          = "NONEXISTENT"
	CodeNoPerm               = "NOPERM"
	CodeNotSaved             = "NOTSAVED"
	CodeOverQuota            = "OVERQUOTA"
	CodeParse                = "PARSE"
	CodePermanentFlags       = "PERMANENTFLAGS"
	CodePrivacyRequired      = "PRIVACYREQUIRED"
	CodeReadOnly             = "READ-ONLY"
	CodeReadWrite            = "READ-WRITE"
	CodeServerBug            = "SERVERBUG"
	CodeThrottled            = "THROTTLED"
	CodeTooBig               = "TOOBIG"
	CodeTryCreate            = "TRYCREATE"
	CodeUIDNext              = "UIDNEXT"
	CodeUIDNotSticky         = "UIDNOTSTICKY"
	CodeUIDValidity          = "UIDVALIDITY"
	CodeUnavailable          = "UNAVAILABLE"
	CodeUnknownCTE           = "UNKNOWN-CTE"
	CodeUnseen               = "UNSEEN"
	CodeUseAttr              = "USEATTR"
)

// A Code is a response code, "[" Name [SP Args] "]". Its arguments stay as
// they were written, so that an unknown one is kept whole; the accessors read
// those of the known ones, and say false for arguments of another form.
type Code struct {
	Name string // in upper case; "" when there is none
	Args string // without the space before
}

// MakeCode joins the arguments with spaces.
func MakeCode(name string, args ...string) Code { return Code{name, strings.Join(args, " ")} }

// NumberCode is a code with one number: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, UNSEEN.
func NumberCode(name string, n uint64) Code { return Code{name, strconv.FormatUint(n, 10)} }

// AppendUID is the code that tells the UIDs of appended messages (RFC 4315 §3, several: RFC 3502).
func AppendUID(validity uint32, uids NumSet) Code {
	return MakeCode(CodeAppendUID, strconv.FormatUint(uint64(validity), 10), uids.String())
}

// CopyUID is the code that tells the UIDs of copies, in the order of the originals (RFC 4315 §3).
func CopyUID(validity uint32, from, to NumSet) Code {
	return MakeCode(CodeCopyUID, strconv.FormatUint(uint64(validity), 10), from.String(), to.String())
}

// IsZero tells whether there is no code.
func (c Code) IsZero() bool { return c.Name == "" }

// String is the code with its brackets, "" for none.
func (c Code) String() string {
	switch {
	case c.Name == "":
		return ""
	case c.Args == "":
		return "[" + c.Name + "]"
	}
	return "[" + c.Name + " " + c.Args + "]"
}

// Number reads the one number of UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, UNSEEN …
func (c Code) Number() (uint64, bool) {
	n, err := strconv.ParseUint(c.Args, 10, 63)
	return n, err == nil
}

// Words reads space-separated atoms (CAPABILITY), or those in a parenthesised
// list (PERMANENTFLAGS, MAILBOXID).
func (c Code) Words() []string {
	return strings.Fields(strings.TrimSuffix(strings.TrimPrefix(c.Args, "("), ")"))
}

// AppendUID reads UIDVALIDITY and the UIDs given, in the order of the messages.
func (c Code) AppendUID() (validity uint32, uids NumSet, ok bool) {
	f := strings.Fields(c.Args)
	if c.Name != CodeAppendUID || len(f) != 2 {
		return 0, nil, false
	}
	v, err := strconv.ParseUint(f[0], 10, 32)
	uids, ok = ParseNumSet(f[1])
	return uint32(v), uids, ok && err == nil && uids.concrete()
}

// CopyUID reads UIDVALIDITY and the two sets, whose numbers pair up in order.
func (c Code) CopyUID() (validity uint32, from, to NumSet, ok bool) {
	f := strings.Fields(c.Args)
	if c.Name != CodeCopyUID || len(f) != 3 {
		return 0, nil, nil, false
	}
	v, err := strconv.ParseUint(f[0], 10, 32)
	from, ok1 := ParseNumSet(f[1])
	to, ok2 := ParseNumSet(f[2])
	ok = ok1 && ok2 && err == nil && from.concrete() && to.concrete() && from.Count() == to.Count()
	return uint32(v), from, to, ok
}

// Set reads the set of MODIFIED.
func (c Code) Set() (NumSet, bool) { return ParseNumSet(c.Args) }

// concrete tells whether the set names numbers only: no "*", no "$".
func (s NumSet) concrete() bool {
	for _, r := range s {
		if r.First == 0 || r.Last == Star {
			return false
		}
	}
	return true
}

// Status reads what follows the word of a status response: the code, the text
// and the end of the line.
func (d *Decoder) Status(word string) Status {
	s := Status{Word: word}
	if d.AtEnd() { // servers leave the text out
		d.CRLF()
		return s
	}
	d.SP()
	if d.Peek() == '[' {
		s.Code = d.Code()
		d.Accept(' ')
	}
	s.Text = d.Text()
	d.CRLF()
	return s
}

// Code reads a response code with its brackets. A client forgives a missing
// "]": the rest of the line is then the code's.
func (d *Decoder) Code() Code {
	d.Expect('[')
	c := Code{Name: upper(string(d.take(isCode)))}
	if d.Accept(' ') {
		var args []byte
		quoted := false
		for d.err == nil {
			b := d.Peek()
			if d.err != nil || class[b]&isText == 0 || b == ']' && !quoted {
				break
			}
			if b == '"' {
				quoted = !quoted
			}
			if b == '\\' && quoted {
				args = append(args, b)
				d.next()
				b = d.Peek()
				if class[b]&isText == 0 {
					break
				}
			}
			args = append(args, b)
			d.next()
		}
		c.Args = string(args)
	}
	if !d.opt.Server && d.AtEnd() {
		return c
	}
	d.Expect(']')
	return c
}

// Status writes a status response, "*" or a command's tag before it.
func (e *Encoder) Status(tag string, s Status) *Encoder {
	e.Raw(tag).SP().Raw(s.Word).SP()
	if !s.Code.IsZero() {
		e.Raw(oneLine(s.Code.String())).SP()
	}
	if s.Text == "" {
		// The grammar wants text, and some clients stumble without.
		return e.Raw("done").CRLF()
	}
	return e.Raw(oneLine(s.Text)).CRLF()
}

// oneLine replaces what would break the line.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(s)
}
