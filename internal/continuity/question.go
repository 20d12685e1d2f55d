package continuity

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// QuestionKind says what a person is to decide.
type QuestionKind string

// The kinds of questions. A domain has at most one open question of a kind.
const (
	AskFailover    QuestionKind = "failover"    // switch to the standby?
	AskCertificate QuestionKind = "certificate" // the primary shows another key: trust it?
	AskBanner      QuestionKind = "banner"      // the primary calls itself something else
	AskSignIn      QuestionKind = "sign-in"     // the primary refuses the master user
	AskBack        QuestionKind = "back"        // the primary answers again: return?
	AskRefused     QuestionKind = "refused"     // the return waits: accept what the primary refuses?
	AskDifferences QuestionKind = "differences" // the return waits: the reconciliation finds differences
)

// answers lists what may be answered to each kind.
var answers = map[QuestionKind][]string{
	AskFailover:    {"switch", "wait"},
	AskCertificate: {"trust", "refuse"},
	AskBanner:      {"noted"},
	AskSignIn:      {"noted"},
	AskBack:        {"noted"},
	AskRefused:     {"accept", "wait"},
	AskDifferences: {"noted"},
}

// Question waits for a person's decision, or did.
type Question struct {
	ID         int64
	Domain     mail.DomainID
	At         time.Time
	Kind       QuestionKind
	Text       string
	Evidence   string    // JSON
	AnsweredAt time.Time // zero: open
	Answer     string
	AnsweredBy string
}

// Answers lists what may be answered.
func (q Question) Answers() []string { return answers[q.Kind] }

const questionColumns = `id, domain_id, at, kind, text, evidence, answered_at, answer, answered_by`

func scanQuestion(s db.Scanner) (q Question, err error) {
	var at, answered int64
	err = s.Scan(&q.ID, &q.Domain, &at, &q.Kind, &q.Text, &q.Evidence, &answered, &q.Answer, &q.AnsweredBy)
	q.At, q.AnsweredAt = mail.FromMicros(at), mail.FromMicros(answered)
	return q, err
}

// Ask files a question unless one of its kind is open; id is that of the open one.
func (tx *Tx) Ask(ctx context.Context, domain mail.DomainID, kind QuestionKind, text, evidence string) (id int64, filed bool, err error) {
	err = tx.QueryRow(ctx, `SELECT id FROM questions WHERE domain_id = $1 AND kind = $2 AND answered_at = 0`, domain, string(kind)).Scan(&id)
	if !db.NoRows(err) {
		return id, false, err
	}
	if evidence == "" {
		evidence = "{}"
	}
	err = tx.QueryRow(ctx, `INSERT INTO questions (domain_id, at, kind, text, evidence) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		domain, mail.Micros(tx.Now), string(kind), db.Text(text), db.Text(evidence)).Scan(&id)
	tx.Touched.Topic(Topic)
	return id, true, err
}

// Settle closes the open questions of some kinds (none named: of all) with an answer that events gave.
func (tx *Tx) Settle(ctx context.Context, domain mail.DomainID, answer, by string, kinds ...QuestionKind) error {
	query := `UPDATE questions SET answered_at = $2, answer = $3, answered_by = $4 WHERE domain_id = $1 AND answered_at = 0`
	args := []any{domain, mail.Micros(tx.Now), answer, db.Text(by)}
	if len(kinds) > 0 {
		query += ` AND kind IN (` + db.Marks(len(args)+1, len(kinds)) + `)`
		for _, k := range kinds {
			args = append(args, string(k))
		}
	}
	_, err := tx.Exec(ctx, query, args...)
	tx.Touched.Topic(Topic)
	return err
}

// Question finds a question; fault.NotFound.
func (tx *Tx) Question(ctx context.Context, id int64) (Question, error) {
	q, err := scanQuestion(tx.QueryRow(ctx, `SELECT `+questionColumns+` FROM questions WHERE id = $1`, id))
	if db.NoRows(err) {
		return q, fault.New(fault.NotFound, "no such question")
	}
	return q, err
}

// Open lists the open questions of a domain (0: of all), the oldest first.
func (tx *Tx) Open(ctx context.Context, domain mail.DomainID) ([]Question, error) {
	return db.Collect(scanQuestion)(tx.Query(ctx, `SELECT `+questionColumns+` FROM questions
 WHERE answered_at = 0 AND (domain_id = $1 OR $1 = 0) ORDER BY id`, domain))
}

// lastAnswer is when a question of the kind was last answered by a person; zero: never.
func (tx *Tx) lastAnswer(ctx context.Context, domain mail.DomainID, kind QuestionKind) (q Question, err error) {
	q, err = scanQuestion(tx.QueryRow(ctx, `SELECT `+questionColumns+` FROM questions
 WHERE domain_id = $1 AND kind = $2 AND answered_at > 0 AND answered_by <> $3 ORDER BY id DESC LIMIT 1`, domain, string(kind), Self))
	if db.NoRows(err) {
		return Question{}, nil
	}
	return q, err
}
