package record

import (
	"context"
	"encoding/binary"
	"fmt"

	"relais/internal/blob"
	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
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
	r := &Report{Violations: []Violation{}}
	found, err := s.CheckRows(ctx, func(step string, done, total int) { o.Progress(step, int64(done), int64(total)) })
	if err != nil {
		return nil, err
	}
	r.Violations = append(r.Violations, found...)
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
	c := &bodyCheck{store: s, packs: packs, report: r, progress: o.Progress}
	return r, c.run(ctx)
}

// bodyCheck compares packs with rows.
type bodyCheck struct {
	store    *Store
	packs    bodyChecker
	report   *Report
	progress func(step string, done, total int64)

	batch []blob.Record // met, not yet compared with their rows
	met   map[uint64]struct{}
	done  int64
}

// checkBatch is how many records are compared with their rows in one snapshot.
const checkBatch = 256

func (c *bodyCheck) run(ctx context.Context) error {
	c.met = make(map[uint64]struct{}, c.report.Bodies)
	summary, err := c.packs.Check(ctx,
		func(r blob.Record) error {
			c.batch = append(c.batch, r)
			if len(c.batch) < checkBatch {
				return nil
			}
			return c.compare(ctx)
		},
		func(d blob.Damage) error {
			c.report.Damaged = append(c.report.Damaged, fmt.Sprintf("%v: %v", d.Ref, d.Err))
			return nil
		})
	if err != nil {
		return err
	}
	c.report.Packs = summary
	if err := c.compare(ctx); err != nil {
		return err
	}
	return c.lookForTheRest(ctx)
}

// key stands for a body in the set of those met: 8 bytes, since a store holds
// millions. Two bodies with one key would hide the loss of one of them with a
// chance of one in 10^19 for each pair.
func key(tenant mail.TenantID, hash mail.Hash) uint64 {
	return binary.LittleEndian.Uint64(hash[:]) ^ uint64(tenant)*0x9E3779B97F4A7C15
}

// compare tells records that a row names from orphans.
func (c *bodyCheck) compare(ctx context.Context) error {
	err := c.store.View(ctx, func(ctx context.Context, tx *Tx) error {
		for _, r := range c.batch {
			ref, err := tx.Mailbox.Body(ctx, r.Tenant, r.Hash)
			switch {
			case err == nil && ref == r.Ref:
				c.met[key(r.Tenant, r.Hash)] = struct{}{}
			case err == nil, fault.Is(err, fault.NotFound):
				c.report.Orphans++
			default:
				return err
			}
		}
		return nil
	})
	c.done += int64(len(c.batch))
	c.batch = c.batch[:0]
	c.progress("bodies", c.done, c.report.Bodies)
	return err
}

// lookForTheRest reads each body whose record was not met: it is lost, or
// compaction or an arrival passed by the walk.
func (c *bodyCheck) lookForTheRest(ctx context.Context) error {
	var tenants []mail.TenantID
	err := c.store.View(ctx, func(ctx context.Context, tx *Tx) (err error) {
		tenants, err = db.Collect(func(s db.Scanner) (id mail.TenantID, err error) { return id, s.Scan(&id) })(
			tx.DB.Query(ctx, `SELECT DISTINCT tenant_id FROM blobs ORDER BY tenant_id`))
		return err
	})
	for _, tenant := range tenants {
		for after, more := (mail.Hash{}), true; more && err == nil; {
			after, more, err = c.lookForPage(ctx, tenant, after)
		}
	}
	return err
}

func (c *bodyCheck) lookForPage(ctx context.Context, tenant mail.TenantID, after mail.Hash) (last mail.Hash, more bool, err error) {
	var rows []mailbox.BodyRow
	err = c.store.View(ctx, func(ctx context.Context, tx *Tx) error {
		rows, err = tx.Mailbox.Bodies(ctx, tenant, after, 1000)
		return err
	})
	if err != nil || len(rows) == 0 {
		return after, false, err
	}
	for _, r := range rows {
		if _, ok := c.met[key(tenant, r.Hash)]; ok {
			continue
		}
		_, err := c.store.Body(ctx, tenant, r.Hash)
		switch {
		case err == nil, fault.Is(err, fault.NotFound): // erased, with its row or its key
		case fault.Is(err, fault.Corrupt):
			c.report.Violations = append(c.report.Violations, Violation{"each body can be read",
				fmt.Sprintf("body %v of tenant %d: %v", r.Hash, tenant, err)})
		default:
			return after, false, err
		}
	}
	return rows[len(rows)-1].Hash, true, nil
}
