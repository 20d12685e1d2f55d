package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"time"

	"relais/internal/adminapi"
	imapconn "relais/internal/connector/imap"
	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/mirror"
	"relais/internal/smtp/smtpclient"
)

// primaries reaches the companies' first mail systems.
type primaries struct {
	hostname string
	keyring  *keys.Keyring
	log      *slog.Logger
}

// Time limits towards a primary. A server that is half dead must be given up
// soon: others wait for the session.
const (
	primaryTimeout = 30 * time.Second
	relayFinal     = 5 * time.Minute
)

// imap makes the pool of IMAP connections to a domain's primary, signed in by its master user.
func (p *primaries) imap(d directory.Domain, far directory.Primary, max, perAccount int) (*imapconn.Pool, error) {
	secret, err := p.keyring.Open(adminapi.PrimarySecretContext(d.Name), far.SecretSealed)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the secret of %s's primary can't be opened", d.Name)
	}
	return imapconn.NewPool(imapconn.PoolConfig{
		Conn: imapconn.Config{
			Addr: far.IMAPAddr, TLS: imapconn.TLSMode(far.IMAPTLS), TLSConfig: trust(far.IMAPAddr, far.CAPEM, far.PinIMAP),
			Timeout: primaryTimeout, Logger: p.log.With("component", "imap", "domain", d.Name),
		},
		SignIn: func(_ context.Context, login string) (imapconn.Credentials, error) {
			return imapconn.Credentials{Login: login, Secret: string(secret), Master: far.MasterUser, Separator: far.Separator}, nil
		},
		Max: max, PerAccount: perAccount,
	}), nil
}

// connect is the mirror's connector.
func (p *primaries) connect(_ context.Context, d directory.Domain, far directory.Primary) (mirror.Primary, error) {
	pool, err := p.imap(d, far, 20, 4)
	if err != nil {
		return nil, err
	}
	return imapconn.NewPrimary(pool), nil
}

// smtp opens an SMTP connection to a primary.
func (p *primaries) smtp(ctx context.Context, far directory.Primary) (*smtpclient.Client, error) {
	client, err := smtpclient.Dial(ctx, far.SMTPAddr, smtpclient.Config{
		Hello: p.hostname, Security: smtpclient.Security(far.SMTPTLS), TLS: trust(far.SMTPAddr, far.CAPEM, far.PinSMTP),
		ConnectTimeout: primaryTimeout, CommandTimeout: primaryTimeout, FinalTimeout: relayFinal,
	})
	return client, fault.Wrap(err, fault.Unavailable, "the primary's SMTP server does not answer")
}

// trust is how a primary's certificate is judged: by the pin, by an authority of
// its own, else by the system's. nil leaves it to the client's default.
func trust(addr, ca, pin string) *tls.Config {
	host, _, _ := net.SplitHostPort(addr)
	switch {
	case pin != "":
		c := imapconn.Pin(pin, nil)
		c.ServerName = host
		return c
	case ca != "":
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(ca))
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: roots}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
}
