package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mjl-/adns"
	moxdns "github.com/mjl-/mox/dns"
	"github.com/mjl-/mox/publicsuffix"
)

// TXT looks up text records; internal/dns's Resolver does.
type TXT interface {
	LookupTXT(ctx context.Context, name string) ([]string, adns.Result, error)
}

// Result is what became of one signature, in the order of the message.
type Result struct {
	Status    Status `json:"status"`
	Domain    string `json:"domain,omitempty"`    // d=, A-labels; "" when the signature does not parse
	Selector  string `json:"selector,omitempty"`  // s=
	Identity  string `json:"identity,omitempty"`  // i= or "@" + Domain
	Algorithm string `json:"algorithm,omitempty"` // a=
	Short     string `json:"short,omitempty"`     // the first 8 characters of b= (RFC 6008 §3)
	Reason    string `json:"reason,omitempty"`    // why it is not Pass; "" for Pass
}

// Verifier verifies signatures. It keeps parsed keys; safe for concurrent use.
type Verifier struct {
	txt     TXT
	records recordCache
	log     *slog.Logger
}

// NewVerifier makes a verifier that finds keys through txt.
func NewVerifier(txt TXT) *Verifier {
	return &Verifier{txt: txt, log: slog.New(slog.DiscardHandler)}
}

// job is one signature on its way.
type job struct {
	sig    *signature
	result Result
	key    chan found // nil when decided without a key
}

type found struct {
	record *record
	status Status
	err    error
}

// Verify checks every DKIM-Signature of msg (lines end in CR LF), eight at most;
// none gives no results. Keys are looked up side by side while the body is hashed.
func (v *Verifier) Verify(ctx context.Context, msg []byte, now time.Time) []Result {
	fields, body, err := split(msg)
	if err != nil {
		return nil
	}
	var jobs []*job
	for _, f := range fields {
		if len(jobs) < maxSignatures && f.is("DKIM-Signature") {
			jobs = append(jobs, v.start(ctx, f, fields, now))
		}
	}
	var sums bodySums
	results := make([]Result, len(jobs))
	for i, j := range jobs {
		if j.key != nil {
			sum := sums.of(body, j.sig.relaxedBody)
			j.finish(<-j.key, sum, fields)
		}
		results[i] = j.result
	}
	return results
}

// start parses the signature and begins the look-up of its key.
func (v *Verifier) start(ctx context.Context, f field, fields []field, now time.Time) *job {
	sig, err := parseSignature(f)
	j := &job{sig: sig}
	if sig != nil {
		j.result = Result{Domain: sig.domain, Selector: sig.selector, Identity: sig.identity, Algorithm: sig.algorithm}
		if sig.identity == "" {
			j.result.Identity = "@" + sig.domain
		}
		j.result.Short = base64.StdEncoding.EncodeToString(sig.value)
		j.result.Short = j.result.Short[:min(8, len(j.result.Short))]
	}
	switch {
	case errors.Is(err, errAlgorithm):
		j.decide(PermError, err.Error())
	case err != nil:
		j.decide(Neutral, err.Error())
	case !hasWord(sig.signed, "From"):
		j.decide(PermError, "From is not signed") // RFC 6376 §5.4
	case !sig.expires.IsZero() && now.After(sig.expires):
		j.decide(PermError, "the signature has expired")
	case v.isPublicSuffix(ctx, sig.domain):
		j.decide(PermError, "the signing domain is a public suffix")
	case sig.limited:
		j.decide(Policy, "l= leaves a part of the body unsigned") // RFC 6376 §8.2
	case !hasWord(sig.signed, "Subject") && has(fields, "Subject"):
		j.decide(Policy, "Subject is not signed")
	default:
		j.key = make(chan found, 1)
		go func() { j.key <- v.lookup(ctx, sig) }()
	}
	return j
}

func (j *job) decide(s Status, reason string) { j.result.Status, j.result.Reason = s, reason }

// lookup finds the key of a signature (RFC 6376 §6.1.2).
func (v *Verifier) lookup(ctx context.Context, sig *signature) found {
	texts, _, err := v.txt.LookupTXT(ctx, sig.selector+"._domainkey."+sig.domain+".")
	if moxdns.IsNotFound(err) {
		return found{nil, PermError, errors.New("no key")}
	}
	if err != nil {
		return found{nil, TempError, errors.New("the key cannot be looked up")}
	}
	last := errNotKey
	for _, text := range texts {
		r, err := v.records.parse(text)
		if err == nil {
			return found{r, "", nil}
		}
		if errors.Is(last, errNotKey) {
			last = err
		}
	}
	if errors.Is(last, errWeak) {
		return found{nil, Policy, last}
	}
	return found{nil, PermError, last}
}

// finish decides with the key at hand (RFC 6376 §6.1.3).
func (j *job) finish(f found, bodySum []byte, fields []field) {
	switch {
	case f.err != nil:
		j.decide(f.status, f.err.Error())
		return
	case f.record.keyType != j.sig.keyType:
		j.decide(PermError, "the key is of another algorithm")
	case f.record.strict && j.sig.identity != "" && !strings.HasSuffix(strings.ToLower(j.sig.identity), "@"+j.sig.domain):
		j.decide(PermError, "the key is for identities of its very domain only")
	case subtle.ConstantTimeCompare(bodySum, j.sig.bodyHash) != 1:
		j.decide(Fail, "the body was changed")
	case !signed(f.record.key, j.sig, fields):
		j.decide(Fail, "the signature does not match")
	default:
		j.decide(Pass, "")
	}
	if f.record.test && j.result.Status != Pass {
		// RFC 6376 §3.6.1: as if it were not signed.
		j.decide(Neutral, "test key: "+j.result.Reason)
	}
}

func signed(key crypto.PublicKey, sig *signature, fields []field) bool {
	sum := sha256.Sum256(sig.signedBytes(fields))
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig.value) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, sum[:], sig.value) // RFC 8463 §3: over the hash
	}
	return false
}

// isPublicSuffix tells whether domain stands above the organizations, such as
// "com" or "co.uk": nobody may sign for all of them (RFC 6376 §6.1.1).
func (v *Verifier) isPublicSuffix(ctx context.Context, domain string) bool {
	below := moxdns.Domain{ASCII: "x." + domain}
	if strings.Contains(domain, "xn--") {
		if d, err := moxdns.ParseDomain(below.ASCII); err == nil {
			below = d // the list is in U-labels
		}
	}
	return publicsuffix.Lookup(ctx, v.log, below).ASCII == below.ASCII
}

func has(fields []field, name string) bool {
	for _, f := range fields {
		if f.is(name) {
			return true
		}
	}
	return false
}

// bodySums computes the body's hash once per canonical form, whatever the number of signatures.
type bodySums struct{ simple, relaxed []byte }

func (b *bodySums) of(body []byte, relaxed bool) []byte {
	sum := &b.simple
	if relaxed {
		sum = &b.relaxed
	}
	if *sum == nil {
		h := sha256.New()
		hashBody(h, body, relaxed)
		*sum = h.Sum(nil)
	}
	return *sum
}
