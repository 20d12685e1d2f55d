package smtpd

import (
	"context"
	"errors"

	"relais/internal/admit"
	"relais/internal/smtp"
)

// Steps by which a body grows, in bytes. A declared SIZE is believed up to
// trusted, the rest when it arrives: else many idle connections could declare
// the memory full.
const (
	firstBody = 16 << 10
	trusted   = 1 << 20
	spare     = 1 << 10 // for the final dot and what transparency added
)

var errTooLarge = errors.New("message is too large")

// body is a message that arrives. Its bytes are counted in memory until release.
type body struct {
	memory   *admit.Memory
	max      int64 // bytes of the message
	declared int64 // by SIZE or BDAT; a hint
	held     int64
	bytes    []byte
}

// grow is the smtp.Grow of a DATA body.
func (b *body) grow(ctx context.Context) smtp.Grow {
	return func(old []byte) ([]byte, error) {
		b.bytes = old
		if int64(len(old)) > b.max {
			return nil, errTooLarge
		}
		want := max(firstBody, 2*int64(cap(old)))
		if b.declared > 0 && int64(cap(old)) < b.declared {
			want = min(b.declared+spare, max(trusted, 2*int64(cap(old))))
		}
		err := b.resize(ctx, min(want, b.max+2*spare))
		return b.bytes, err
	}
}

// room makes space for n further bytes of a BDAT chunk.
func (b *body) room(ctx context.Context, n int64) error {
	need := int64(len(b.bytes)) + n
	if need <= int64(cap(b.bytes)) {
		return nil
	}
	return b.resize(ctx, max(need, min(2*int64(cap(b.bytes)), b.max)))
}

// resize moves the body to a new place of n bytes.
func (b *body) resize(ctx context.Context, n int64) error {
	if err := b.memory.Acquire(ctx, n); err != nil {
		return err
	}
	moved := make([]byte, len(b.bytes), n)
	copy(moved, b.bytes)
	b.memory.Release(b.held)
	b.bytes, b.held = moved, n
	return nil
}

// release gives the memory back to the bound; the bytes may live on.
func (b *body) release() {
	b.memory.Release(b.held)
	b.held, b.bytes = 0, nil
}
