package blob

import (
	"context"

	"relais/internal/fault"
)

// Walk implements Store.
func (s *Packs) Walk(ctx context.Context, number uint64, found func(Record) error, damaged func(Damage) error) error {
	p, err := s.pack(number)
	if err != nil {
		return err
	}
	return p.walk(ctx, p.end.Load(), func(h *header, off int64, _ []byte) error {
		return found(h.record(number, off))
	}, damaged)
}

// Check implements Store.
func (s *Packs) Check(ctx context.Context, found func(Record) error, damaged func(Damage) error) (Summary, error) {
	var sum Summary
	report := func(d Damage) error {
		sum.Damages++
		sum.Unusable += d.Ref.Length
		return damaged(d)
	}
	infos, err := s.Packs(ctx)
	if err != nil {
		return sum, err
	}
	for _, info := range infos {
		p, err := s.pack(info.Number)
		if fault.Is(err, fault.NotFound) {
			continue // compacted meanwhile
		}
		if err != nil {
			return sum, err
		}
		sum.Packs++
		err = p.walk(ctx, p.end.Load(), func(h *header, off int64, record []byte) error {
			r := h.record(info.Number, off)
			followed := 0
			// A copy, since body takes its buffer over.
			_, err := s.body(ctx, h, append(s.coder.buffer(len(record)), record...), 0, &followed)
			switch {
			case fault.Is(err, fault.NotFound):
				sum.Erased++
			case isDamage(err):
				return report(Damage{r.Ref, r.Tenant, r.Hash, err})
			case err != nil:
				return err
			}
			sum.Records++
			sum.Bytes += r.Ref.Length
			return found(r)
		}, report)
		// A pack that compaction removes during the walk has moved its records on.
		if err != nil && !fault.Is(err, fault.NotFound) {
			return sum, err
		}
	}
	return sum, nil
}
