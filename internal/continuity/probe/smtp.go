package probe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"time"
	"unicode"

	"relais/internal/directory"
	"relais/internal/smtp/smtpclient"
)

// Dialogue probes by SMTP up to RCPT: EHLO, STARTTLS as configured, MAIL FROM:<>,
// RCPT TO a known person, RSET, QUIT. A server that answers all of it but the
// recipient with 5xx is asked for up to three people: one who left is no outage.
type Dialogue struct {
	Hello string // our name for EHLO
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
}

// maxAsked bounds the recipients of one dialogue.
const maxAsked = 3

// Probe is a Prober.
func (d Dialogue) Probe(ctx context.Context, t Target) Result {
	var r Result
	c, err := d.connect(ctx, t.Primary, &r)
	if err != nil {
		r.Words = err.Error()
		return r
	}
	defer c.Quit()
	r.Banner = banner(c.Greeting.Lines)
	for i, to := range t.recipients() {
		if i == maxAsked {
			break
		}
		answer, err := c.Ask(ctx, smtpclient.Message{To: toOne(to)})
		if err != nil {
			r.Words = err.Error()
			return r
		}
		r.Words = answer.Error()
		if answer.Positive() {
			r.OK = true
			return r
		}
		if answer.Code < 500 {
			return r
		}
	}
	return r
}

// connect opens a connection within what is left of ctx. A key that is not the
// pinned one is noted as a doubt, and the dialogue goes on: it tells no secret.
func (d Dialogue) connect(ctx context.Context, p directory.Primary, r *Result) (*smtpclient.Client, error) {
	config, err := tlsConfig(p, r)
	if err != nil {
		return nil, err
	}
	limit := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(time.Until(deadline), time.Millisecond)
	}
	return smtpclient.Dial(ctx, p.SMTPAddr, smtpclient.Config{
		Hello: d.Hello, Security: smtpclient.Security(p.SMTPTLS), TLS: config,
		ConnectTimeout: limit, CommandTimeout: limit, DataTimeout: limit, FinalTimeout: limit, Dial: d.Dial,
	})
}

// tlsConfig verifies as the primary is configured: by its own authority, by a
// pin, or else by the machine's. Either way a certificate that fails is a doubt
// and no end of the dialogue.
func tlsConfig(p directory.Primary, r *Result) (*tls.Config, error) {
	var roots *x509.CertPool
	if p.CAPEM != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(p.CAPEM)) {
			return nil, errors.New("the authority of the primary holds no certificate")
		}
	}
	host, _, _ := net.SplitHostPort(p.SMTPAddr)
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection judges, and lets the dialogue go on
		VerifyConnection: func(s tls.ConnectionState) error {
			leaf := s.PeerCertificates[0]
			sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
			seen := hex.EncodeToString(sum[:])
			trusted := p.PinSMTP != "" && strings.EqualFold(p.PinSMTP, seen)
			if p.PinSMTP == "" {
				between := x509.NewCertPool()
				for _, c := range s.PeerCertificates[1:] {
					between.AddCert(c)
				}
				_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host})
				trusted = err == nil
			}
			if !trusted {
				r.Doubt, r.Pin = Certificate, seen
			}
			return nil
		},
	}, nil
}

// banner is the greeting without what changes by itself: the words with digits
// (queue ids, versions, times), and what follows the fourth word.
func banner(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	var keep []string
	for i, word := range strings.Fields(lines[0]) {
		if i == 4 {
			break
		}
		if i == 0 || !strings.ContainsFunc(word, unicode.IsDigit) {
			keep = append(keep, word)
		}
	}
	return strings.Join(keep, " ")
}
