package mailbox

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"relais/internal/db"
	"relais/internal/mail"
)

// Email is immutable content, once per tenant. Its bytes lie in the packs.
type Email struct {
	ID          mail.EmailID
	Tenant      mail.TenantID
	Hash        mail.Hash
	Size        int64
	MessageID   string    // with its angle brackets, "" if none
	SentAt      time.Time // the Date field; zero if none
	Sender      string    // first address of From, "" if none
	BaseSubject string    // RFC 5256 §2.1
	Print       []byte    // fingerprint of the decoded content
	Summary     []byte    // what envelope and structure answers need; nil where not asked for
	CreatedAt   time.Time
}

const emailColumns = `id, tenant_id, hash, size, message_id, sent_at, sender, base_subject, content_print, created_at`

func scanEmail(s db.Scanner) (Email, error) {
	var e Email
	var hash []byte
	var sent, created int64
	err := s.Scan(&e.ID, &e.Tenant, &hash, &e.Size, &e.MessageID, &sent, &e.Sender, &e.BaseSubject, &e.Print, &created)
	copy(e.Hash[:], hash)
	e.SentAt, e.CreatedAt = mail.FromMicros(sent), mail.FromMicros(created)
	return e, err
}

// AddEmail stores the row of an email (ID and CreatedAt are ignored); existed
// tells that the tenant had these bytes already.
func (tx *Tx) AddEmail(ctx context.Context, e Email) (_ Email, existed bool, err error) {
	e.CreatedAt = tx.Now
	e.MessageID, e.Sender, e.BaseSubject = db.Text(e.MessageID), db.Text(e.Sender), db.Text(e.BaseSubject)
	err = tx.QueryRow(ctx, `INSERT INTO emails (tenant_id, hash, size, message_id, sent_at, sender, base_subject, content_print, summary, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, hash) DO NOTHING RETURNING id`,
		e.Tenant, e.Hash[:], e.Size, e.MessageID, mail.Micros(e.SentAt), e.Sender, e.BaseSubject,
		db.Bytes(e.Print), db.Bytes(e.Summary), mail.Micros(tx.Now)).Scan(&e.ID)
	if errors.Is(err, sql.ErrNoRows) {
		e, err = tx.EmailByHash(ctx, e.Tenant, e.Hash)
		return e, true, err
	}
	return e, false, err
}

// Email finds an email, without its summary; fault.NotFound.
func (tx *Tx) Email(ctx context.Context, id mail.EmailID) (Email, error) {
	e, err := scanEmail(tx.QueryRow(ctx, `SELECT `+emailColumns+` FROM emails WHERE id = $1`, id))
	return e, found(err, "message")
}

// EmailByHash finds an email of the tenant by its bytes; fault.NotFound.
func (tx *Tx) EmailByHash(ctx context.Context, tenant mail.TenantID, hash mail.Hash) (Email, error) {
	e, err := scanEmail(tx.QueryRow(ctx, `SELECT `+emailColumns+` FROM emails WHERE tenant_id = $1 AND hash = $2`, tenant, hash[:]))
	return e, found(err, "message")
}

// EmailsByMessageID lists the tenant's emails with this Message-ID. Several may
// have it: it proves nothing alone.
func (tx *Tx) EmailsByMessageID(ctx context.Context, tenant mail.TenantID, messageID string) ([]Email, error) {
	return db.Collect(scanEmail)(tx.Query(ctx,
		`SELECT `+emailColumns+` FROM emails WHERE tenant_id = $1 AND message_id = $2 ORDER BY id`, tenant, db.Text(messageID)))
}

// summaryBatch is how many summaries one statement reads.
const summaryBatch = 64

var summaryStatement = `SELECT id, summary FROM emails WHERE id IN (` + db.Marks(1, summaryBatch) + `)`

func scanSummary(s db.Scanner) (e Email, err error) { return e, s.Scan(&e.ID, &e.Summary) }

// Summaries reads the summaries of many emails; those that do not exist are left out.
func (tx *Tx) Summaries(ctx context.Context, ids []mail.EmailID) (map[mail.EmailID][]byte, error) {
	out := make(map[mail.EmailID][]byte, len(ids))
	args := make([]any, summaryBatch)
	for len(ids) > 0 {
		n := min(len(ids), summaryBatch)
		for i := range args { // a short batch repeats its last, so that one text serves all
			args[i] = ids[min(i, n-1)]
		}
		ids = ids[n:]
		some, err := db.Collect(scanSummary)(tx.Query(ctx, summaryStatement, args...))
		if err != nil {
			return nil, err
		}
		for _, e := range some {
			out[e.ID] = e.Summary
		}
	}
	return out, nil
}

// Prints reads the content fingerprints of many emails; those that do not exist are left out.
func (tx *Tx) Prints(ctx context.Context, ids []mail.EmailID) (map[mail.EmailID][32]byte, error) {
	out := make(map[mail.EmailID][32]byte, len(ids))
	for args := range db.Lists(ids) {
		some, err := db.Collect(func(s db.Scanner) (e Email, err error) { return e, s.Scan(&e.ID, &e.Print) })(
			tx.Query(ctx, `SELECT id, content_print FROM emails WHERE id IN (`+db.ListMarks+`)`, args...))
		if err != nil {
			return nil, err
		}
		for _, e := range some {
			var print [32]byte
			copy(print[:], e.Print)
			out[e.ID] = print
		}
	}
	return out, nil
}

// EmailOfPlacement finds the email that a placement places; fault.NotFound.
func (tx *Tx) EmailOfPlacement(ctx context.Context, id mail.PlacementID) (Email, error) {
	e, err := scanEmail(tx.QueryRow(ctx, `SELECT `+emailColumns+` FROM emails WHERE id = (SELECT email_id FROM placements WHERE id = $1)`, id))
	return e, found(err, "message")
}
