package mailbox

import (
	"context"
	"crypto/sha256"

	"relais/internal/db"
	"relais/internal/mail"
)

// MaxThreadIDs bounds the message identifiers of one email that count for its thread.
const MaxThreadIDs = 20

// thread finds the thread that any of the identifiers belongs to, and makes them
// all belong to it. A new thread is named after the modseq of the placement that
// begins it, which is unique within the account. Where the identifiers lead to
// several threads the oldest is joined; the others stay as they are.
func (tx *Tx) thread(ctx context.Context, acc mail.AccountID, modseq uint64, ids []string) (mail.ThreadID, error) {
	own := mail.ThreadID(modseq)
	if len(ids) > MaxThreadIDs { // the message's own, what it answers, and the nearest of a long ancestry
		ids = append(ids[:3:3], ids[len(ids)-MaxThreadIDs+3:]...)
	}
	args := make([]any, 0, 2+len(ids))
	args = append(args, acc, int64(own))
	seen := make(map[[16]byte]bool, len(ids))
	for _, id := range ids {
		sum := sha256.Sum256([]byte(id))
		if key := [16]byte(sum[:16]); id != "" && !seen[key] {
			seen[key] = true
			args = append(args, key[:])
		}
	}
	if len(args) == 2 {
		return own, nil
	}
	// One statement claims the identifiers that are free and says whose the others are.
	threads, err := db.Collect(func(s db.Scanner) (id mail.ThreadID, err error) { return id, s.Scan(&id) })(
		tx.Query(ctx, threadStatements[len(args)-3], args...))
	if err != nil {
		return 0, err
	}
	oldest, mine := own, 0
	for _, t := range threads {
		oldest = min(oldest, t)
		if t == own {
			mine++
		}
	}
	if oldest != own && mine > 0 {
		_, err = tx.Exec(ctx, joinStatements[len(args)-3], append(args, int64(oldest))...)
	}
	return oldest, err
}

// The statements for 1 to MaxThreadIDs identifiers, made once.
var threadStatements, joinStatements = func() (insert, join [MaxThreadIDs]string) {
	for i := range insert {
		values := ""
		for j := range i + 1 {
			if j > 0 {
				values += ", "
			}
			values += "($1, " + db.Marks(3+j, 1) + ", $2)"
		}
		insert[i] = `INSERT INTO thread_ids (account_id, msgid_hash, thread_id) VALUES ` + values +
			` ON CONFLICT (account_id, msgid_hash) DO UPDATE SET thread_id = thread_ids.thread_id RETURNING thread_id`
		join[i] = `UPDATE thread_ids SET thread_id = ` + db.Marks(4+i, 1) +
			` WHERE account_id = $1 AND thread_id = $2 AND msgid_hash IN (` + db.Marks(3, i+1) + `)`
	}
	return insert, join
}()
