package smtp

import (
	"strconv"
	"strings"
)

// Verb is the name of a command, in capitals.
type Verb string

// The verbs that are known (RFC 5321 §4.1.1, RFC 3030, RFC 3207, RFC 4954).
const (
	Helo     Verb = "HELO"
	Ehlo     Verb = "EHLO"
	Mail     Verb = "MAIL"
	Rcpt     Verb = "RCPT"
	Data     Verb = "DATA"
	Bdat     Verb = "BDAT"
	Rset     Verb = "RSET"
	Noop     Verb = "NOOP"
	Quit     Verb = "QUIT"
	Vrfy     Verb = "VRFY"
	Expn     Verb = "EXPN"
	Help     Verb = "HELP"
	StartTLS Verb = "STARTTLS"
	Auth     Verb = "AUTH"
)

var verbs = [...]Verb{Mail, Rcpt, Data, Ehlo, Quit, Bdat, Rset, StartTLS, Auth, Noop, Helo, Vrfy, Expn, Help}

// Command is a command line taken apart: the verb and what follows it.
type Command struct {
	Verb Verb
	Args string // without spaces before and after
}

// ParseCommand reads a line without its CR LF. The error is a *Reply: 500 for a
// line that is no command or none that we know.
func ParseCommand(line []byte) (Command, error) {
	word, args := line, ""
	for i, b := range line {
		if b == 0 {
			return Command{}, NewReply(500, "5.5.2", "NUL byte in a command")
		}
		if b == ' ' && len(word) == len(line) {
			word, args = line[:i], strings.Trim(string(line[i+1:]), " \t")
		}
	}
	for _, v := range verbs {
		if len(word) == len(v) && strings.EqualFold(string(word), string(v)) {
			if len(line) > MaxCommandLine && v != Auth {
				return Command{}, NewReply(500, "5.5.2", "line too long: at most %d bytes", MaxCommandLine)
			}
			return Command{v, args}, nil
		}
	}
	return Command{}, NewReply(500, "5.5.1", "unknown command")
}

// Chunk is the argument of BDAT: RFC 3030 §2.
type Chunk struct {
	Size int64
	Last bool
}

// ParseChunk reads "1000 LAST". After its error, a *Reply, the connection must
// be closed: the bytes that follow can't be told from commands.
func ParseChunk(args string) (Chunk, error) {
	size, last, more := strings.Cut(args, " ")
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil || more && !strings.EqualFold(strings.TrimSpace(last), "LAST") {
		return Chunk{}, NewReply(501, "5.5.4", "want BDAT size [LAST]")
	}
	return Chunk{Size: int64(n), Last: more}, nil
}
