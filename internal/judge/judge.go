// Package judge runs the sender checks on a message and returns one verdict with its reasons.
//
// SPF (RFC 7208) and DMARC (RFC 7489) by mox's packages, DKIM by internal/dkim,
// the result as an Authentication-Results field (RFC 8601). The checks run side
// by side under one deadline. It decides nothing on a forged sender of
// elsewhere: it says what it found, and only mail that claims to come from an
// own domain can be refused, where that domain's policy says so.
package judge

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	moxdns "github.com/mjl-/mox/dns"

	"relais/internal/clock"
	"relais/internal/dkim"
	"relais/internal/mail"
)

// OwnMail is what the policy of a domain says on unauthenticated mail that claims to come from it.
type OwnMail string

// The policies. NotOwn is a domain of somebody else.
const (
	NotOwn    OwnMail = ""
	MarkOwn   OwnMail = "mark"
	RefuseOwn OwnMail = "refuse"
)

// Domains knows which domains are own ones. The record fills it.
type Domains interface {
	// OwnMail is the policy of a domain (U-labels, lower case). An error counts as NotOwn and is logged.
	OwnMail(ctx context.Context, domain string) (OwnMail, error)
}

// Config is what a Judge works with. Hostname and Resolver are required.
type Config struct {
	Hostname string          // the authserv-id of the results, and who we are in SPF macros
	Resolver moxdns.Resolver // internal/dns's
	Domains  Domains         // nil: no domain is own
	Deadline time.Duration   // of all checks together; 5 s
	// Exempt are the networks whose mail is not judged, because it comes from our
	// own machines; loopback when nil.
	Exempt []netip.Prefix
	Clock  clock.Clock
	Log    *slog.Logger
}

// Judge judges messages. Safe for concurrent use.
type Judge struct {
	config   Config
	hostname moxdns.Domain
	verifier *dkim.Verifier
	own      ownCache
	quiet    *slog.Logger // for mox's packages: what they log per message is in the verdict
}

// New makes a judge.
func New(config Config) *Judge {
	if config.Deadline <= 0 {
		config.Deadline = 5 * time.Second
	}
	if config.Exempt == nil {
		config.Exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if config.Clock == nil {
		config.Clock = clock.System{}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	hostname, err := moxdns.ParseDomain(config.Hostname)
	if err != nil {
		hostname = moxdns.Domain{ASCII: config.Hostname}
	}
	return &Judge{
		config: config, hostname: hostname,
		verifier: dkim.NewVerifier(config.Resolver), quiet: slog.New(slog.DiscardHandler),
	}
}

// Message is what is judged.
type Message struct {
	Peer netip.Addr
	Helo string
	From mail.Address // MAIL FROM; the zero value is <>
	Body []byte       // with CR LF line ends, as it came
}

// Judge runs the checks. It never fails: what cannot be checked is a "temperror"
// in the verdict. It takes at most the deadline, and no time when DNS is known
// to be unreachable.
func (j *Judge) Judge(ctx context.Context, m Message) *Verdict {
	v := &Verdict{Hostname: j.config.Hostname}
	if j.exempt(m.Peer) {
		v.Exempt = true
		return v
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, j.config.Deadline)
	defer cancel()
	author, several := authorDomain(m.Body)
	v.From = author.ASCII
	v.mark(SeveralAuthors, several)
	v.mark(NoAuthor, author.IsZero())

	helo := run(func() SPF { return j.spfHelo(ctx, m) })
	sender := run(func() SPF { return j.spfSender(ctx, m) })
	policy := run(func() struct{} { j.prefetch(ctx, author); return struct{}{} })
	v.DKIM = j.verifier.Verify(ctx, m.Body, j.config.Clock.Now())
	v.Helo, v.Sender = <-helo, <-sender
	<-policy
	v.DMARC = j.dmarc(ctx, author, v)
	j.claims(ctx, author, m.From, v)
	v.Took = time.Since(start)
	return v
}

// run starts f and gives its result when it is there.
func run[T any](f func() T) <-chan T {
	out := make(chan T, 1)
	go func() { out <- f() }()
	return out
}

func (j *Judge) exempt(peer netip.Addr) bool {
	peer = peer.Unmap()
	for _, p := range j.config.Exempt {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

func netIP(a netip.Addr) net.IP { return a.Unmap().AsSlice() }
