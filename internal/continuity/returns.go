package continuity

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Phase is how far a return is.
type Phase string

// The phases, in order; a reconciliation that finds something goes back to Drain.
const (
	Declare   Phase = "declare"   // the primary is being declared rebuilt: the mirror rests
	Drain     Phase = "drain"     // the mirror brings the primary what it lacks
	Reconcile Phase = "reconcile" // both sides are compared: the mirror rests
	Accept    Phase = "accept"    // a person is asked to accept what the primary refuses
)

// The outcomes of a return.
const (
	Returned  = "returned"   // everything is at the primary, or accepted as refused
	BrokenOff = "broken off" // the domain was switched to the standby again
)

// Return is the giving back of a domain, under way or ended.
type Return struct {
	ID          int64
	Domain      mail.DomainID
	Actor       string
	Rebuilt     bool   // the primary was declared rebuilt
	Gate        string // JSON: what the person confirmed
	Phase       Phase
	PhaseAt     time.Time
	DrainAt     time.Time // when the last drain began: what was here by then is at the primary once it has ended
	Rounds      int       // reconciliations so far
	Report      int64     // the last one; 0: none
	Differences int       // that the last reconciliation found
	Refused     int       // items that the primary refuses and nobody accepted
	BeganAt     time.Time
	EndedAt     time.Time // zero: under way
	Outcome     string
}

const returnColumns = `id, domain_id, actor, rebuilt, gate, phase, phase_at, drain_at, rounds, report_id, differences, refused, began_at, ended_at, outcome`

func scanReturn(s db.Scanner) (r Return, err error) {
	var phase, drain, began, ended int64
	err = s.Scan(&r.ID, &r.Domain, &r.Actor, &r.Rebuilt, &r.Gate, &r.Phase, &phase, &drain, &r.Rounds, &r.Report, &r.Differences, &r.Refused, &began, &ended, &r.Outcome)
	r.PhaseAt, r.DrainAt = mail.FromMicros(phase), mail.FromMicros(drain)
	r.BeganAt, r.EndedAt = mail.FromMicros(began), mail.FromMicros(ended)
	return r, err
}

// BeginReturn files a return.
func (tx *Tx) BeginReturn(ctx context.Context, r Return) (Return, error) {
	r.BeganAt, r.PhaseAt = tx.Now, tx.Now
	err := tx.QueryRow(ctx, `INSERT INTO returns (domain_id, actor, rebuilt, gate, phase, phase_at, began_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id`,
		r.Domain, db.Text(r.Actor), db.Bool(r.Rebuilt), db.Text(r.Gate), string(r.Phase), mail.Micros(tx.Now)).Scan(&r.ID)
	tx.Touched.Topic(Topic)
	return r, err
}

// OpenReturn finds the return under way of a domain.
func (tx *Tx) OpenReturn(ctx context.Context, domain mail.DomainID) (r Return, ok bool, err error) {
	return oneReturn(tx.QueryRow(ctx, `SELECT `+returnColumns+` FROM returns WHERE domain_id = $1 AND ended_at = 0`, domain))
}

// LastReturn finds the latest return of a domain, under way or ended.
func (tx *Tx) LastReturn(ctx context.Context, domain mail.DomainID) (r Return, ok bool, err error) {
	return oneReturn(tx.QueryRow(ctx, `SELECT `+returnColumns+` FROM returns WHERE domain_id = $1 ORDER BY id DESC LIMIT 1`, domain))
}

func oneReturn(row db.Scanner) (Return, bool, error) {
	r, err := scanReturn(row)
	if db.NoRows(err) {
		return r, false, nil
	}
	return r, err == nil, err
}

// OpenReturns lists the returns under way.
func (tx *Tx) OpenReturns(ctx context.Context) ([]Return, error) {
	return db.Collect(scanReturn)(tx.Query(ctx, `SELECT `+returnColumns+` FROM returns WHERE ended_at = 0 ORDER BY id`))
}

// Advance writes where a return now is, if it still is in phase from: two nodes,
// or one before and after a crash, do no step twice. fault.Conflict otherwise.
func (tx *Tx) Advance(ctx context.Context, r Return, from Phase) error {
	res, err := tx.Exec(ctx, `UPDATE returns SET rebuilt = $3, phase = $4, phase_at = $5, rounds = $6, report_id = $7, differences = $8, refused = $9,
 ended_at = $10, outcome = $11, drain_at = $12 WHERE id = $1 AND phase = $2 AND ended_at = 0`,
		r.ID, string(from), db.Bool(r.Rebuilt), string(r.Phase), mail.Micros(tx.Now), r.Rounds, r.Report, r.Differences, r.Refused,
		mail.Micros(r.EndedAt), r.Outcome, mail.Micros(r.DrainAt))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return fault.New(fault.Conflict, "the return is not in phase %s any more", from)
	}
	tx.Touched.Topic(Topic)
	return nil
}

// Report is a signed reconciliation.
type Report struct {
	ID        int64
	Domain    mail.DomainID
	At        time.Time
	Kind      string // "return", "reconcile"
	JSON      []byte // as it was signed
	Signature []byte // empty when the JSON holds it
}

// AddReport keeps a report.
func (tx *Tx) AddReport(ctx context.Context, r Report) (int64, error) {
	var id int64
	err := tx.QueryRow(ctx, `INSERT INTO reports (domain_id, at, kind, json, signature) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		r.Domain, mail.Micros(tx.Now), r.Kind, string(r.JSON), db.Bytes(r.Signature)).Scan(&id)
	return id, err
}

func scanReport(s db.Scanner) (r Report, err error) {
	var at int64
	err = s.Scan(&r.ID, &r.Domain, &at, &r.Kind, &r.JSON, &r.Signature)
	r.At = mail.FromMicros(at)
	return r, err
}

// LastReport finds the latest report of a domain; fault.NotFound.
func (tx *Tx) LastReport(ctx context.Context, domain mail.DomainID) (Report, error) {
	r, err := scanReport(tx.QueryRow(ctx, `SELECT id, domain_id, at, kind, json, signature FROM reports WHERE domain_id = $1 ORDER BY id DESC LIMIT 1`, domain))
	if db.NoRows(err) {
		return r, fault.New(fault.NotFound, "no report yet")
	}
	return r, err
}
