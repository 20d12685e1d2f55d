package judge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"relais/internal/clock"
	"relais/internal/dkim"
	"relais/internal/dns"
	"relais/internal/judge"
	"relais/internal/mail"
	"relais/test/dnsserver"
)

var update = flag.Bool("update", false, "write the results of testdata anew")

type own map[string]judge.OwnMail

func (o own) OwnMail(_ context.Context, domain string) (judge.OwnMail, error) { return o[domain], nil }

// resolver asks a DNS server that knows the records.
func resolver(t testing.TB, records ...string) (*dns.Resolver, *dnsserver.Server) {
	t.Helper()
	s := dnsserver.Start(t)
	s.Set(t, records...)
	r, err := dns.New(dns.Config{Servers: []string{s.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, s
}

func at(t testing.TB, domains judge.Domains, r *dns.Resolver) *judge.Judge {
	t.Helper()
	return judge.New(judge.Config{
		Hostname: "mx.relais.test", Resolver: r, Domains: domains, Clock: clock.At(time.Unix(1_528_637_920, 0)),
	})
}

// Each file of testdata is a session, the DNS, a message and what is said of it.
func TestJudged(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := judge.Message{Body: bytes.ReplaceAll(archive.Files[1].Data, []byte("\n"), []byte("\r\n"))}
			domains := own{}
			for line := range strings.Lines(string(archive.Comment)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				switch key {
				case "peer":
					m.Peer = netip.MustParseAddr(value)
				case "helo":
					m.Helo = value
				case "from":
					if m.From, err = mail.ParseAddress(value); err != nil {
						t.Fatal(err)
					}
				case "own":
					if domain, policy, ok := strings.Cut(value, "="); ok {
						domains[domain] = judge.OwnMail(policy)
					}
				}
			}
			r, _ := resolver(t, strings.FieldsFunc(string(archive.Files[0].Data), func(r rune) bool { return r == '\n' })...)
			v := at(t, domains, r).Judge(t.Context(), m)
			got := strings.ReplaceAll(string(v.Header()), "\r\n", "\n") + fmt.Sprintf("marks %v refuse %v\n", v.Marks, v.Refuse)
			if *update {
				archive.Files[2].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(archive.Files[2].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

const plain = "From: joe@football.test\r\nSubject: x\r\n\r\nHi\r\n"

func stranger(body string) judge.Message {
	return judge.Message{
		Peer: netip.MustParseAddr("192.0.2.1"), Helo: "mail.football.test",
		From: mail.Address{Local: "joe", Domain: "football.test"}, Body: []byte(body),
	}
}

// DNS that does not answer gives temperror at once, and never a refusal.
func TestUnreachableDNS(t *testing.T) {
	t.Parallel()
	r, s := resolver(t)
	s.Silent(true)
	j := at(t, own{"football.test": judge.RefuseOwn}, r)
	first := j.Judge(t.Context(), stranger(plain))
	if first.Took > 3*time.Second {
		t.Errorf("the first message waited %v", first.Took)
	}
	v := j.Judge(t.Context(), stranger(plain))
	if v.Took > 50*time.Millisecond {
		t.Errorf("the next message waited %v", v.Took)
	}
	if v.Sender.Status != "temperror" || v.DMARC.Status != "temperror" || !strings.Contains(string(v.Header()), "spf=temperror") {
		t.Errorf("got %s", v.Header())
	}
	if v.Refuse || !v.Has(judge.ClaimsOwnDomain) {
		t.Errorf("refuse %v, marks %v", v.Refuse, v.Marks)
	}
}

func TestOurOwnMachinesAreExempt(t *testing.T) {
	t.Parallel()
	r, _ := resolver(t)
	m := stranger(plain)
	for _, peer := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.9"} {
		m.Peer = netip.MustParseAddr(peer)
		if v := at(t, nil, r).Judge(t.Context(), m); !v.Exempt || v.Header() != nil {
			t.Errorf("%s is judged", peer)
		}
	}
}

func TestVerdictAsJSON(t *testing.T) {
	t.Parallel()
	r, _ := resolver(t, `football.test. 60 IN TXT "v=spf1 -all"`)
	v := at(t, nil, r).Judge(t.Context(), stranger(plain))
	v.Took = 0
	got, err := json.Marshal(v)
	want := `{"from":"football.test","helo":{"status":"none","domain":"mail.football.test"},"spf":{"status":"fail","domain":"football.test","reason":"-all"},"dmarc":{"status":"none"}}`
	if string(got) != want || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestForgedResultsAreDisarmed(t *testing.T) {
	t.Parallel()
	j := judge.New(judge.Config{Hostname: "mx.relais.test"})
	for _, c := range []struct{ in, want string }{
		{"Authentication-Results: mx.relais.test; spf=pass\r\n", "X-Forged-Authentication-Results: mx.relais.test; spf=pass\r\n"},
		{"A: b\r\nauthentication-results :\r\n (hi) \"MX.relais.test\" 1;\r\n spf=pass\r\nC: d\r\n", "A: b\r\nX-Forged-authentication-results :\r\n (hi) \"MX.relais.test\" 1;\r\n spf=pass\r\nC: d\r\n"},
		{"Authentication-Results: mx.other.test; spf=pass\r\n", "Authentication-Results: mx.other.test; spf=pass\r\n"},
		{"Subject: x\r\n", "Subject: x\r\n"},
	} {
		body := "\r\nAuthentication-Results: mx.relais.test; body\r\n"
		if got := string(j.Disarm([]byte(c.in + body))); got != c.want+body {
			t.Errorf("got %q, want %q", got, c.want+body)
		}
	}
}

// BenchmarkJudge is the cost of a typical message once DNS is cached: SPF twice,
// one RSA-2048 signature, DMARC.
func BenchmarkJudge(b *testing.B) {
	keys, err := dkim.Generate(time.Now(), false)
	if err != nil {
		b.Fatal(err)
	}
	public, err := keys.Public()
	if err != nil {
		b.Fatal(err)
	}
	selector, text, _ := strings.Cut(public, " ")
	r, _ := resolver(b, `football.test. 600 IN TXT "v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all"`,
		`mail.football.test. 600 IN TXT "v=spf1 a -all"`, `mail.football.test. 600 IN A 192.0.2.1`,
		`_dmarc.football.test. 600 IN TXT "v=DMARC1; p=reject"`,
		selector+"._domainkey.football.test. 600 IN TXT \""+text[:200]+`" "`+text[200:]+`"`)
	j := judge.New(judge.Config{Hostname: "mx.relais.test", Resolver: r})
	body := plain + strings.Repeat("The quick brown fox jumps over the lazy dog and so on, seventy chars.\r\n", 120)
	header, err := keys.Sign("football.test", []byte(body), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	m := stranger(string(header) + body)
	b.ReportAllocs()
	for b.Loop() {
		if v := j.Judge(b.Context(), m); v.DMARC.Status != "pass" || v.Sender.Status != "pass" || v.DKIM[0].Status != "pass" {
			b.Fatalf("%s", v.Header())
		}
	}
}
