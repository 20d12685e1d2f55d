package smtp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxReplyText bounds one line of a reply's text, so that with code, enhanced
// code and CR LF it stays within 512 bytes (RFC 5321 §4.5.3.1.5).
const maxReplyText = 490

// Reply is an SMTP reply: RFC 5321 §4.2. A backend returns one as error to have
// it said verbatim.
type Reply struct {
	Code     int      // 200 … 599
	Enhanced string   // RFC 3463, such as "5.1.1"; "" for none
	Lines    []string // the text, one entry per line
}

// NewReply makes a reply of one line. enhanced may be "".
func NewReply(code int, enhanced, format string, args ...any) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Lines: []string{fmt.Sprintf(format, args...)}}
}

// Error is the reply in one line: "550 5.1.1 no such user".
func (r *Reply) Error() string {
	s := strconv.Itoa(r.Code)
	if r.Enhanced != "" {
		s += " " + r.Enhanced
	}
	return s + " " + strings.Join(r.Lines, " / ")
}

// Positive tells whether the reply accepts (2yz) or asks for more (3yz).
func (r *Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Temporary tells whether trying again later can help (4yz).
func (r *Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// Append adds the reply's lines as they go over the wire to dst. What would
// break a line or does not print is replaced by "?".
func (r *Reply) Append(dst []byte) []byte {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, text := range lines {
		for first := true; first || text != ""; first = false {
			piece := text
			if len(piece) > maxReplyText {
				piece = piece[:maxReplyText]
				for !utf8.RuneStart(text[len(piece)]) && len(piece) > maxReplyText-utf8.UTFMax {
					piece = piece[:len(piece)-1]
				}
			}
			text = text[len(piece):]
			dst = strconv.AppendInt(dst, int64(r.Code), 10)
			if i == len(lines)-1 && text == "" {
				dst = append(dst, ' ')
			} else {
				dst = append(dst, '-')
			}
			if r.Enhanced != "" {
				dst = append(append(dst, r.Enhanced...), ' ')
			}
			dst = append(appendPrintable(dst, piece), '\r', '\n')
		}
	}
	return dst
}

// appendPrintable keeps UTF-8 (RFC 6531 §3.7.4 lets replies hold it where the
// client asked for it; elsewhere texts are ASCII already).
func appendPrintable(dst []byte, s string) []byte {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			r = '?'
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// ReadReply reads a reply of a server, of at most 100 lines. The enhanced code
// is taken out of the text where the first line has one that suits the code.
func ReadReply(r *Reader) (*Reply, error) {
	var reply Reply
	for range 100 {
		b, err := r.ReadLine(MaxReplyLine)
		if err != nil {
			return nil, fmt.Errorf("read reply: %w", err)
		}
		line := string(b)
		code, more, ok := replyCode(line)
		if !ok || reply.Code != 0 && code != reply.Code {
			return nil, fmt.Errorf("read reply: %q is none", line)
		}
		text := line[min(4, len(line)):]
		if reply.Code == 0 {
			reply.Code, reply.Enhanced = code, enhancedOf(code, text)
		}
		if reply.Enhanced != "" {
			text = strings.TrimPrefix(strings.TrimPrefix(text, reply.Enhanced), " ")
		}
		reply.Lines = append(reply.Lines, text)
		if !more {
			return &reply, nil
		}
	}
	return nil, fmt.Errorf("read reply: more than 100 lines")
}

// replyCode reads "250-", "250 " or "250" at the start of a line.
func replyCode(line string) (code int, more, ok bool) {
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false, false
	}
	for _, d := range []byte(line[:3]) {
		if d < '0' || d > '9' {
			return 0, false, false
		}
		code = code*10 + int(d-'0')
	}
	return code, len(line) > 3 && line[3] == '-', code >= 200 && code < 600
}

// enhancedOf finds "class.subject.detail" at the start of text (RFC 2034 §4):
// its class is the first digit of the code.
func enhancedOf(code int, text string) string {
	word, _, _ := strings.Cut(text, " ")
	class, rest, _ := strings.Cut(word, ".")
	subject, detail, ok := strings.Cut(rest, ".")
	if !ok || class != strconv.Itoa(code/100) || !isNumber(subject) || !isNumber(detail) {
		return ""
	}
	return word
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
