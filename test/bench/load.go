package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mjl-/mox/dkim"
	"github.com/mjl-/mox/dns"

	"relais/internal/demo/traffic"
)

// envelope is a signed message ready to be sent; everything costly is done before the clock runs.
type envelope struct {
	from, to string
	raw      []byte
}

// postOffice writes signed messages to the people of the company.
type postOffice struct {
	company traffic.Company
	zone    zone
	key     *rsa.PrivateKey
	writer  *traffic.Writer
}

func newPostOffice(t testing.TB, people int) *postOffice {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	company := traffic.NewCompany(domain, people)
	return &postOffice{company, newZone(public), key, traffic.NewWriter(company, 1, fmt.Sprintf("bench%d", time.Now().UnixNano()))}
}

// write makes n messages with an RSA-2048 signature each.
func (o *postOffice) write(t testing.TB, n int) []envelope {
	t.Helper()
	from := traffic.Person{Name: "Signed Sender", Email: "sender@" + signedDomain}
	selectors := []dkim.Selector{{
		Hash: "sha256", HeaderRelaxed: true, BodyRelaxed: true, Headers: []string{"From", "To", "Subject", "Date", "Message-ID"},
		PrivateKey: o.key, Domain: dns.Domain{ASCII: selector},
	}}
	out := make([]envelope, n)
	for i := range out {
		to := o.company.Staff[i%len(o.company.Staff)]
		m := o.writer.Write(from, []traffic.Person{to}, time.Now())
		header, err := dkim.Sign(context.Background(), slog.New(slog.DiscardHandler), "sender", dns.Domain{ASCII: signedDomain}, selectors, false, bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatalf("sign: %v", err)
		}
		out[i] = envelope{from.Email, to.Email, append([]byte(header), m.Raw...)}
	}
	return out
}

// fire sends the messages over so many connections at once; every message must get its 250.
func fire(t testing.TB, addr string, connections int, mail []envelope) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, connections)
	for range connections {
		wg.Go(func() {
			c, err := traffic.Dial(addr, "outside."+signedDomain, 2*time.Minute)
			if err != nil {
				failed <- err
				return
			}
			defer c.Close()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(mail) {
					return
				}
				if err := c.Send(mail[i].from, []string{mail[i].to}, mail[i].raw); err != nil {
					failed <- fmt.Errorf("send: %w", err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
}
