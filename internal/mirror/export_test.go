package mirror

import (
	"context"

	"relais/internal/directory"
)

// Merge runs one pass over a person's account, as the runner does.
func (s *Service) Merge(ctx context.Context, far Primary, p directory.Person, mode Mode) (waiting, refused int, err error) {
	result, err := s.pass(ctx, far, account{ID: p.Account, Tenant: p.Tenant, Domain: p.Domain, Email: p.Email, Login: p.Email}, mode)
	if err != nil {
		return 0, 0, err
	}
	return result.waiting, result.refused, nil
}

// Once does what is due, as Run does.
func (r *Relay) Once(ctx context.Context) error {
	domains, _, err := r.due(ctx)
	for _, c := range domains {
		r.domain(ctx, c)
	}
	return err
}
