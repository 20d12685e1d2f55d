package judge

import (
	"context"
	"strings"

	moxdns "github.com/mjl-/mox/dns"
	"github.com/mjl-/mox/smtp"
	"github.com/mjl-/mox/spf"

	"relais/internal/mail"
)

// SPF is the result of one SPF check. The zero value is a check that did not apply.
type SPF struct {
	Status string `json:"status,omitempty"` // pass, fail, softfail, neutral, none, temperror, permerror
	Domain string `json:"domain,omitempty"` // A-labels
	Reason string `json:"reason,omitempty"` // the mechanism that decided, or what went wrong
}

// spfSender checks MAIL FROM; nothing to check for the null sender.
func (j *Judge) spfSender(ctx context.Context, m Message) SPF {
	if m.From.IsNull() || strings.HasPrefix(m.From.Domain, "[") {
		return SPF{}
	}
	d, err := moxdns.ParseDomainLax(m.From.Domain)
	if err != nil {
		return SPF{Status: string(spf.StatusPermerror), Reason: "not a domain name"}
	}
	return j.spf(ctx, m, spf.Args{MailFromLocalpart: smtp.Localpart(m.From.Local), MailFromDomain: d}, d)
}

// spfHelo checks the name given with HELO (RFC 7208 §2.3); nothing to check for an address literal.
func (j *Judge) spfHelo(ctx context.Context, m Message) SPF {
	d, ok := heloDomain(m.Helo)
	if !ok {
		return SPF{}
	}
	return j.spf(ctx, m, spf.Args{}, d)
}

func (j *Judge) spf(ctx context.Context, m Message, args spf.Args, domain moxdns.Domain) SPF {
	args.RemoteIP = netIP(m.Peer)
	args.LocalHostname = j.hostname
	if d, ok := heloDomain(m.Helo); ok {
		args.HelloDomain = moxdns.IPDomain{Domain: d}
	}
	received, _, _, _, err := spf.Verify(ctx, j.quiet, j.config.Resolver, args)
	out := SPF{Status: string(received.Result), Domain: domain.ASCII, Reason: received.Mechanism}
	if err != nil && out.Status != string(spf.StatusNone) {
		out.Reason = err.Error()
	}
	return out
}

// heloDomain reads a HELO name that can have an SPF record: not an address
// literal, not a single label.
func heloDomain(helo string) (moxdns.Domain, bool) {
	if strings.HasPrefix(helo, "[") || !strings.Contains(strings.Trim(helo, "."), ".") {
		return moxdns.Domain{}, false
	}
	name, err := mail.Domain(helo)
	if err != nil {
		return moxdns.Domain{}, false
	}
	d, err := moxdns.ParseDomainLax(name)
	return d, err == nil
}
