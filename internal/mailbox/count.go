package mailbox

import (
	"context"
	"time"

	"relais/internal/mail"
)

// CountLive counts the live placements of an account.
func (tx *Tx) CountLive(ctx context.Context, acc mail.AccountID) (n int, err error) {
	err = tx.QueryRow(ctx, `SELECT COALESCE(SUM(messages), 0) FROM mailboxes WHERE account_id = $1 AND deleted_modseq = 0`, acc).Scan(&n)
	return n, err
}

// notCounted are the roles whose mailboxes people empty every day.
const notCounted = `('trash', 'junk')`

// CountExpunged counts the expunges in an account from a moment on, those in
// Trash and Junk apart: by the mirror, or by everyone else. One that was
// restored meanwhile does not count.
func (tx *Tx) CountExpunged(ctx context.Context, acc mail.AccountID, since time.Time, byMirror bool) (n int, err error) {
	query := `SELECT count(*) FROM changes c JOIN mailboxes m ON m.id = c.from_mailbox_id JOIN placements p ON p.id = c.placement_id
 WHERE c.account_id = $1 AND c.at >= $2 AND c.kind = 'expunge' AND c.origin <> 'mirror'
 AND m.role NOT IN ` + notCounted + ` AND p.deleted_modseq = c.modseq`
	if byMirror {
		query = `SELECT count(*) FROM changes c JOIN mailboxes m ON m.id = c.from_mailbox_id JOIN placements p ON p.id = c.placement_id
 WHERE c.account_id = $1 AND c.at >= $2 AND c.kind = 'expunge' AND c.origin = 'mirror'
 AND m.role NOT IN ` + notCounted + ` AND p.deleted_modseq = c.modseq`
	}
	err = tx.QueryRow(ctx, query, acc, mail.Micros(since)).Scan(&n)
	return n, err
}

// CountTenantExpunged counts the expunges in all accounts of a tenant from a
// moment on, by whomever, and the live placements, Trash and Junk apart.
func (tx *Tx) CountTenantExpunged(ctx context.Context, tenant mail.TenantID, since time.Time) (expunged, live int, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) FROM accounts a JOIN changes c ON c.account_id = a.id AND c.at >= $2 AND c.kind = 'expunge'
 JOIN mailboxes m ON m.id = c.from_mailbox_id JOIN placements p ON p.id = c.placement_id
 WHERE a.tenant_id = $1 AND m.role NOT IN `+notCounted+` AND p.deleted_modseq = c.modseq`, tenant, mail.Micros(since)).Scan(&expunged)
	if err != nil {
		return 0, 0, err
	}
	err = tx.QueryRow(ctx, `SELECT COALESCE(SUM(m.messages), 0) FROM mailboxes m JOIN accounts a ON a.id = m.account_id
 WHERE a.tenant_id = $1 AND m.deleted_modseq = 0 AND m.role NOT IN `+notCounted, tenant).Scan(&live)
	return expunged, live, err
}
