// Package tlsfiles makes and loads the certificate that the listeners show.
package tlsfiles

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"relais/internal/fault"
)

// selfSignedFor is long, since nobody renews such a certificate and no client judges its dates alone.
const selfSignedFor = 10 * 365 * 24 * time.Hour

// MakeSelfSigned writes a self-signed certificate for hostname, localhost and the
// loopback addresses, with its key, as two PEM files (0644 and 0600). Files that
// are there already are kept: made is false.
func MakeSelfSigned(hostname, certFile, keyFile string, now time.Time) (made bool, err error) {
	_, err = os.Stat(certFile)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("make certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("make certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return false, fmt.Errorf("make certificate: %w", err)
	}
	names := []string{hostname}
	if hostname != "localhost" {
		names = append(names, "localhost")
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: hostname},
		DNSNames:              names,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:             now.Add(-time.Hour), // clocks of others lag
		NotAfter:              now.Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return false, fmt.Errorf("make certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return false, fmt.Errorf("make certificate: %w", err)
	}
	// The key first: a certificate without its key would be taken for a whole pair.
	if err := write(keyFile, "PRIVATE KEY", keyDER, 0o600); err != nil {
		return false, err
	}
	return true, write(certFile, "CERTIFICATE", der, 0o644)
}

func write(path, kind string, der []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	return nil
}

// Load is the TLS configuration of every listener: TLS 1.2 and newer, Go's own
// choice of ciphers. Both names "" give nil: no TLS.
func Load(certFile, keyFile string) (*tls.Config, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the certificate %s with the key %s cannot be used", certFile, keyFile)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
