package link_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"relais/internal/db"
	"relais/internal/db/postgres"
	"relais/internal/record"
	"relais/internal/record/recordtest"
	pgserver "relais/test/postgres"
)

// queries are those that the mirror and the relay ask all the time, with the
// whole tables that they must not read. $1 … are small numbers.
var queries = map[string]string{
	"unlinked": `SELECT p.id FROM placements p JOIN mailboxes m ON m.id = p.mailbox_id
 WHERE m.account_id = 1 AND m.deleted_modseq = 0 AND p.deleted_modseq = 0
 AND NOT EXISTS (SELECT 1 FROM links l WHERE l.placement_id = p.id AND l.valid_to = 0)`,
	"link by placement":  `SELECT id FROM links WHERE placement_id = 1 AND valid_to = 0`,
	"link by remote":     `SELECT id FROM links WHERE folder_id = 1 AND uidvalidity = 1 AND uid = 1 AND valid_to = 0`,
	"links of folder":    `SELECT id FROM links WHERE folder_id = 1 AND valid_to = 0 ORDER BY uid`,
	"close folder":       `UPDATE links SET valid_to = 1 WHERE folder_id = 1 AND valid_to = 0`,
	"clear pending":      `DELETE FROM pending WHERE placement_id = 1`,
	"resolve":            `UPDATE refusals SET resolved_at = 1 WHERE placement_id = 1 AND resolved_at = 0`,
	"pending":            `SELECT placement_id FROM pending WHERE account_id = 1`,
	"intents":            `SELECT id FROM intents WHERE account_id = 1 AND done_at = 0 ORDER BY id`,
	"refusals":           `SELECT id FROM refusals WHERE account_id = 1 AND resolved_at = 0 ORDER BY id`,
	"duties of arrival":  `SELECT id FROM duties WHERE intake_id = 'a'`,
	"duties of messages": `SELECT id FROM duties WHERE placement_id <> 0 AND placement_id IN (1, 2, 3)`,
	"members":            `SELECT duty_id FROM duty_members WHERE placement_id <> 0 AND placement_id IN (1, 2, 3)`,
	"due":                `SELECT id FROM duties WHERE domain_id = 1 AND state = 'owed' AND next_at <= 1 ORDER BY next_at, id LIMIT 10`,
	"next due":           `SELECT MIN(next_at) FROM duties WHERE domain_id = 1 AND state = 'claimed' AND claimed_by = 'relay'`,
	"first handed":       `SELECT MIN(handed_at) FROM duties WHERE state = 'handed'`,
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		explain(t, recordtest.SQLite(t), "EXPLAIN QUERY PLAN ", "SCAN ")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		e, err := postgres.Open(t.Context(), postgres.Config{URL: pgserver.Start(t).Database(), Connections: 2})
		if err != nil {
			t.Fatal(err)
		}
		explain(t, recordtest.Over(t, e), "EXPLAIN ", "Seq Scan")
	})
}

// explain fails for a query whose plan reads a whole table. Tables are filled, or
// PostgreSQL would rightly read them whole.
func explain(t *testing.T, b *recordtest.Bundle, word, bad string) {
	t.Helper()
	const rows = 20_000
	numbers := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(rows) + `) `
	blob, integer := "x'00'", "INTEGER"
	if b.Engine().Dialect() == db.Postgres {
		blob, integer = `'\x00'::bytea`, "BIGINT"
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		for _, fill := range []string{
			`INSERT INTO mailboxes (account_id, name, role, uidvalidity, modseq, subscribed, by_relais, created_modseq, created_at)
 ` + numbers + `SELECT i / 6, 'm' || i, '', 1, 1, 1, 0, 1, 1 FROM n`,
			`INSERT INTO placements (account_id, mailbox_id, email_id, thread_id, uid, system, keywords, modseq, created_modseq, internal_date, size, hash, created_at)
 ` + numbers + `SELECT 1 + i / 100, 1 + i / 100, i, i, i, 0, '', i, i, 1, 1, ` + blob + `, 1 FROM n`,
			`INSERT INTO links (account_id, placement_id, folder_id, uidvalidity, uid, base_system, base_keywords, base_mailbox_id, server_hash,
 server_print, unkept_system, unkept_keywords, appended, valid_from)
 ` + numbers + `SELECT 1 + i / 100, i, 1 + i / 100, 1, i, 0, '', 1, ` + blob + `, ` + blob + `, 0, '', 0, 1 FROM n`,
			`INSERT INTO pending (placement_id, account_id, due_at, why) ` + numbers + `SELECT i, 1 + i / 100, 1, '' FROM n`,
			`INSERT INTO intents (account_id, kind, placement_id, folder_id, uidvalidity, uidnext, at) ` + numbers + `SELECT 1 + i / 100, '', i, 1, 1, 1, 1 FROM n`,
			`INSERT INTO refusals (account_id, placement_id, folder_id, name, operation, code, words, at, last_at)
 ` + numbers + `SELECT 1 + i / 100, i, 1, '', '', '', '', 1, 1 FROM n`,
			`INSERT INTO duties (tenant_id, domain_id, intake_id, email_id, recipient, placement_id, mail_from, smtputf8, state, next_at, owed_at, handed_at)
 ` + numbers + `SELECT 1, 1 + i / 1000, 'i' || i, i, '', i, '', 0, CASE i % 100 WHEN 0 THEN 'owed' WHEN 1 THEN 'claimed' WHEN 2 THEN 'handed' ELSE 'seen' END, i, 1, i FROM n`,
			`INSERT INTO duty_members (duty_id, account_id, placement_id) ` + numbers + `SELECT i, 1, CAST(i AS ` + integer + `) FROM n`,
			`ANALYZE`,
		} {
			if _, err := tx.DB.Exec(ctx, fill); err != nil {
				return fmt.Errorf("%s: %w", fill[:40], err)
			}
		}
		for name, query := range queries {
			plan, err := db.Collect(scanPlan(b.Engine().Dialect()))(tx.DB.Query(ctx, word+query))
			if err != nil {
				return err
			}
			// A partial index read whole holds only what is open.
			for _, line := range plan {
				if strings.Contains(line, bad) && !strings.Contains(line, "USING") && !strings.Contains(line, "CONSTANT ROW") {
					t.Errorf("%s reads a whole table:\n%s", name, strings.Join(plan, "\n"))
				}
			}
		}
		return nil
	})
}

func scanPlan(d db.Dialect) func(db.Scanner) (string, error) {
	return func(s db.Scanner) (line string, err error) {
		if d == db.Postgres {
			return line, s.Scan(&line)
		}
		var id, parent, unused int
		return line, s.Scan(&id, &parent, &unused, &line)
	}
}
