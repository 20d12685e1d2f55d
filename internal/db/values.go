package db

import (
	"database/sql"
	"errors"
	"iter"
	"strconv"
	"strings"
)

// ErrUnknownOutcome says that a COMMIT got no answer: the transaction may be
// durable or not. Look for its effect before repeating it.
var ErrUnknownOutcome = errors.New("outcome of the commit is unknown")

// Text makes a header's text storable by both engines: PostgreSQL refuses
// invalid UTF-8 and NUL, SQLite takes anything.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Bool is the stored form of a truth: 0 or 1.
func Bool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Bytes gives nil a stored form: an empty value, never NULL.
func Bytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Marks is "$from,$from+1,…" with n marks: the list of an IN or VALUES clause.
func Marks(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	return b.String()
}

// Scanner is a row to read: *sql.Row and *sql.Rows.
type Scanner interface{ Scan(dest ...any) error }

// Collect reads every row with read, closes rows and returns what it read. It
// takes the two results of Tx.Query, so that no caller forgets to close or to
// ask for the last error. A transaction runs no other statement meanwhile.
func Collect[T any](read func(Scanner) (T, error)) func(*sql.Rows, error) ([]T, error) {
	return func(rows *sql.Rows, err error) ([]T, error) {
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var out []T
		for rows.Next() {
			v, err := read(rows)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, rows.Err()
	}
}

// ForUpdate is the clause that locks the rows a SELECT reads until the end of
// the transaction. SQLite needs none: its one writer runs alone.
func (d Dialect) ForUpdate() string {
	if d == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// SkipLocked is the clause with which several workers claim different rows.
func (d Dialect) SkipLocked() string {
	if d == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// NoRows tells whether a QueryRow found nothing.
func NoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// listSize is how many values go into one IN list: fixed, so that the query's text is too.
const listSize = 100

// ListMarks is the inside of an IN list for what Lists gives.
var ListMarks = Marks(1, listSize)

// Lists cuts values into the arguments of queries with ListMarks, which are their
// first; the last list is filled up by repeating a value.
func Lists[T any](values []T) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for len(values) > 0 {
			n := min(len(values), listSize)
			args := make([]any, listSize)
			for i := range args {
				args[i] = values[min(i, n-1)]
			}
			if values = values[n:]; !yield(args) {
				return
			}
		}
	}
}
