package dkim

import (
	"bytes"
	"context"
	"sync"
	"time"

	"relais/internal/clock"
	"relais/internal/fault"
)

// Source finds the sealed keys of a domain (U-labels, lower case); nil when it
// has none or is not ours. The record fills it.
type Source interface {
	SealedKeys(ctx context.Context, domain string) ([]byte, error)
}

// Opener opens what is sealed; internal/keys' Keyring does.
type Opener interface {
	Open(context string, box []byte) ([]byte, error)
}

// SealContext is the context under which the keys of a domain, in U-labels or
// A-labels, are sealed and opened.
func SealContext(domain string) string {
	if ascii, err := asciiName(domain); err == nil {
		domain = ascii
	}
	return "dkim/" + domain
}

// believed is how long opened keys are used before the source is asked again:
// another node may have changed them.
const believed = time.Minute

// Signer signs for all domains of this node. It keeps opened keys; safe for concurrent use.
type Signer struct {
	source Source
	opener Opener
	clock  clock.Clock

	mu     sync.Mutex
	opened map[string]opened // by domain; at most one entry per domain of ours
}

type opened struct {
	keys  Keys
	box   []byte
	asked time.Time
}

// NewSigner makes a signer.
func NewSigner(source Source, opener Opener, clock clock.Clock) *Signer {
	return &Signer{source: source, opener: opener, clock: clock, opened: make(map[string]opened)}
}

// Sign returns the DKIM-Signature fields to be put before msg; nothing when the
// domain (U-labels, as in mail.Address) has no keys.
func (s *Signer) Sign(ctx context.Context, domain string, msg []byte) ([]byte, error) {
	keys, err := s.keys(ctx, domain)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	ascii, err := asciiName(domain)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "domain %s cannot be signed for", domain)
	}
	return keys.Sign(ascii, msg, s.clock.Now())
}

// Forget drops the opened keys of a domain: call it when they were changed here.
func (s *Signer) Forget(domain string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.opened, domain)
}

func (s *Signer) keys(ctx context.Context, domain string) (Keys, error) {
	now := s.clock.Now()
	s.mu.Lock()
	have, ok := s.opened[domain]
	s.mu.Unlock()
	if ok && now.Sub(have.asked) < believed {
		return have.keys, nil
	}
	box, err := s.source.SealedKeys(ctx, domain)
	if err != nil {
		return nil, err
	}
	if box == nil {
		return nil, nil
	}
	if !ok || !bytes.Equal(box, have.box) {
		text, err := s.opener.Open(SealContext(domain), box)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the DKIM key of %s does not open", domain)
		}
		if have.keys, err = ParsePrivate(text); err != nil {
			return nil, err
		}
		have.box = box
	}
	have.asked = now
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened[domain] = have
	return have.keys, nil
}
