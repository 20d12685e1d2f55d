package link

import (
	"context"
	"encoding/json"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Decision is what a person said about a freeze.
type Decision string

// The decisions.
const (
	Undecided Decision = ""
	Accept    Decision = "accept" // what was stopped is right: do it
	Refuse    Decision = "refuse" // it is wrong: undo it where it was done
	Resume    Decision = "resume" // go on, and judge anew
)

// Freeze stops the mirror of an account, or of a whole tenant, until a person decides.
type Freeze struct {
	ID        int64
	Tenant    mail.TenantID
	Account   mail.AccountID // 0: the tenant
	At        time.Time
	Reason    string
	Evidence  string // JSON
	Decision  Decision
	DecidedAt time.Time
	DecidedBy string
}

// Open tells whether it still stops the mirror.
func (f Freeze) Open() bool { return f.ID != 0 && f.DecidedAt.IsZero() }

// NewFreeze describes a freeze to file.
type NewFreeze struct {
	Tenant   mail.TenantID
	Account  mail.AccountID
	Reason   string
	Evidence map[string]any
}

const freezeColumns = `id, tenant_id, account_id, at, reason, evidence, decision, decided_at, decided_by`

func scanFreeze(s db.Scanner) (f Freeze, err error) {
	var at, decided int64
	err = s.Scan(&f.ID, &f.Tenant, &f.Account, &at, &f.Reason, &f.Evidence, &f.Decision, &decided, &f.DecidedBy)
	f.At, f.DecidedAt = mail.FromMicros(at), mail.FromMicros(decided)
	return f, err
}

// AddFreeze files a freeze unless one of the same scope is open already.
func (tx *Tx) AddFreeze(ctx context.Context, n NewFreeze) error {
	evidence, err := json.Marshal(n.Evidence)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO freezes (tenant_id, account_id, at, reason, evidence)
 SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT)
 WHERE NOT EXISTS (SELECT 1 FROM freezes WHERE tenant_id = CAST($1 AS BIGINT) AND account_id = CAST($2 AS BIGINT) AND decided_at = 0)`,
		n.Tenant, n.Account, mail.Micros(tx.Now), n.Reason, string(evidence))
	return err
}

// Freeze finds what stops an account: its own or its tenant's open freeze, else
// the last one that was decided; a zero Freeze when there never was one.
func (tx *Tx) Freeze(ctx context.Context, tenant mail.TenantID, account mail.AccountID) (Freeze, error) {
	f, err := scanFreeze(tx.QueryRow(ctx, `SELECT `+freezeColumns+` FROM freezes WHERE tenant_id = $1 AND account_id IN (0, $2)
 ORDER BY CASE decided_at WHEN 0 THEN 0 ELSE 1 END, id DESC LIMIT 1`, tenant, account))
	if db.NoRows(err) {
		return Freeze{}, nil
	}
	return f, err
}

// OpenFreezes lists what waits for a decision in a tenant.
func (tx *Tx) OpenFreezes(ctx context.Context, tenant mail.TenantID) ([]Freeze, error) {
	return db.Collect(scanFreeze)(tx.Query(ctx, `SELECT `+freezeColumns+` FROM freezes WHERE tenant_id = $1 AND decided_at = 0 ORDER BY id`, tenant))
}

// Decide notes a person's decision about an open freeze.
func (tx *Tx) Decide(ctx context.Context, id int64, d Decision, by string) error {
	res, err := tx.Exec(ctx, `UPDATE freezes SET decision = $1, decided_at = $2, decided_by = $3 WHERE id = $4 AND decided_at = 0`,
		string(d), mail.Micros(tx.Now), by, id)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Conflict, "freeze %d is not open", id)
}
