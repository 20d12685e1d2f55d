package mime

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"relais/internal/mail"
)

// Fingerprint knows a message again after a server rewrote its header or its
// transfer encodings (docs/formats/fingerprint.md). Equal Content means the same
// message; the Message-ID alone means nothing, since lists and attackers reuse it.
type Fingerprint struct {
	Raw       mail.Hash // of the bytes
	Content   [32]byte  // of Message-ID, date, sender and the parts
	MessageID string    // with angle brackets; "" if there is none
	Date      time.Time // of the Date field, UTC, whole seconds; zero if there is none
	From      string    // the author's address, lower case
	Parts     [][32]byte
}

// fingerprintVersion is hashed first: a change of the rules makes other prints.
const fingerprintVersion = "relais fingerprint 1\n"

// FingerprintOf reads the fingerprint of a message.
func FingerprintOf(raw []byte) Fingerprint { return fingerprint(raw, Parse(raw)) }

func fingerprint(raw []byte, root *Part) Fingerprint {
	f := Fingerprint{Raw: mail.Sum(raw), MessageID: root.Envelope.ID(), From: root.Envelope.Author()}
	if t, ok := ParseDate(root.Envelope.Date.Text); ok {
		f.Date = t.UTC()
	}
	root.Walk(func(p *Part) {
		if p.Kind == Leaf {
			f.Parts = append(f.Parts, p.print(raw))
		}
	})
	h := sha256.New()
	h.Write([]byte(fingerprintVersion))
	for _, s := range []string{f.MessageID, f.From} {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	var unix int64
	if !f.Date.IsZero() {
		unix = f.Date.Unix()
	}
	h.Write(binary.AppendVarint(nil, unix))
	for _, p := range f.Parts {
		h.Write(p[:])
	}
	h.Sum(f.Content[:0])
	return f
}

// print hashes a leaf: transfer encoding removed, texts in UTF-8, lines ended by
// LF without white space before it, no empty lines at the end.
func (p *Part) print(raw []byte) (sum [32]byte) {
	b, ok := p.Text(raw)
	if !ok {
		b, _ = p.Decoded(raw)
	}
	h := sha256.New()
	var gap []byte // line breaks not yet written: dropped at the end
	for len(b) > 0 {
		line, rest, found := bytes.Cut(b, lf)
		trimmed := bytes.TrimRight(line, " \t\r")
		if len(trimmed) > 0 {
			h.Write(gap)
			h.Write(trimmed)
			gap = gap[:0]
		}
		if found {
			gap = append(gap, '\n')
		}
		b = rest
	}
	h.Sum(sum[:0])
	return sum
}

// Facts is all that filing a message needs to know of it, read in one go.
type Facts struct {
	Root        *Part
	Summary     Summary
	Fingerprint Fingerprint
	MessageIDs  []string // Message-ID, In-Reply-To and References, for threading
}

// Examine reads the facts of a message.
func Examine(raw []byte) Facts {
	root := Parse(raw)
	f := Facts{Root: root, Summary: summarize(root), Fingerprint: fingerprint(raw, root)}
	var ids strings.Builder
	ids.WriteString(f.Fingerprint.MessageID)
	ids.WriteString(root.Envelope.InReplyTo.Text)
	if r, ok := First(raw[:root.Body], "References"); ok {
		ids.WriteString(r.Value())
	}
	f.MessageIDs = MessageIDs(ids.String())
	return f
}
