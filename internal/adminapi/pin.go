package adminapi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
)

const (
	pinTimeout  = 10 * time.Second
	pinMaxBytes = 16 << 10 // what a server may say before TLS starts
)

// fetchPin connects once and gives the SHA-256 of the public key (SPKI) that the
// server shows, in hexadecimal: it is about to be trusted on first use, so nothing
// is verified. "" for a connection without TLS.
func fetchPin(ctx context.Context, addr string, how directory.TLS, startTLS func(*bufio.Reader, io.Writer) error) (string, error) {
	if how == directory.TLSNone {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, pinTimeout)
	defer cancel()
	const advice = "%s: no certificate could be read, so there is none to trust; give --ca or --pin, or try again when the server answers"
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, advice, addr)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return "", fault.Wrap(err, fault.Unavailable, advice, addr)
	}
	if how == directory.TLSStart {
		if err := startTLS(bufio.NewReader(io.LimitReader(c, pinMaxBytes)), c); err != nil {
			return "", fault.Wrap(err, fault.Unavailable, advice, addr)
		}
	}
	host, _, _ := net.SplitHostPort(addr)
	secure := tls.Client(c, &tls.Config{ServerName: host, InsecureSkipVerify: true}) //nolint:gosec // see above: first use
	if err := secure.HandshakeContext(ctx); err != nil {
		return "", fault.Wrap(err, fault.Unavailable, advice, addr)
	}
	leaf := secure.ConnectionState().PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}

// imapStartTLS is RFC 9051 §6.2.1 up to the handshake.
func imapStartTLS(r *bufio.Reader, w io.Writer) error {
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "a STARTTLS\r\n"); err != nil {
		return err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "a OK") {
			return nil
		}
		if !strings.HasPrefix(line, "*") {
			return fmt.Errorf("STARTTLS was answered %q", line)
		}
	}
}

// smtpStartTLS is RFC 3207 §4 up to the handshake.
func smtpStartTLS(helo string) func(*bufio.Reader, io.Writer) error {
	return func(r *bufio.Reader, w io.Writer) error {
		for _, command := range []string{"", "EHLO " + helo + "\r\n", "STARTTLS\r\n"} {
			if _, err := io.WriteString(w, command); err != nil {
				return err
			}
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return err
				}
				if !strings.HasPrefix(line, "2") {
					return fmt.Errorf("%q was answered %q", strings.TrimSpace(command), line)
				}
				if len(line) < 4 || line[3] != '-' {
					break
				}
			}
		}
		return nil
	}
}
