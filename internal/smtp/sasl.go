package smtp

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// Credentials are what PLAIN or LOGIN carried.
type Credentials struct {
	Authzid  string // who to act as; "" for the same
	Username string
	Password string
}

// maxCredential bounds each of the three (RFC 4616 §2 lets them hold 255 characters or so).
const maxCredential = 1024

// DecodeSASL reads one base64 answer of an AUTH exchange; "=" is the empty one
// (RFC 4954 §4). The error, a *Reply, is 501: not base64, or "*" which cancels.
func DecodeSASL(line []byte) ([]byte, error) {
	switch string(line) {
	case "*":
		return nil, NewReply(501, "5.7.0", "sign-in cancelled")
	case "=":
		return nil, nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(out, line)
	if err != nil {
		return nil, NewReply(501, "5.5.2", "answer is not base64")
	}
	return out[:n], nil
}

// ParsePlain reads the message of PLAIN: authzid NUL authcid NUL passwd (RFC 4616 §2). The error is a *Reply.
func ParsePlain(message []byte) (Credentials, error) {
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 {
		return Credentials{}, badCredentials()
	}
	c := Credentials{string(parts[0]), string(parts[1]), string(parts[2])}
	return c, c.check()
}

// ParseLogin joins the two answers of LOGIN (draft-murchison-sasl-login). The error is a *Reply.
func ParseLogin(username, password []byte) (Credentials, error) {
	c := Credentials{Username: string(username), Password: string(password)}
	return c, c.check()
}

func (c Credentials) check() error {
	if c.Username == "" || c.Password == "" {
		return badCredentials()
	}
	for _, s := range []string{c.Authzid, c.Username, c.Password} {
		if len(s) > maxCredential || !utf8.ValidString(s) || bytes.IndexByte([]byte(s), 0) >= 0 {
			return badCredentials()
		}
	}
	return nil
}

func badCredentials() error {
	return NewReply(501, "5.5.2", "want user name and password as the mechanism says")
}
