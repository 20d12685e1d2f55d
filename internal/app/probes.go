package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"strings"

	"relais/internal/adminapi"
	imapconn "relais/internal/connector/imap"
	"relais/internal/continuity/probe"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
)

// probers are the ways to ask a primary whether it works.
func (p *primaries) probers() map[probe.Kind]probe.Prober {
	dialogue := probe.Dialogue{Hello: p.hostname}
	return map[probe.Kind]probe.Prober{
		probe.SMTP: dialogue.Probe,
		probe.IMAP: p.probeIMAP,
		probe.Trip: probe.RoundTrip{Dialogue: dialogue, Mailbox: probeMailbox{p}}.Probe,
	}
}

// probeIMAP signs in as the master user to one of the people's accounts. The
// secret is told to no server whose key is not the trusted one.
func (p *primaries) probeIMAP(ctx context.Context, t probe.Target) probe.Result {
	var r probe.Result
	login := ""
	if len(t.People) > 0 {
		login = loginOf(t.People[0])
	}
	c, err := p.signIn(ctx, t, login, &r)
	if c != nil {
		r.Banner = bannerOf(c.Greeting())
		_ = c.Close()
	}
	switch {
	case err == nil:
		r.OK, r.Words = true, "signed in"
	case r.Doubt == probe.Certificate:
		r.Answers, r.Words = true, "it shows another key than the trusted one"
	case fault.Is(err, fault.Unauthenticated):
		r.Answers, r.Doubt, r.Words = true, probe.SignIn, err.Error()
	default:
		r.Words = err.Error()
	}
	return r
}

// loginOf is a person's sign-in name at the primary.
func loginOf(p directory.Person) string {
	if p.PrimaryLogin != "" {
		return p.PrimaryLogin
	}
	return p.Email
}

// bannerOf is the greeting up to the first word with a digit: what follows may
// change from one greeting to the next.
func bannerOf(s imap.Status) string {
	var keep []string
	for word := range strings.FieldsSeq(s.Text) {
		if strings.ContainsAny(word, "0123456789") || len(keep) == 4 {
			break
		}
		keep = append(keep, word)
	}
	return strings.Join(keep, " ")
}

// signIn opens one connection and signs in to an account; with login "" it only
// connects. The connection comes back even where the sign-in failed.
func (p *primaries) signIn(ctx context.Context, t probe.Target, login string, r *probe.Result) (*imapconn.Conn, error) {
	row := t.Primary
	secret, err := p.keyring.Open(adminapi.PrimarySecretContext(t.Domain.Name), row.SecretSealed)
	if err != nil {
		return nil, err
	}
	c, err := imapconn.Dial(ctx, imapconn.Config{
		Addr: row.IMAPAddr, TLS: imapconn.TLSMode(row.IMAPTLS), TLSConfig: doubting(row, r), Timeout: primaryTimeout,
	})
	if err != nil || login == "" {
		return c, err
	}
	return c, c.SignIn(ctx, imapconn.Credentials{Login: login, Secret: string(secret), Master: row.MasterUser, Separator: row.Separator})
}

var errUntrusted = errors.New("the server's key is not the trusted one")

// doubting judges the IMAP server's certificate as trust does, and notes the key
// of one that is not trusted.
func doubting(p directory.Primary, r *probe.Result) *tls.Config {
	host, _, _ := net.SplitHostPort(p.IMAPAddr)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection judges
		VerifyConnection: func(s tls.ConnectionState) error {
			leaf := s.PeerCertificates[0]
			sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
			seen := hex.EncodeToString(sum[:])
			if p.PinIMAP != "" && strings.EqualFold(p.PinIMAP, seen) {
				return nil
			}
			if p.PinIMAP == "" {
				o := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
				for _, c := range s.PeerCertificates[1:] {
					o.Intermediates.AddCert(c)
				}
				if p.CAPEM != "" {
					o.Roots = x509.NewCertPool()
					o.Roots.AppendCertsFromPEM([]byte(p.CAPEM))
				}
				if _, err := leaf.Verify(o); err == nil {
					return nil
				}
			}
			r.Doubt, r.Pin = probe.Certificate, seen
			return errUntrusted
		},
	}
}

// probeMailbox reads the mailbox of the marked round trip.
type probeMailbox struct{ far *primaries }

// Take looks for the marked message and removes it with those that earlier trips left.
func (m probeMailbox) Take(ctx context.Context, t probe.Target, id string) (bool, error) {
	login := t.Primary.ProbeAddress
	for _, p := range t.People {
		if p.Email == strings.ToLower(login) {
			login = loginOf(p)
		}
	}
	var r probe.Result
	c, err := m.far.signIn(ctx, t, login, &r)
	if c != nil {
		defer func() { _ = c.Close() }()
	}
	if err != nil {
		return false, err
	}
	if _, err := c.Select(ctx, "INBOX", imapconn.SelectOptions{}); err != nil {
		return false, err
	}
	found, err := c.Search(ctx, imap.SearchKey{Op: imap.SearchHeader, Field: probe.Header, Text: id})
	if err != nil || found.Count() == 0 {
		return false, err
	}
	left, err := c.Search(ctx, imap.SearchKey{Op: imap.SearchHeader, Field: probe.Header})
	if err != nil {
		return true, nil
	}
	_, err = c.Store(ctx, left, imap.Store{Op: imap.StoreAdd, Silent: true, Flags: mail.Flags{System: mail.Deleted}.Names()})
	if err == nil && c.Has(imap.CapUIDPlus) {
		err = c.Expunge(ctx, left)
	}
	return true, err
}
