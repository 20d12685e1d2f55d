package record

import (
	"context"
	"errors"

	"relais/internal/blob"
	"relais/internal/crashpoint"
	"relais/internal/fault"
	"relais/internal/mail"
)

// FileAll files some messages of one tenant, all or none: their bodies in one
// write, their rows in one transaction, which check may refuse (nil: none does).
// It is for those who have many at hand, a mirror say; single messages that come
// at the same time share writes and commits by File.
func (s *Store) FileAll(ctx context.Context, filings []*Filing, check func(ctx context.Context, tx *Tx) error) ([]*Filed, error) {
	all := make([]*rows, len(filings))
	for i, f := range filings {
		if f.Hash.IsZero() {
			f.Hash = mail.Sum(f.Body)
		}
		all[i] = f.rows()
	}
	crashpoint.Hit(crashpoint.FileBeforeBody)
	known, err := s.stored(ctx, filings)
	if err != nil {
		return nil, err
	}
	for {
		if err := s.putBodies(ctx, filings, all, known); err != nil {
			return nil, err
		}
		crashpoint.Hit(crashpoint.FileAfterBody)
		filed := make([]*Filed, len(filings))
		err := s.Update(ctx, func(ctx context.Context, tx *Tx) error {
			if check != nil {
				if err := check(ctx, tx); err != nil {
					return err
				}
			}
			added := map[mail.Hash]bool{} // of two alike the first brings the body
			for i, f := range filings {
				filed[i] = &Filed{}
				if err := tx.file(ctx, f, all[i], known[f.Hash] || added[f.Hash], filed[i]); err != nil {
					return err
				}
				added[f.Hash] = true
			}
			return nil
		})
		if errors.Is(err, errBodyGone) {
			clear(known)
			continue
		}
		if err != nil {
			return nil, err
		}
		crashpoint.Hit(crashpoint.FileAfterRows)
		return filed, nil
	}
}

// stored tells whose bodies the tenant has already.
func (s *Store) stored(ctx context.Context, filings []*Filing) (map[mail.Hash]bool, error) {
	known := map[mail.Hash]bool{}
	err := s.View(ctx, func(ctx context.Context, tx *Tx) error {
		for _, f := range filings {
			_, err := tx.Mailbox.Body(ctx, f.Tenant, f.Hash)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			known[f.Hash] = err == nil
		}
		return nil
	})
	return known, err
}

// putBodies writes the bodies that are not known, each once, and notes where they lie.
func (s *Store) putBodies(ctx context.Context, filings []*Filing, all []*rows, known map[mail.Hash]bool) error {
	var puts []blob.Put
	at := map[mail.Hash]int{}
	for _, f := range filings {
		if _, twice := at[f.Hash]; !known[f.Hash] && !twice {
			at[f.Hash] = len(puts)
			puts = append(puts, blob.Put{Tenant: f.Tenant, Hash: f.Hash, Body: f.Body})
		}
	}
	if len(puts) == 0 {
		return nil
	}
	refs, err := s.cfg.Bodies.Append(ctx, puts)
	if err != nil {
		return err
	}
	for i, f := range filings {
		if n, put := at[f.Hash]; put {
			all[i].body.Ref = refs[n]
		}
	}
	return nil
}
