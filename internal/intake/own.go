package intake

import (
	"bytes"
	"strings"
	"time"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mime"
)

// identities are the addresses that a person may send as.
type identities struct {
	own   map[string]bool // mail.Address.Key
	first string          // the primary address
}

func newIdentities(addresses []string) identities {
	ids := identities{own: make(map[string]bool, len(addresses))}
	for i, a := range addresses {
		if i == 0 {
			ids.first = a
		}
		ids.own[strings.ToLower(a)] = true
	}
	return ids
}

// has tells whether the address, or what it is without its plus-detail, is hers.
func (ids identities) has(a mail.Address) bool {
	return ids.own[a.Key()] || ids.own[a.Base().Key()]
}

// hasSpec is has for an address as a header spells it.
func (ids identities) hasSpec(spec string) bool {
	a, err := mail.ParseAddress(spec)
	return err == nil && !a.IsNull() && ids.has(a)
}

// prepareOwn makes a submitted message ready to go out (RFC 6409 §8): Bcc is
// taken off, Date, Message-ID and From are added where they are missing. A From or Sender that is not the person's own is fault.Denied.
func prepareOwn(raw []byte, ids identities, id, hostname string, now time.Time) ([]byte, error) {
	header := mime.Header(raw)
	out := make([]byte, 0, len(raw)+256)
	var from, date, messageID int
	for f := range mime.Fields(header) {
		switch {
		case f.Is("Bcc"), f.Is("Resent-Bcc"), f.Is("Return-Path"):
			continue
		case f.Is("From"):
			from++
			if err := onlyOwn(f, ids); err != nil {
				return nil, err
			}
		case f.Is("Sender"):
			if err := onlyOwn(f, ids); err != nil {
				return nil, err
			}
		case f.Is("Date"):
			date++
		case f.Is("Message-ID"):
			messageID++
		}
		out = append(out, f.Raw...)
		if !bytes.HasSuffix(f.Raw, []byte("\n")) {
			out = append(out, '\r', '\n') // a header that ends with the message
		}
	}
	// Two From fields are read differently by different programs: an own one for
	// the check, a stranger's for the reader (RFC 5322 §3.6 allows one).
	if from > 1 {
		return nil, fault.New(fault.Denied, "more than one From field")
	}
	if from == 0 {
		out = append(out, "From: <"+ids.first+">\r\n"...)
	}
	if date == 0 {
		out = append(out, "Date: "+now.Format(time.RFC1123Z)+"\r\n"...)
	}
	if messageID == 0 {
		out = append(out, "Message-ID: <"+strings.ToLower(id)+"@"+hostname+">\r\n"...)
	}
	out = append(out, '\r', '\n')
	return append(out, raw[len(header):]...), nil
}

// onlyOwn refuses an address field with an address that is not the person's.
func onlyOwn(f mime.Field, ids identities) error {
	any := false
	for _, a := range mime.ParseAddresses(f.Value()) {
		if !a.IsMailbox() {
			continue
		}
		any = true
		if !ids.hasSpec(a.Spec()) {
			return fault.New(fault.Denied, "%s: not an address of yours", f.Name)
		}
	}
	if !any {
		return fault.New(fault.Denied, "%s: no address", f.Name)
	}
	return nil
}
