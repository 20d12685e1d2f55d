// Package probe asks a primary whether it would do its work, one dialogue at a time.
//
// A probe says what it saw; what follows from it is for package continuity to
// decide. Every probe ends with its context, whatever the server does.
package probe

import (
	"context"
	"time"

	"relais/internal/directory"
	"relais/internal/mail"
)

// Kind is what a probe does.
type Kind string

// The kinds.
const (
	SMTP Kind = "smtp" // a dialogue up to RCPT
	IMAP Kind = "imap" // the master user's sign-in
	Trip Kind = "trip" // a marked message that must be readable in its mailbox
)

// Header marks probe messages: they stand outside every count, and are removed on both sides.
const Header = "Relais-Probe"

// Target is what is probed.
type Target struct {
	Domain  directory.Domain
	Primary directory.Primary
	People  []directory.Person // a few whom the primary should know
}

// Doubt is what a person should look at.
type Doubt string

// The doubts. Alone they never switch a domain.
const (
	NoDoubt     Doubt = ""
	Certificate Doubt = "certificate" // another key than the one that was trusted
	SignIn      Doubt = "sign-in"     // the server answers and refuses the sign-in
)

// Result is what one probe saw.
type Result struct {
	Kind  Kind
	Began time.Time
	Took  time.Duration
	OK    bool
	// Answers tells that the server does answer although the probe could not go
	// on, because of the doubt: neither a success nor a failure.
	Answers bool
	Doubt   Doubt
	Pin     string // with Certificate: the key's SHA-256 that was seen, hexadecimal
	Banner  string // what the server calls itself, without what changes from one greeting to the next
	Words   string // the server's last words, or why there are none
}

// Prober asks once. The caller fills Kind, Began and Took.
type Prober func(ctx context.Context, t Target) Result

// recipients are addresses that the primary should accept: the probe mailbox,
// else a few people, else the postmaster, whom every domain has (RFC 5321 §4.5.1).
func (t Target) recipients() []mail.Address {
	var out []mail.Address
	add := func(s string) {
		if a, err := mail.ParseAddress(s); err == nil && !a.IsNull() {
			out = append(out, a)
		}
	}
	add(t.Primary.ProbeAddress)
	for _, p := range t.People {
		add(p.Email)
	}
	if len(out) == 0 {
		out = append(out, mail.Address{Local: "postmaster", Domain: t.Domain.Name})
	}
	return out
}
