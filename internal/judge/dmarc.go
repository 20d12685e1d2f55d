package judge

import (
	"context"

	moxdkim "github.com/mjl-/mox/dkim"
	"github.com/mjl-/mox/dmarc"
	moxdns "github.com/mjl-/mox/dns"
	"github.com/mjl-/mox/publicsuffix"
	"github.com/mjl-/mox/spf"

	"relais/internal/dkim"
	"relais/internal/mail"
	"relais/internal/mime"
)

// DMARC is the result for the domain of the From field.
type DMARC struct {
	Status string `json:"status"`           // pass, fail, none, temperror, permerror
	Policy string `json:"policy,omitempty"` // none, quarantine, reject: what the domain asks for on failure
	Domain string `json:"domain,omitempty"` // where the record was found: the domain or its organization
	Reason string `json:"reason,omitempty"`
}

// authorDomain is the domain of the From field's address; the first one when
// there are several (RFC 7489 §6.6.1 leaves it open), zero when there is none.
func authorDomain(body []byte) (d moxdns.Domain, several bool) {
	count := 0
	for f := range mime.Fields(mime.Header(body)) {
		if !f.Is("From") {
			continue
		}
		for _, a := range mime.ParseAddresses(f.Value()) {
			if !a.IsMailbox() {
				continue
			}
			address, err := mail.ParseAddress(a.Spec())
			if err != nil || address.IsNull() {
				continue
			}
			found, err := moxdns.ParseDomainLax(address.Domain)
			if err != nil {
				continue
			}
			if count++; count == 1 {
				d = found
			}
		}
	}
	return d, count > 1
}

// prefetch brings the DMARC record into the resolver's cache while SPF and DKIM
// are still at work.
func (j *Judge) prefetch(ctx context.Context, author moxdns.Domain) {
	if !author.IsZero() {
		_, _, _, _, _, _ = dmarc.Lookup(ctx, j.quiet, j.config.Resolver, author) // the evaluation meets its error again
	}
}

// dmarc evaluates the author's policy on the results in v. SPF counts for MAIL
// FROM, for HELO only with the null sender (RFC 7489 §3.1.2, §4.1).
func (j *Judge) dmarc(ctx context.Context, author moxdns.Domain, v *Verdict) DMARC {
	if author.IsZero() {
		return DMARC{Status: string(dmarc.StatusPermerror), Reason: "no author"}
	}
	var signatures []moxdkim.Result
	for _, r := range v.DKIM {
		status := moxdkim.Status(r.Status)
		if d, err := moxdns.ParseDomainLax(r.Domain); err == nil {
			signatures = append(signatures, moxdkim.Result{Status: status, Sig: &moxdkim.Sig{Domain: d}})
		}
	}
	identity := v.envelope()
	var sender *moxdns.Domain
	if d, err := moxdns.ParseDomainLax(identity.Domain); err == nil {
		sender = &d
	}
	_, result := dmarc.Verify(ctx, j.quiet, j.config.Resolver, author, signatures, spf.Status(identity.Status), sender, false)
	out := DMARC{Status: string(result.Status), Domain: result.Domain.ASCII}
	if result.Record == nil {
		if out.Domain = ""; out.Status != string(dmarc.StatusNone) && result.Err != nil {
			out.Reason = result.Err.Error()
		}
		return out
	}
	policy := result.Record.Policy
	if result.Domain != author && result.Record.SubdomainPolicy != dmarc.PolicyEmpty {
		policy = result.Record.SubdomainPolicy
	}
	out.Policy = string(policy)
	if out.Status == string(dmarc.StatusFail) {
		v.mark(DMARCReject, policy == dmarc.PolicyReject)
		v.mark(DMARCQuarantine, policy == dmarc.PolicyQuarantine)
	}
	return out
}

// aligned tells whether some check authenticates the organization of author,
// whatever it publishes.
func (j *Judge) aligned(ctx context.Context, author moxdns.Domain, v *Verdict) bool {
	organization := publicsuffix.Lookup(ctx, j.quiet, author)
	same := func(domain string) bool {
		d, err := moxdns.ParseDomainLax(domain)
		return err == nil && publicsuffix.Lookup(ctx, j.quiet, d) == organization
	}
	if identity := v.envelope(); identity.Status == string(spf.StatusPass) && same(identity.Domain) {
		return true
	}
	for _, r := range v.DKIM {
		if r.Status == dkim.Pass && same(r.Domain) {
			return true
		}
	}
	return false
}

// claims marks mail that says it comes from an own domain and cannot show it,
// and refuses it where the domain's policy says so. A check that failed for the
// moment (DNS) is no ground to refuse.
func (j *Judge) claims(ctx context.Context, author moxdns.Domain, sender mail.Address, v *Verdict) {
	names := []string{author.Name()}
	if sender.Domain != names[0] {
		names = append(names, sender.Domain)
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		policy, err := j.ownMail(ctx, name)
		if err != nil {
			j.config.Log.Warn("own domains cannot be read", "domain", name, "err", err)
			continue
		}
		claimed, err := moxdns.ParseDomainLax(name)
		if policy == NotOwn || err != nil || j.aligned(ctx, claimed, v) {
			continue
		}
		v.mark(ClaimsOwnDomain, true)
		v.Refuse = v.Refuse || policy == RefuseOwn && !v.unsure()
	}
}
