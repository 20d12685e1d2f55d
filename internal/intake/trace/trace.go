// Package trace writes Relais's own Received line and reads it back from messages that return: how a message is known again after a relay.
package trace

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"relais/internal/mime"
)

// ProbeHeader is the field that marks Relais's own probe messages. They are
// outside every count.
const ProbeHeader = "Relais-Probe"

// MaxHops is how many Received lines a message may carry. RFC 5321 §6.3 advises
// more for relays that know no other sign of a loop; a message that comes back
// to us is found by its id.
const MaxHops = 50

// product stands in the line so that it is known again whatever the node is called.
const product = "(Relais)"

// idLength is how many characters an intake id has: 48 bits of milliseconds and
// 80 bits of chance, in an alphabet whose order is that of the numbers.
const idLength = 26

var idAlphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewID makes an intake id. Ids sort by time; two of one millisecond by chance.
func NewID(now time.Time) string {
	var raw [8 + 10]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli()))
	rand.Read(raw[8:]) // never fails (crypto/rand)
	return idAlphabet.EncodeToString(raw[2:])
}

// isID tells whether s has the form of an intake id.
func isID(s string) bool {
	if len(s) != idLength {
		return false
	}
	_, err := idAlphabet.DecodeString(s)
	return err == nil
}

// Line is what the Received line of this node says.
type Line struct {
	Helo     string
	Peer     netip.Addr // the zero value leaves it out: a person's address is nobody else's business
	By       string     // this node
	Protocol string     // RFC 3848 and RFC 6531 §4.3: "ESMTPS"
	ID       string
	At       time.Time
}

// Received is the trace field (RFC 5321 §4.4) with its final CR LF. It has no FOR
// clause: the stored body is one for all its recipients.
func (l *Line) Received() []byte {
	b := make([]byte, 0, 256)
	b = append(b, "Received: from "...)
	b = append(b, word(l.Helo)...)
	if l.Peer.IsValid() {
		b = append(b, " ("...)
		b = append(b, literal(l.Peer)...)
		b = append(b, ')')
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, word(l.By)...)
	b = append(b, ' ')
	b = append(b, product...)
	b = append(b, " with "...)
	b = append(b, word(l.Protocol)...)
	b = append(b, "\r\n\tid "...)
	b = append(b, l.ID...)
	b = append(b, ";\r\n\t"...)
	b = l.At.AppendFormat(b, time.RFC1123Z)
	return append(b, '\r', '\n')
}

// word keeps a client's HELO argument from ending the clause it stands in.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>;,\\\"", r) {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "unknown"
	}
	return s
}

// literal is "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
func literal(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.WithZone("").String() + "]"
}

// Trace is what a message's header tells of its way.
type Trace struct {
	Hops int      // Received lines
	IDs  []string // intake ids in lines of Relais nodes, the latest first
}

// Read reads the Received lines of a message (or of its header alone).
func Read(message []byte) Trace {
	var t Trace
	for f := range mime.Fields(mime.Header(message)) {
		if !f.Is("Received") {
			continue
		}
		t.Hops++
		if id, ok := idOf(f.Value()); ok {
			t.IDs = append(t.IDs, id)
		}
	}
	return t
}

// IntakeIDs lists the intake ids in a message's Received lines, the latest first.
func IntakeIDs(message []byte) []string { return Read(message).IDs }

// IsProbe tells whether the message is a probe of Relais's.
func IsProbe(message []byte) bool {
	_, ok := mime.First(mime.Header(message), ProbeHeader)
	return ok
}

// idOf finds our id in the value of a Received line.
func idOf(value string) (string, bool) {
	_, rest, ours := strings.Cut(value, product)
	if !ours {
		return "", false
	}
	words := strings.Fields(rest)
	for i := 0; i+1 < len(words); i++ {
		if id := strings.TrimSuffix(words[i+1], ";"); words[i] == "id" && isID(id) {
			return id, true
		}
	}
	return "", false
}
