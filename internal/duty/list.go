package duty

import (
	"context"

	"relais/internal/db"
	"relais/internal/mail"
)

// OfAccount lists the duties of an account in order of age, those of its groups included.
// With states only those in one of them.
func (tx *Tx) OfAccount(ctx context.Context, acc mail.AccountID, states ...State) ([]Duty, error) {
	args := []any{acc}
	query := `SELECT ` + columns + ` FROM duties WHERE (account_id = $1 OR id IN (SELECT duty_id FROM duty_members WHERE account_id = $1))`
	return tx.list(ctx, query, args, states)
}

// OfDomain lists the duties of a domain in order of age; with states only those in one of them.
func (tx *Tx) OfDomain(ctx context.Context, domain mail.DomainID, states ...State) ([]Duty, error) {
	return tx.list(ctx, `SELECT `+columns+` FROM duties WHERE domain_id = $1`, []any{domain}, states)
}

// OfPlacement lists the duties that a placement stands for, as recipient or member of a group.
func (tx *Tx) OfPlacement(ctx context.Context, id mail.PlacementID) ([]Duty, error) {
	return tx.list(ctx, `SELECT `+columns+` FROM duties WHERE (placement_id = $1 AND placement_id <> 0
 OR id IN (SELECT duty_id FROM duty_members WHERE placement_id = $1))`, []any{id}, nil)
}

// OfPlacements lists the duties that some placements stand for, by placement.
func (tx *Tx) OfPlacements(ctx context.Context, ids []mail.PlacementID) (map[mail.PlacementID][]Duty, error) {
	duties := map[mail.PlacementID][]Duty{}
	for args := range db.Lists(ids) {
		own, err := db.Collect(scan)(tx.Query(ctx, `SELECT `+columns+` FROM duties WHERE placement_id <> 0
 AND placement_id IN (`+db.ListMarks+`) ORDER BY id`, args...))
		if err != nil {
			return nil, err
		}
		for _, d := range own {
			duties[d.Placement] = append(duties[d.Placement], d)
		}
		type membership struct {
			duty      mail.DutyID
			placement mail.PlacementID
		}
		shared, err := db.Collect(func(s db.Scanner) (m membership, err error) { return m, s.Scan(&m.duty, &m.placement) })(
			tx.Query(ctx, `SELECT duty_id, placement_id FROM duty_members WHERE placement_id <> 0 AND placement_id IN (`+db.ListMarks+`) ORDER BY duty_id`, args...))
		if err != nil {
			return nil, err
		}
		for _, m := range shared {
			d, err := tx.Duty(ctx, m.duty)
			if err != nil {
				return nil, err
			}
			duties[m.placement] = append(duties[m.placement], d)
		}
	}
	return duties, nil
}

// OfIntake lists the duties of one arrival.
func (tx *Tx) OfIntake(ctx context.Context, intake string) ([]Duty, error) {
	return tx.list(ctx, `SELECT `+columns+` FROM duties WHERE intake_id = $1`, []any{intake}, nil)
}

// Orphans lists the duties of a domain to addresses that nobody here had: they wait for the directory.
func (tx *Tx) Orphans(ctx context.Context, domain mail.DomainID) ([]Duty, error) {
	return tx.list(ctx, `SELECT `+columns+` FROM duties WHERE domain_id = $1 AND account_id = 0 AND group_id = 0`, []any{domain}, nil)
}

func (tx *Tx) list(ctx context.Context, query string, args []any, states []State) ([]Duty, error) {
	if len(states) > 0 {
		query += ` AND state IN (` + db.Marks(len(args)+1, len(states)) + `)`
		for _, s := range states {
			args = append(args, string(s))
		}
	}
	return db.Collect(scan)(tx.Query(ctx, query+` ORDER BY id`, args...))
}

// Count counts the duties of a domain by state.
func (tx *Tx) Count(ctx context.Context, domain mail.DomainID) (map[State]int64, error) {
	type pair struct {
		state State
		n     int64
	}
	pairs, err := db.Collect(func(s db.Scanner) (p pair, err error) { return p, s.Scan(&p.state, &p.n) })(
		tx.Query(ctx, `SELECT state, count(*) FROM duties WHERE domain_id = $1 GROUP BY state`, domain))
	out := make(map[State]int64, len(pairs))
	for _, p := range pairs {
		out[p.state] = p.n
	}
	return out, err
}
