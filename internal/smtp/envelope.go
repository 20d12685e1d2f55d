package smtp

import (
	"slices"
	"strconv"
	"strings"

	"relais/internal/mail"
)

// Sender is what MAIL FROM said.
type Sender struct {
	Address mail.Address // the zero value is <>
	Size    int64        // RFC 1870, in bytes; 0 if not said
	Bit8    bool         // BODY=8BITMIME
	UTF8    bool         // SMTPUTF8
	Ret     string       // RFC 3461: "FULL", "HDRS" or ""
	EnvID   string       // RFC 3461, as written (xtext)
}

// Recipient is what RCPT TO said.
type Recipient struct {
	Address  mail.Address
	Original string // the path's mailbox as written
	Notify   string // RFC 3461, in capitals: "NEVER" or a list of SUCCESS, FAILURE, DELAY; "" if not said
	ORcpt    string // RFC 3461, as written: "rfc822;" and xtext; "" if not said
}

// ParseSender reads the arguments of MAIL. The error is a *Reply.
func ParseSender(args string) (Sender, error) {
	var s Sender
	path, params, err := cutPath(args, "FROM:", "5.1.7")
	if err != nil {
		return s, err
	}
	if s.Address, err = parseReverse(path); err != nil {
		return s, err
	}
	err = eachParam(params, func(key, value string) *Reply {
		switch key {
		case "SIZE":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return badParam("SIZE", "a number of bytes")
			}
			s.Size = int64(n)
		case "BODY":
			s.Bit8 = strings.EqualFold(value, "8BITMIME")
			if !s.Bit8 && !strings.EqualFold(value, "7BIT") {
				return badParam("BODY", "7BIT or 8BITMIME")
			}
		case "SMTPUTF8":
			if value != "" {
				return badParam("SMTPUTF8", "no value")
			}
			s.UTF8 = true
		case "AUTH": // RFC 4954 §5: who first submitted; nobody here trusts it
		case "RET":
			if s.Ret = strings.ToUpper(value); s.Ret != "FULL" && s.Ret != "HDRS" {
				return badParam("RET", "FULL or HDRS")
			}
		case "ENVID":
			if s.EnvID = value; !isXtext(value) || len(value) > 100 {
				return badParam("ENVID", "xtext of at most 100 characters")
			}
		default:
			return unknownParam(key)
		}
		return nil
	})
	if err == nil && !s.UTF8 && !isASCII(path) {
		err = needUTF8()
	}
	return s, err
}

// ParseRecipient reads the arguments of RCPT; utf8 is whether MAIL asked for
// SMTPUTF8. <Postmaster> gives an address without domain. The error is a *Reply.
func ParseRecipient(args string, utf8 bool) (Recipient, error) {
	var r Recipient
	path, params, err := cutPath(args, "TO:", "5.1.3")
	if err != nil {
		return r, err
	}
	if r.Address, r.Original, err = parseForward(path); err != nil {
		return r, err
	}
	err = eachParam(params, func(key, value string) *Reply {
		switch key {
		case "NOTIFY":
			if r.Notify = strings.ToUpper(value); !isNotify(r.Notify) {
				return badParam("NOTIFY", "NEVER or a list of SUCCESS, FAILURE, DELAY")
			}
		case "ORCPT":
			kind, address, ok := strings.Cut(value, ";")
			if r.ORcpt = value; !ok || kind == "" || address == "" || len(value) > 500 {
				return badParam("ORCPT", "type;address")
			}
		default:
			return unknownParam(key)
		}
		return nil
	})
	if err == nil && !utf8 && !isASCII(path) {
		err = needUTF8()
	}
	return r, err
}

// cutPath splits "FROM:<path> params" into path, without brackets, and
// parameters. Spaces before the path are no RFC 5321 but common, and harmless.
func cutPath(args, prefix, enhanced string) (path, params string, err error) {
	if len(args) < len(prefix) || !strings.EqualFold(args[:len(prefix)], prefix) {
		return "", "", NewReply(501, "5.5.4", "want %s<address>", prefix)
	}
	rest := strings.TrimLeft(args[len(prefix):], " \t")
	end := pathEnd(rest)
	if end < 0 {
		return "", "", NewReply(501, enhanced, "want the address in angle brackets")
	}
	params = rest[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", NewReply(501, "5.5.4", "want a space before the parameters")
	}
	return rest[1:end], params, nil
}

// pathEnd is the index of the bracket that closes a path, -1 if there is none. A quoted local part may hold one.
func pathEnd(s string) int {
	if s == "" || s[0] != '<' {
		return -1
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// eachParam hands each esmtp-param (RFC 5321 §4.1.2) to take, the keyword in capitals. A keyword comes once.
func eachParam(params string, take func(key, value string) *Reply) error {
	var seen []string
	for word := range strings.FieldsSeq(params) {
		key, value, given := strings.Cut(word, "=")
		key = strings.ToUpper(key)
		if key == "" || strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" || given && value == "" {
			return NewReply(501, "5.5.4", "parameters are KEYWORD or KEYWORD=value")
		}
		if slices.Contains(seen, key) {
			return NewReply(501, "5.5.4", "parameter %s is given twice", key)
		}
		seen = append(seen, key)
		if r := take(key, value); r != nil {
			return r
		}
	}
	return nil
}

func badParam(key, want string) *Reply {
	return NewReply(501, "5.5.4", "parameter %s wants %s", key, want)
}

func unknownParam(key string) *Reply {
	return NewReply(555, "5.5.4", "parameter %s is not known", key)
}

func needUTF8() error {
	return NewReply(553, "5.6.7", "address is not ASCII: ask for SMTPUTF8 with MAIL") // RFC 6531 §3.5
}

// isXtext checks the encoding of RFC 3461 §4 ("+2B" for "+").
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !isUpperHex(s[i+1]) || !isUpperHex(s[i+2]) {
				return false
			}
			i += 2
		case c < '!' || c > '~' || c == '=':
			return false
		}
	}
	return true
}

func isUpperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// isNotify checks RFC 3461 §4.1: NEVER stands alone.
func isNotify(s string) bool {
	if s == "NEVER" {
		return true
	}
	for word := range strings.SplitSeq(s, ",") {
		if word != "SUCCESS" && word != "FAILURE" && word != "DELAY" {
			return false
		}
	}
	return true
}
