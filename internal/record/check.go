package record

import (
	"context"
	"fmt"

	"relais/internal/blob"
	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// bodyChecker is what a whole check needs of the blob store.
type bodyChecker interface {
	Check(ctx context.Context, found func(blob.Record) error, damaged func(blob.Damage) error) (blob.Summary, error)
}

// CheckOptions says what Check looks at. Progress may be nil; total is 0 where it is not known.
type CheckOptions struct {
	Bodies   bool // read, decrypt and compare every record of the packs too
	Progress func(step string, done, total int64)
}

// Report is what Check found. The record is sound when there are no violations.
type Report struct {
	Violations []Violation  `json:"violations"`
	Accounts   int64        `json:"accounts"`
	Messages   int64        `json:"messages"` // live placements
	Changes    int64        `json:"changes"`
	Bodies     int64        `json:"bodies"`            // rows of bodies
	Orphans    int64        `json:"orphans"`           // records that no row names: legal, gone at compaction
	Damaged    []string     `json:"damaged,omitempty"` // stretches of packs that hold no record and no row needs
	Packs      blob.Summary `json:"packs"`
}

// Check verifies the rows, and the bodies if asked for. It may run beside a
// working node: what seems wrong with a body is looked at again at the end.
func (s *Store) Check(ctx context.Context, o CheckOptions) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	r := &Report{}
	var err error
	r.Violations, err = s.CheckRows(ctx, func(step string, done, total int) { o.Progress(step, int64(done), int64(total)) })
	if err != nil {
		return nil, err
	}
	err = s.View(ctx, func(ctx context.Context, tx *Tx) error {
		return tx.DB.QueryRow(ctx, `SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM placements WHERE deleted_modseq = 0),
 (SELECT count(*) FROM changes), (SELECT count(*) FROM blobs)`).Scan(&r.Accounts, &r.Messages, &r.Changes, &r.Bodies)
	})
	if err != nil || !o.Bodies {
		return r, err
	}
	packs, ok := s.cfg.Bodies.(bodyChecker)
	if !ok {
		return nil, fault.New(fault.Internal, "the blob store cannot be checked")
	}
	c := &bodyCheck{store: s, packs: packs, report: r, progress: o.Progress, walked: map[uint64]bool{}}
	return r, c.run(ctx)
}

// bodyCheck compares packs with rows, one pack at a time.
type bodyCheck struct {
	store    *Store
	packs    bodyChecker
	report   *Report
	progress func(step string, done, total int64)

	pack    uint64             // the pack being walked
	rows    map[int64]bodyName // rows that name places in it, by offset; deleted when found
	walked  map[uint64]bool    // packs in which at least one record was met
	suspect []bodyName         // rows whose record was not met
	done    int64
}

type bodyName struct {
	tenant mail.TenantID
	hash   mail.Hash
}

func (c *bodyCheck) run(ctx context.Context) error {
	summary, err := c.packs.Check(ctx,
		func(r blob.Record) error { return c.found(ctx, r) },
		func(d blob.Damage) error {
			c.report.Damaged = append(c.report.Damaged, fmt.Sprintf("%v: %v", d.Ref, d.Err))
			return nil
		})
	if err != nil {
		return err
	}
	c.report.Packs = summary
	if err := c.turn(ctx, 0); err != nil {
		return err
	}
	if err := c.missingPacks(ctx); err != nil {
		return err
	}
	return c.lookAgain(ctx)
}

// found takes one whole record of the walk.
func (c *bodyCheck) found(ctx context.Context, r blob.Record) error {
	if r.Ref.Pack != c.pack {
		if err := c.turn(ctx, r.Ref.Pack); err != nil {
			return err
		}
	}
	if name, ok := c.rows[r.Ref.Offset]; ok && name == (bodyName{r.Tenant, r.Hash}) {
		delete(c.rows, r.Ref.Offset)
	} else {
		c.report.Orphans++
	}
	if c.done++; c.done%256 == 0 {
		c.progress("bodies", c.done, c.report.Bodies)
	}
	return nil
}

// turn ends the pack that was walked and reads the rows of the next (0: none).
func (c *bodyCheck) turn(ctx context.Context, next uint64) error {
	for _, name := range c.rows {
		c.suspect = append(c.suspect, name)
	}
	c.pack, c.rows = next, map[int64]bodyName{}
	c.walked[next] = true
	if next == 0 {
		return nil
	}
	return c.store.View(ctx, func(ctx context.Context, tx *Tx) error {
		clear(c.rows)
		rows, err := tx.DB.Query(ctx, `SELECT tenant_id, hash, pos FROM blobs WHERE pack = $1`, next)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name bodyName
			var hash []byte
			var pos int64
			if err := rows.Scan(&name.tenant, &hash, &pos); err != nil {
				return err
			}
			copy(name.hash[:], hash)
			c.rows[pos] = name
		}
		return rows.Err()
	})
}

// missingPacks suspects the rows that name packs in which no record was met.
func (c *bodyCheck) missingPacks(ctx context.Context) error {
	var named []uint64
	err := c.store.View(ctx, func(ctx context.Context, tx *Tx) (err error) {
		named, err = db.Collect(func(s db.Scanner) (n uint64, err error) { return n, s.Scan(&n) })(
			tx.DB.Query(ctx, `SELECT DISTINCT pack FROM blobs`))
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range named {
		if c.walked[n] {
			continue
		}
		if err := c.turn(ctx, n); err != nil {
			return err
		}
	}
	return c.turn(ctx, 0)
}

// lookAgain reads what was suspected: compaction or an arrival may have passed by the walk.
func (c *bodyCheck) lookAgain(ctx context.Context) error {
	for _, name := range c.suspect {
		_, err := c.store.Body(ctx, name.tenant, name.hash)
		switch {
		case err == nil, fault.Is(err, fault.NotFound): // erased, with its row or its key
		case fault.Is(err, fault.Corrupt):
			c.report.Violations = append(c.report.Violations, Violation{"each body can be read",
				fmt.Sprintf("body %v of tenant %d: %v", name.hash, name.tenant, err)})
		default:
			return err
		}
	}
	return nil
}
