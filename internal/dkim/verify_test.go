package dkim

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mjl-/adns"
)

// zone answers TXT lookups from a map of names with final dots.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, adns.Result, error) {
	texts, ok := z[name]
	switch {
	case !ok:
		return nil, adns.Result{}, &adns.DNSError{Err: "none", Name: name, IsNotFound: true}
	case texts == nil:
		return nil, adns.Result{}, &adns.DNSError{Err: "down", Name: name, IsTemporary: true}
	}
	return texts, adns.Result{}, nil
}

func crlfText(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

const rfc8463Message = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.

`

const rfc8463Ed = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
const rfc8463RSA = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

// The message and keys of RFC 8463 appendix A: one signature of each algorithm.
func TestVerifyRFC8463(t *testing.T) {
	t.Parallel()
	v := NewVerifier(zone{
		"brisbane._domainkey.football.example.com.": {rfc8463Ed},
		"test._domainkey.football.example.com.":     {rfc8463RSA},
	})
	results := v.Verify(t.Context(), crlfText(rfc8463Message), time.Unix(1528637910, 0))
	if len(results) != 2 {
		t.Fatalf("%d results, want 2", len(results))
	}
	for _, r := range results {
		if r.Status != Pass || r.Domain != "football.example.com" || len(r.Short) != 8 {
			t.Errorf("got %+v, want pass", r)
		}
	}
}

func TestVerifyWhatCannotPass(t *testing.T) {
	t.Parallel()
	only := strings.Index(rfc8463Message, "DKIM-Signature: v=1; a=rsa")
	first := strings.Index(rfc8463Message, "From: Joe")
	message := rfc8463Message[:only] + rfc8463Message[first:] // the Ed25519 signature alone
	name := "brisbane._domainkey.football.example.com."
	good := zone{name: {rfc8463Ed}}
	change := func(old, new string) string { return strings.Replace(message, old, new, 1) }
	for _, c := range []struct {
		name, message string
		zone          zone
		status        Status
		reason        string
	}{
		{"body changed", change("the game", "the match"), good, Fail, "the body was changed"},
		{"header changed", change("dinner", "supper"), good, Fail, "the signature does not match"},
		{"From added", change("To: Suzie", "From: x@y.test\nTo: Suzie"), good, Fail, "the signature does not match"},
		{"no key", message, zone{}, PermError, "no key"},
		{"DNS down", message, zone{name: nil}, TempError, "the key cannot be looked up"},
		{"revoked", message, zone{name: {"v=DKIM1; p="}}, PermError, "the key is revoked"},
		{"other TXT", message, zone{name: {"hello"}}, PermError, "not a DKIM key record"},
		{"other TXT beside", message, zone{name: {"hello", rfc8463Ed}}, Pass, ""},
		{"other algorithm", message, zone{name: {rfc8463RSA}}, PermError, "the key is of another algorithm"},
		{"for SHA-1", message, zone{name: {rfc8463Ed + "; h=sha1"}}, PermError, "the key is not for SHA-256"},
		{"for other services", message, zone{name: {rfc8463Ed + "; s=xmpp"}}, PermError, "the key is not for e-mail"},
		{"test key", change("the game", "the match"), zone{name: {rfc8463Ed + "; t=y"}}, Neutral, "test key: the body was changed"},
		{"expired", change("t=1528637909;", "t=1528637909; x=1528637910;"), good, PermError, "the signature has expired"},
		{"expires before made", change("t=1528637909;", "t=1528637909; x=1;"), good, Neutral, "expires before it was made"},
		{"l=", change("q=dns/txt;", "q=dns/txt; l=3;"), good, Policy, "l= leaves a part of the body unsigned"},
		{"version", change("v=1", "v=2"), good, Neutral, "unknown version"},
		{"sha1", change("ed25519-sha256", "rsa-sha1"), good, PermError, "unknown or outdated algorithm"},
		{"tag twice", change("q=dns/txt;", "q=dns/txt; q=dns/txt;"), good, Neutral, "tag q= twice"},
		{"no From", strings.NewReplacer("h=from : to", "h=to", "message-id : from :", "message-id :").Replace(message), good, PermError, "From is not signed"},
		{"no Subject", strings.NewReplacer("\n subject : date", " date", ": subject : date", "").Replace(message), good, Policy, "Subject is not signed"},
		{"identity elsewhere", change("i=@football.example.com", "i=@example.com"), good, Neutral, "identity i= is not under the domain d="},
		{"public suffix", strings.ReplaceAll(message, "football.example.com;", "com;"), good, PermError, "the signing domain is a public suffix"},
		{"not a tag list", change("v=1;", "v;"), good, Neutral, "malformed tag list"},
		{"canonicalization", change("relaxed/relaxed", "relaxed/loose"), good, Neutral, `unknown canonicalization "loose"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			results := NewVerifier(c.zone).Verify(t.Context(), crlfText(c.message), time.Unix(1528637911, 0))
			if len(results) != 1 || results[0].Status != c.status || results[0].Reason != c.reason {
				t.Errorf("got %+v, want %s: %s", results, c.status, c.reason)
			}
		})
	}
}

