package dkim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"relais/internal/clock"
)

// shelf is a source of boxes that are not sealed, and counts who asks.
type shelf struct {
	boxes         map[string][]byte
	asked, opened int
	wantContext   string
}

func (s *shelf) SealedKeys(_ context.Context, domain string) ([]byte, error) {
	s.asked++
	return s.boxes[domain], nil
}

func (s *shelf) Open(sealContext string, box []byte) ([]byte, error) {
	s.opened++
	if sealContext != s.wantContext {
		return nil, errors.New("another context: " + sealContext)
	}
	return box, nil
}

func private(t *testing.T) []byte {
	t.Helper()
	keys, err := Generate(time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keys.Private()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSignerKeepsOpenedKeys(t *testing.T) {
	t.Parallel()
	s := &shelf{boxes: map[string][]byte{"bücher.test": private(t)}, wantContext: SealContext("bücher.test")}
	now := clock.At(time.Unix(1_700_000_000, 0))
	signer := NewSigner(s, s, now)
	sign := func(domain string) string {
		t.Helper()
		header, err := signer.Sign(t.Context(), domain, []byte("From: a@bücher.test\r\n\r\nx\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		return string(header)
	}
	first := sign("bücher.test")
	if !strings.Contains(first, "d=xn--bcher-kva.test;") {
		t.Errorf("got %s", first)
	}
	if sign("bücher.test") != first || s.asked != 1 || s.opened != 1 {
		t.Errorf("asked %d times, opened %d", s.asked, s.opened)
	}
	now.Advance(believed)
	sign("bücher.test")
	if s.asked != 2 || s.opened != 1 {
		t.Errorf("the same box was opened again: asked %d, opened %d", s.asked, s.opened)
	}
	s.boxes["bücher.test"] = private(t)
	signer.Forget("bücher.test")
	if sign("bücher.test") == first || s.opened != 2 {
		t.Error("the old key was used after Forget")
	}
	if got := sign("stranger.test"); got != "" {
		t.Errorf("signed for a domain without keys: %s", got)
	}
	if SealContext("bücher.test") != SealContext("xn--bcher-kva.test") {
		t.Error("the context depends on how the domain is spelled")
	}
}
