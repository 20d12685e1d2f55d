package dnsserver_test

import (
	"context"
	"net"
	"testing"

	"relais/test/dnsserver"
)

func TestServerAnswersWhatItWasGiven(t *testing.T) {
	t.Parallel()
	s := dnsserver.Start(t)
	s.Set(t, "example.test. 60 IN MX 10 mail.example.test.", "mail.example.test. 60 IN A 127.0.0.9")
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Addr)
	}}
	mx, err := r.LookupMX(t.Context(), "Example.test")
	if err != nil || len(mx) != 1 || mx[0].Host != "mail.example.test." {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if hosts, err := r.LookupHost(t.Context(), "mail.example.test"); err != nil || len(hosts) != 1 || hosts[0] != "127.0.0.9" {
		t.Errorf("A: %v, %v", hosts, err)
	}
	s.Remove("example.test")
	if mx, err := r.LookupMX(t.Context(), "example.test"); err == nil {
		t.Errorf("after its removal: %v", mx)
	}
}
