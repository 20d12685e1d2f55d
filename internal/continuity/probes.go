package continuity

import (
	"context"
	"time"

	"relais/internal/continuity/probe"
	"relais/internal/db"
	"relais/internal/mail"
)

// ProbeRow is the last stored result of a kind of probe, as one node saw it.
type ProbeRow struct {
	Domain mail.DomainID
	Node   string
	Kind   probe.Kind
	At     time.Time
	OK     bool
	Took   time.Duration
	Words  string
	WellAt time.Time // the last success; zero: never
	Banner string    // what the server called itself then
}

// SaveProbe keeps the result in place of the one before it. WellAt and Banner are kept when zero.
func (tx *Tx) SaveProbe(ctx context.Context, p ProbeRow) error {
	_, err := tx.Exec(ctx, `INSERT INTO probes (domain_id, node, kind, at, ok, took_us, words, well_at, banner) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
 ON CONFLICT (domain_id, node, kind) DO UPDATE SET at = $4, ok = $5, took_us = $6, words = $7,
 well_at = CASE WHEN $8 = 0 THEN probes.well_at ELSE $8 END, banner = CASE WHEN $9 = '' THEN probes.banner ELSE $9 END`,
		p.Domain, p.Node, string(p.Kind), mail.Micros(p.At), db.Bool(p.OK), p.Took.Microseconds(), db.Text(p.Words), mail.Micros(p.WellAt), db.Text(p.Banner))
	return err
}

// Probes lists what every node stored last of a domain.
func (tx *Tx) Probes(ctx context.Context, domain mail.DomainID) ([]ProbeRow, error) {
	return db.Collect(func(s db.Scanner) (p ProbeRow, err error) {
		var at, took, well int64
		err = s.Scan(&p.Domain, &p.Node, &p.Kind, &at, &p.OK, &took, &p.Words, &well, &p.Banner)
		p.At, p.Took, p.WellAt = mail.FromMicros(at), time.Duration(took)*time.Microsecond, mail.FromMicros(well)
		return p, err
	})(tx.Query(ctx, `SELECT domain_id, node, kind, at, ok, took_us, words, well_at, banner FROM probes WHERE domain_id = $1 ORDER BY node, kind`, domain))
}

// ForgetProbes drops what is stored of a domain: its primary is another one.
func (tx *Tx) ForgetProbes(ctx context.Context, domain mail.DomainID) error {
	_, err := tx.Exec(ctx, `DELETE FROM probes WHERE domain_id = $1`, domain)
	return err
}
