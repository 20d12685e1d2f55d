package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"relais/internal/fault"
)

func TestSelfSignedCertificateServesItsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "keys", "cert.pem"), filepath.Join(dir, "keys", "cert.key")
	if made, err := MakeSelfSigned("mx.example.com", cert, key, time.Now()); !made || err != nil {
		t.Fatalf("made %v, %v", made, err)
	}
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", st.Mode(), err)
	}
	server, err := Load(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(server.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, name := range []string{"mx.example.com", "localhost", "127.0.0.1"} {
		a, b := net.Pipe()
		go func() {
			defer a.Close()
			_ = tls.Server(a, server).Handshake()
		}()
		if err := tls.Client(b, &tls.Config{RootCAs: roots, ServerName: name}).Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
	}
	if made, err := MakeSelfSigned("other.example", cert, key, time.Now()); made || err != nil {
		t.Errorf("a pair that was there: made %v, %v; want it kept", made, err)
	}
}

func TestLoadSaysWhichFiles(t *testing.T) {
	t.Parallel()
	if c, err := Load("", ""); c != nil || err != nil {
		t.Errorf("no files: %v, %v; want no TLS", c, err)
	}
	if _, err := Load("/nowhere/cert.pem", "/nowhere/cert.key"); !fault.Is(err, fault.Invalid) {
		t.Errorf("missing files: %v", err)
	}
}