func TestVerifyBoundsSignatures(t *testing.T) {
	t.Parallel()
	message := strings.Repeat("DKIM-Signature: v=1\r\n", 500) + "From: a@b.test\r\n\r\n"
	if n := len(NewVerifier(zone{}).Verify(t.Context(), []byte(message), time.Now())); n != maxSignatures {
		t.Errorf("%d signatures looked at, want %d", n, maxSignatures)
	}
}

// RFC 6376 §3.4.5 and §3.4.4: the examples of canonical forms.
func TestCanonicalForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw     string
		relaxed bool
		want    string
	}{
		{"A: X\r\n", true, "a:X"},
		{"B : Y\t\r\n\tZ  \r\n", true, "b:Y Z"},
		{"B : Y\t\r\n\tZ  \r\n", false, "B : Y\t\r\n\tZ  "},
	} {
		if got := string(appendField(nil, []byte(c.raw), c.relaxed)); got != c.want {
			t.Errorf("field %q: got %q, want %q", c.raw, got, c.want)
		}
	}
	for _, c := range []struct{ body, relaxed, simple string }{
		{" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", " C \r\nD \t E\r\n"},
		{"", "", "\r\n"},
		{"\r\n\r\n", "", "\r\n"},
		{" \t\r\n", "", " \t\r\n"},
		{"a", "a\r\n", "a\r\n"},
		{"a\r\n\r\nb \t\r\n \r\n", "a\r\n\r\nb\r\n", "a\r\n\r\nb \t\r\n \r\n"},
	} {
		for relaxed, want := range map[bool]string{true: c.relaxed, false: c.simple} {
			var h recorder
			hashBody(&h, []byte(c.body), relaxed)
			if string(h) != want {
				t.Errorf("body %q relaxed %v: got %q, want %q", c.body, relaxed, h, want)
			}
		}
	}
}

// recorder is a hash that keeps what is written to it.
type recorder []byte

func (r *recorder) Write(p []byte) (int, error) { *r = append(*r, p...); return len(p), nil }
func (r *recorder) Sum(b []byte) []byte         { return append(b, *r...) }
func (r *recorder) Reset()                      { *r = nil }
func (r *recorder) Size() int                   { return 0 }
func (r *recorder) BlockSize() int              { return 1 }

func BenchmarkVerify(b *testing.B) {
	keys, err := Generate(time.Now(), false)
	if err != nil {
		b.Fatal(err)
	}
	public, _ := keys.Public()
	selector, text, _ := strings.Cut(public, " ")
	v := NewVerifier(zone{selector + "._domainkey.example.org.": {text}})
	for _, size := range []int{4_000, 40_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			msg := []byte("From: a@example.org\r\nTo: b@x.org\r\nSubject: hi\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n\r\n")
			for len(msg) < size {
				msg = append(msg, "The quick brown fox jumps over the lazy dog and so on, seventy chars.\r\n"...)
			}
			header, err := keys.Sign("example.org", msg, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			msg = append(header, msg...)
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				if r := v.Verify(b.Context(), msg, time.Now()); r[0].Status != Pass {
					b.Fatal(r)
				}
			}
		})
	}
}
