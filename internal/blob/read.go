package blob

import (
	"context"

	"relais/internal/fault"
	"relais/internal/mail"
)

// Read implements Store.
func (s *Packs) Read(ctx context.Context, tenant mail.TenantID, hash mail.Hash, ref Ref) ([]byte, error) {
	followed := 0
	return s.read(ctx, tenant, hash, ref, 0, &followed)
}

// read is Read at some depth of references; followed counts them for one body.
func (s *Packs) read(ctx context.Context, tenant mail.TenantID, hash mail.Hash, ref Ref, depth int, followed *int) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	record, err := s.record(ref)
	if fault.Is(err, fault.NotFound) {
		// Compaction may have moved the body since the caller looked it up.
		moved, lerr := s.cfg.Locate(ctx, tenant, hash)
		switch {
		case lerr != nil && !fault.Is(lerr, fault.NotFound):
			return nil, lerr
		case lerr == nil && moved != ref:
			ref = moved
			record, err = s.record(ref)
		}
		if fault.Is(err, fault.NotFound) {
			err = fault.Wrap(err, fault.Corrupt, "the pack of a body is missing")
		}
	}
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(record)
	if err != nil {
		return nil, err
	}
	if h.tenant != tenant || h.hash != hash || h.length() != ref.Length {
		s.coder.release(record)
		return nil, fault.New(fault.Corrupt, "another body lies where this one should (%v)", ref)
	}
	return s.body(ctx, &h, record, depth, followed)
}

// record reads the bytes at ref into a buffer of the pool.
func (s *Packs) record(ref Ref) ([]byte, error) {
	if ref.Offset < packHeaderSize || ref.Length < headerSize+tagSize || ref.Length > headerSize+maxPayload {
		return nil, fault.New(fault.Corrupt, "no record can lie at %v", ref)
	}
	p, err := s.pack(ref.Pack)
	if err != nil {
		return nil, err
	}
	if ref.Offset+ref.Length > p.end.Load() {
		return nil, fault.New(fault.Corrupt, "pack %d ends before the record at %v does", ref.Pack, ref)
	}
	b := s.coder.buffer(int(ref.Length))[:ref.Length]
	if err := p.readAt(b, ref.Offset); err != nil {
		s.coder.release(b)
		return nil, err
	}
	return b, nil
}

// body opens a record and makes its body, compared with its hash. It takes over
// the record's buffer.
func (s *Packs) body(ctx context.Context, h *header, record []byte, depth int, followed *int) ([]byte, error) {
	manifest, aliases, err := s.coder.open(ctx, h, record)
	if !aliases {
		s.coder.release(record)
	}
	if err != nil {
		return nil, err
	}
	segments, err := parseManifest(manifest, h.size)
	if err != nil {
		return nil, err
	}
	body, err := assemble(segments, h.size, func(part mail.Hash) ([]byte, error) {
		if *followed++; depth == maxDepth || *followed > maxFollowed {
			return nil, fault.New(fault.Corrupt, "a body is made of too many others")
		}
		ref, err := s.cfg.Locate(ctx, h.tenant, part)
		if err != nil {
			if fault.Is(err, fault.NotFound) {
				err = fault.Wrap(err, fault.Corrupt, "a part of a body is missing")
			}
			return nil, err
		}
		return s.read(ctx, h.tenant, part, ref, depth+1, followed)
	})
	if err != nil {
		return nil, err
	}
	if mail.Sum(body) != h.hash {
		return nil, fault.New(fault.Corrupt, "a body is not the one that was stored")
	}
	return body, nil
}
