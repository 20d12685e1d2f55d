package blob

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"relais/internal/fault"
	"relais/internal/mail"
)

const (
	// window bounds the memory of an encoder. Messages rarely repeat anything
	// over a longer distance.
	window = 1 << 20
	// maxPooled is the largest buffer kept for the next record: most messages
	// fit, and a rare huge one does not pin its memory.
	maxPooled = 1 << 20
)

// coder turns bodies into records and back. Safe for concurrent use: the zstd
// encoder and decoder hold one state per processor.
type coder struct {
	keys Keys
	enc  *zstd.Encoder
	dec  *zstd.Decoder
	pool sync.Pool // *[]byte
}

func newCoder(keys Keys) (*coder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxPayload))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &coder{keys: keys, enc: enc, dec: dec}, nil
}

func (c *coder) close() {
	_ = c.enc.Close() // it writes nowhere
	c.dec.Close()
}

// buffer is an empty buffer with room for n bytes, to be given back by release.
func (c *coder) buffer(n int) []byte {
	if p, ok := c.pool.Get().(*[]byte); ok {
		if cap(*p) >= n {
			return (*p)[:0]
		}
		c.pool.Put(p)
	}
	// Room for somewhat larger ones too, so that a buffer serves again.
	return make([]byte, 0, max(n+n/4, 8<<10))
}

func (c *coder) release(b []byte) {
	if cap(b) <= maxPooled {
		c.pool.Put(&b)
	}
}

// seal makes the record of a body whose segments are given, in a buffer of the pool.
func (c *coder) seal(ctx context.Context, tenant mail.TenantID, hash mail.Hash, size int64, segments []segment) ([]byte, error) {
	if size > MaxBody {
		return nil, fault.New(fault.TooLarge, "a message may hold %d bytes", MaxBody)
	}
	aead, err := c.keys.Key(ctx, tenant)
	if err != nil {
		return nil, err
	}
	room := 64 * (len(segments) + 1)
	for i := range segments {
		room += len(segments[i].inline)
	}
	manifest := appendManifest(c.buffer(room), segments)
	defer c.release(manifest)

	record := c.buffer(headerSize + len(manifest) + tagSize)
	h := header{tenant: tenant, hash: hash, size: size}
	record = c.enc.EncodeAll(manifest, record[:headerSize])
	if len(record)-headerSize < len(manifest)-len(manifest)/16 {
		h.flags |= flagZstd
	} else {
		record = append(record[:headerSize], manifest...)
	}
	h.payload = int64(len(record) - headerSize + tagSize)
	h.put(record)
	nonce := record[nonceAt : nonceAt+nonceSize]
	rand.Read(nonce) // never fails (crypto/rand)
	plain := record[headerSize:]
	record = aead.Seal(record[:headerSize], nonce, plain, record[:sealedSize])
	finish(record)
	return record, nil
}

// open decrypts a record in place and returns its manifest. aliases tells whether
// the manifest lies in record's memory.
func (c *coder) open(ctx context.Context, h *header, record []byte) (manifest []byte, aliases bool, err error) {
	aead, err := c.keys.Key(ctx, h.tenant)
	if err != nil {
		return nil, false, err
	}
	payload := record[headerSize:h.length()]
	plain, err := aead.Open(payload[:0], record[nonceAt:nonceAt+nonceSize], payload, record[:sealedSize])
	if err != nil {
		return nil, false, fault.New(fault.Corrupt, "a body does not decrypt")
	}
	if h.flags&flagZstd == 0 {
		return plain, true, nil
	}
	manifest, err = c.dec.DecodeAll(plain, nil) // allocates what the frame says it holds
	if err != nil {
		return nil, false, fault.Wrap(err, fault.Corrupt, "a body does not decompress")
	}
	return manifest, false, nil
}
