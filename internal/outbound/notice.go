package outbound

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"time"

	"relais/internal/mail"
	"relais/internal/mime"
)

// Notice is a delivery status notification (RFC 3464) for the sender of a
// message, composed and ready to be filed.
type Notice struct {
	Tenant     mail.TenantID
	To         mail.Address // the sender of the message
	Account    mail.AccountID
	Person     mail.PersonID
	Fate       State // Failed, or Waiting for a delay
	Recipients []Reported
	At         time.Time
	Message    []byte // with CR LF line ends, 7 bits unless Bit8
	Bit8       bool
	MessageID  string // of the notice, without brackets
}

const (
	statusTime        = "2 Jan 2006 15:04:05 -0700" // without the day of the week: not every program reads it there
	maxReturnedHeader = 64 << 10                    // of the original, bytes
	maxReturned       = 256 << 10                   // of an original that is returned whole (RET=FULL)
)

// compose writes the notice: words for people in French and in English, the
// status for programs, and the original's header.
func (n *Notice) compose(hostname string, original []byte) {
	id := strings.ToLower(rand.Text())
	n.MessageID = id + "@" + hostname
	boundary := "notice-" + id
	to, _ := n.To.ASCII()
	if to == "" {
		to = n.To.String()
	}
	subject := "Message non remis / Undelivered mail"
	if n.Fate == Waiting {
		subject = "Message en attente / Delayed mail"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Relais <postmaster@%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n",
		hostname, to, subject, n.At.Format(time.RFC1123Z), n.MessageID)
	if f, ok := mime.First(mime.Header(original), "Message-ID"); ok {
		if ids := mime.MessageIDs(f.Value()); len(ids) > 0 {
			ref := strings.Trim(ids[0], "<>")
			fmt.Fprintf(&b, "In-Reply-To: <%s>\r\nReferences: <%s>\r\n", ref, ref)
		}
	}
	fmt.Fprintf(&b, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n\r\n", boundary)

	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	text := quotedprintable.NewWriter(&b)
	_, _ = text.Write([]byte(strings.ReplaceAll(n.text(hostname), "\n", "\r\n"))) // writes to memory never fail
	_ = text.Close()

	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n", boundary)
	n.status(&b, hostname)
	n.original(&b, boundary, original)
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	n.Message = b.Bytes()
	n.Bit8 = !isASCII(n.Message)
}

// status writes the part for programs (RFC 3464 §2): a block for the message, one per recipient.
func (n *Notice) status(b *bytes.Buffer, hostname string) {
	first := n.Recipients[0]
	fmt.Fprintf(b, "Reporting-MTA: dns; %s\r\nArrival-Date: %s\r\n", hostname, first.CreatedAt.Format(statusTime))
	if first.EnvID != "" {
		fmt.Fprintf(b, "Original-Envelope-Id: %s\r\n", oneLine(first.EnvID))
	}
	for _, r := range n.Recipients {
		b.WriteString("\r\n")
		if r.ORcpt != "" {
			fmt.Fprintf(b, "Original-Recipient: %s\r\n", oneLine(r.ORcpt))
		}
		fmt.Fprintf(b, "Final-Recipient: %s\r\nAction: %s\r\nStatus: %s\r\n", typed(r.To), n.action(), n.code(r))
		if r.Host != "" && r.Reply != nil {
			fmt.Fprintf(b, "Remote-MTA: dns; %s\r\n", oneLine(r.Host))
		}
		if r.Reply != nil {
			fmt.Fprintf(b, "Diagnostic-Code: smtp; %s\r\n", oneLine(r.Reply.Error()))
		} else if r.Words != "" {
			fmt.Fprintf(b, "Diagnostic-Code: x-relais; %s\r\n", oneLine(r.Words))
		}
		fmt.Fprintf(b, "Last-Attempt-Date: %s\r\n", n.At.Format(statusTime))
		if n.Fate == Waiting {
			fmt.Fprintf(b, "Will-Retry-Until: %s\r\n", r.ExpiresAt.Format(statusTime))
		}
	}
	b.WriteString("\r\n")
}

func (n *Notice) action() string {
	if n.Fate == Waiting {
		return "delayed"
	}
	return "failed"
}

// code is the status code of RFC 3463.
func (n *Notice) code(r Reported) string {
	switch {
	case n.Fate == Waiting:
		return "4.4.1" // RFC 3464 §2.3.4: 4.y.z while it is tried
	case r.Expired:
		return "4.4.7"
	case r.Reply != nil && r.Reply.Enhanced != "":
		return r.Reply.Enhanced
	}
	return "5.0.0"
}

// original returns the header of the message, or all of it where the sender
// asked for it and it is small (RFC 3461 §4.3).
func (n *Notice) original(b *bytes.Buffer, boundary string, original []byte) {
	if original == nil {
		return
	}
	kind, part := "text/rfc822-headers", mime.Header(original)
	if n.Recipients[0].Ret == "FULL" && n.Fate == Failed && len(original) <= maxReturned {
		kind, part = "message/rfc822", original
	} else if len(part) > maxReturnedHeader {
		part = part[:bytes.LastIndex(part[:maxReturnedHeader], []byte("\r\n"))+2]
	}
	encoding := "7bit"
	if !isASCII(part) {
		encoding = "8bit"
	}
	fmt.Fprintf(b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary, kind, encoding)
	b.Write(part)
	b.WriteString("\r\n")
}

// typed is an address with its type; one that is not ASCII in the form of RFC 6533 §3.
func typed(address string) string {
	if isASCII([]byte(address)) {
		return "rfc822; " + oneLine(address)
	}
	var b strings.Builder
	b.WriteString("utf-8; ")
	for _, c := range address {
		if c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=' {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, c)
		}
	}
	return b.String()
}

// oneLine keeps a stranger's words within their field, in ASCII, folded.
func oneLine(s string) string {
	var b strings.Builder
	column := 20
	for _, c := range s[:min(len(s), 1000)] {
		if c < ' ' || c > '~' {
			c = '?'
		}
		if column++; column > 70 && c == ' ' {
			b.WriteString("\r\n\t")
			column = 8
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
