// Package intake takes mail in: it decides who a message is for, notes the way it came and files it with everything that is owed.
//
//	RCPT  → Target            person, group, elsewhere, or an address that only the primary knows
//	DATA  → loops cut, judged, trace in front → one record.Filing per organisation
//
// What is filed together: body, placements of everybody who receives it here, a
// duty per recipient address towards the primary, the queue for elsewhere and the
// sent copy. The caller says 250 once that is durable.
package intake

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"relais/internal/clock"
	"relais/internal/directory"
	"relais/internal/judge"
	"relais/internal/mail"
	"relais/internal/record"
)

// Primaries asks a domain's primary about addresses that nobody here has.
type Primaries interface {
	// AskRecipient gives the primary's answer to RCPT: nil when it takes the
	// address, its *smtp.Reply when it does not, fault.Unavailable when it does
	// not answer.
	AskRecipient(ctx context.Context, domain mail.DomainID, from, rcpt mail.Address) error
}

// States tells how the primaries are.
type States interface {
	// Away is since when the domain's primary can't be asked, because it fails or
	// Relais has taken over; zero while it is in charge.
	Away(ctx context.Context, domain mail.DomainID) (since time.Time, err error)
}

// Signer signs what leaves in the name of a domain.
type Signer interface {
	// Sign returns the fields to put before msg; nothing for a domain without keys.
	Sign(ctx context.Context, domain string, msg []byte) ([]byte, error)
}

// Judge runs the sender checks.
type Judge interface {
	Judge(ctx context.Context, m judge.Message) *judge.Verdict
	// Disarm takes results off that only we may write.
	Disarm(msg []byte) []byte
}

// Config is what an Intake works with. All but Clock and Log are required.
type Config struct {
	Hostname    string
	Store       *record.Store
	States      States
	Primaries   Primaries
	Judge       Judge
	Signer      Signer
	GiveUpAfter time.Duration // of mail for elsewhere
	Clock       clock.Clock
	Log         *slog.Logger
}

// Intake takes mail in. Safe for concurrent use.
type Intake struct {
	Config
	answers *answers
}

// New makes an intake.
func New(c Config) *Intake {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Intake{Config: c, answers: newAnswers(c.Clock)}
}

// Envelope is how a message was handed over.
type Envelope struct {
	Peer     netip.Addr
	Helo     string
	Protocol string            // for the Received line, RFC 3848
	Sender   *directory.Person // who signed in; nil on MX
	From     mail.Address      // MAIL FROM; the zero value is <>
	SMTPUTF8 bool
	EightBit bool
	Ret      string // RFC 3461 §4.3
	EnvID    string // RFC 3461 §4.4
}

// Target is a recipient that was accepted.
type Target struct {
	Address mail.Address
	Notify  string // RFC 3461 §4.1
	ORcpt   string // RFC 3461 §4.2
	// Resolution is who receives it. Of Kind Unknown it is an address that the
	// primary takes and nobody here has.
	directory.Resolution
}
