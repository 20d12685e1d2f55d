// Package smtp holds the words and the codec of SMTP that the door (smtpd) and the client side share.
//
//   - RFC 5321 commands, paths, replies, transparency (dots)
//   - RFC 1870 SIZE, RFC 6152 8BITMIME, RFC 6531 SMTPUTF8, RFC 2920 PIPELINING
//   - RFC 2034 and RFC 3463 enhanced status codes, RFC 3030 CHUNKING (BDAT, without BINARYMIME)
//   - RFC 3207 STARTTLS, RFC 4954 AUTH (PLAIN of RFC 4616, and LOGIN)
//   - RFC 3461 parameters of MAIL and RCPT (read and passed on)
//
// A line ends in CR LF and in nothing else. A lone CR, a lone LF or a NUL is an
// error of type LineFault and never a line end: two servers that disagree on
// where a message ends are how mail is smuggled ("SMTP smuggling", 2023).
package smtp

// Limits of lines, in bytes without the final CR LF.
const (
	// MaxCommandLine is RFC 5321's 512 with room for all that extensions add to
	// MAIL and RCPT (SIZE 26, BODY 17, SMTPUTF8 10, AUTH 500, DSN 500 each).
	MaxCommandLine = 2048
	// MaxAuthLine is the bound of RFC 4954 §4 for AUTH and its base64 answers.
	MaxAuthLine = 12288
	// MaxReplyLine bounds a reply line of a server that we are a client of. RFC
	// 5321 §4.5.3.1.5 says 512; servers with much to say exceed it.
	MaxReplyLine = 4096
)

// LineFault is a byte that has no place in a command or in a message: whoever
// sent it may mean another line end than we do. What follows it on the
// connection must not be read as commands.
type LineFault string

// The line faults.
const (
	BareCR LineFault = "bare CR"
	BareLF LineFault = "bare LF"
	NUL    LineFault = "NUL byte"
)

// Error names the fault.
func (f LineFault) Error() string { return string(f) }
