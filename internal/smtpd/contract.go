package smtpd

import (
	"context"
	"crypto/tls"
	"net/netip"

	"relais/internal/mail"
)

// Session is what the handler made of a sign-in, handed back to it untouched. nil on MX and before a sign-in.
type Session any

// Peer is who is on the other side of a connection. The server makes a new one
// when something changes, so a handler may keep it.
type Peer struct {
	Addr     netip.AddrPort       // unmapped; the zero value if not over TCP
	Helo     string               // the argument of EHLO or HELO, printable, at most 255 bytes
	ESMTP    bool                 // greeted with EHLO
	TLS      *tls.ConnectionState // nil for plaintext
	Username string               // as it signed in; "" if it did not
	Session  Session
}

// Recipient is one RCPT TO that was accepted, or is asked about.
type Recipient struct {
	Address  mail.Address
	Original string // the mailbox as written
	Notify   string // RFC 3461 §4.1, in capitals; "" if not said
	ORcpt    string // RFC 3461 §4.2, as written; "" if not said
}

// Transaction is the envelope of one message.
type Transaction struct {
	Peer       *Peer
	MailFrom   mail.Address // the zero value is <>
	Recipients []Recipient  // those accepted so far, in order
	SMTPUTF8   bool
	Body8Bit   bool   // BODY=8BITMIME was said
	Size       int64  // declared by SIZE, in bytes; 0 if not
	Ret, EnvID string // RFC 3461 §4.3 and §4.4; "" if not said

	// Note is the handler's own, to remember between the calls of one transaction.
	Note any
}

// Protocol is the word for the Received field's WITH clause (RFC 3848, RFC 6531 §4.3).
func (t *Transaction) Protocol() string {
	if !t.Peer.ESMTP {
		return "SMTP"
	}
	word := "ESMTP"
	if t.SMTPUTF8 {
		word = "UTF8SMTP"
	}
	if t.Peer.TLS != nil {
		word += "S"
	}
	if t.Peer.Session != nil {
		word += "A"
	}
	return word
}

// Handler decides about mail and takes it in. Its methods are called for many
// connections at once, for one connection one after the other. They honour ctx.
//
// An error becomes a reply by smtp.ReplyFor: a *smtp.Reply is said verbatim (one
// of class 2 accepts in the handler's own words), a fault by its code.
type Handler interface {
	// Authenticate checks a sign-in: submission only. authzid is "" or whom to act
	// as. Without error the session is not nil. A temporary error is no failed try.
	Authenticate(ctx context.Context, peer *Peer, authzid, username, password string) (Session, error)
	// Sender is asked at MAIL FROM; the transaction has no recipients yet.
	Sender(ctx context.Context, t *Transaction) error
	// Recipient is asked at RCPT TO; on nil the server adds r to the transaction.
	Recipient(ctx context.Context, t *Transaction, r Recipient) error
	// Deliver is called once with the whole message as the client meant it: dots
	// unstuffed, every line ended by CR LF (by BDAT the last may lack it), no NUL.
	// 250 is said only when it returns nil. body belongs to the handler from then on.
	Deliver(ctx context.Context, t *Transaction, body []byte) error
}
