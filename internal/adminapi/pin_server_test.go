package adminapi_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"relais/internal/tlsfiles"
)

// startTLSServer speaks a dialogue (its own lines and the client's in turn) up
// to STARTTLS, then TLS with a key of its own, whose pin it gives.
func startTLSServer(t *testing.T, before []string, command, answer string) (addr, pin string) {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "cert.key")
	if _, err := tlsfiles.MakeSelfSigned("primary.test", cert, key, time.Now()); err != nil {
		t.Fatal(err)
	}
	config, err := tlsfiles.Load(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		ours := true
		for _, line := range append(before, command) {
			if ours && line != command {
				_, _ = io.WriteString(c, line)
			} else if got, _ := r.ReadString('\n'); got != line {
				return // the client's handshake fails, and with it the test
			}
			ours = !ours
		}
		_, _ = io.WriteString(c, answer)
		_ = tls.Server(c, config).Handshake()
	}()
	return l.Addr().String(), hex.EncodeToString(sum[:])
}
