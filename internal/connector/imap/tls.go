package imapconn

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

// Pin is a TLS configuration that trusts exactly the certificate whose public
// key (SubjectPublicKeyInfo) has this SHA-256, in hexadecimal. With pin "" any is
// trusted: seen is then called with the pin to keep, or to show (trust on first
// use). seen may be nil, and is called on every handshake.
func Pin(pin string, seen func(pin string)) *tls.Config {
	pin = strings.ToLower(strings.ReplaceAll(pin, ":", ""))
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection judges by the pin, not by the chain
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errPin
			}
			sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			got := hex.EncodeToString(sum[:])
			if seen != nil {
				seen(got)
			}
			if pin != "" && got != pin {
				return errPin
			}
			return nil
		},
	}
}

var errPin = errors.New("the server's key is not the pinned one")

func isCertificateError(err error) bool {
	if errors.Is(err, errPin) {
		return true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok {
		_, ok = errors.AsType[x509.HostnameError](err)
	}
	return ok
}

// A timedConn gives every read and write its time. Reads are timed only while
// somebody waits for the server: an idle connection may stay silent.
type timedConn struct {
	net.Conn
	timeout time.Duration // of a write

	mu      sync.Mutex
	reading time.Duration // of a read; 0 for none
}

// writeStep is how much must be taken by the peer within one timeout.
const writeStep = 256 << 10

// wait sets how long the server may be silent from now on; 0 for ever.
func (t *timedConn) wait(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = d
	deadline := time.Time{}
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = t.SetReadDeadline(deadline)
}

func (t *timedConn) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.progress()
	}
	return n, err
}

// progress gives a timed read its time anew: the server sent or took something.
func (t *timedConn) progress() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reading > 0 {
		_ = t.SetReadDeadline(time.Now().Add(t.reading))
	}
}

func (t *timedConn) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		_ = t.SetWriteDeadline(time.Now().Add(t.timeout))
		n, err := t.Conn.Write(p[:min(len(p), writeStep)])
		written += n
		if err != nil {
			return written, err
		}
		t.progress() // a long APPEND gets no answer while it is sent
		p = p[n:]
	}
	return written, nil
}
