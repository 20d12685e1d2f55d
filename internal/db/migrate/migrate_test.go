package migrate

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/test/postgres"
)

// each runs the test on both engines; open gives an empty database at each call.
func each(t *testing.T, test func(t *testing.T, open func() *sql.DB, dialect db.Dialect)) {
	t.Helper()
	opener := func(t *testing.T, driver string, url func() string) func() *sql.DB {
		return func() *sql.DB {
			conn, err := sql.Open(driver, url())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return conn
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, opener(t, "sqlite", func() string { return "file:" + filepath.Join(t.TempDir(), "a.db") }), db.SQLite)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, opener(t, "pgx", postgres.Start(t).Database), db.Postgres)
	})
}

// schema lists every column of every table, for comparison.
func schema(t *testing.T, conn *sql.DB, dialect db.Dialect) string {
	t.Helper()
	query := `SELECT m.name || '.' || c.name || ' ' || c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY 1`
	if dialect == db.Postgres {
		query = `SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1`
	}
	columns, err := db.Collect(func(s db.Scanner) (c string, err error) { return c, s.Scan(&c) })(conn.QueryContext(t.Context(), query))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(columns, "\n")
}

func TestFreshAndAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() *sql.DB, dialect db.Dialect) {
		conn := open()
		if err := Up(t.Context(), conn, dialect); err != nil {
			t.Fatal(err)
		}
		fresh := schema(t, conn, dialect)
		if !strings.Contains(fresh, "placements.modseq") {
			t.Fatalf("no placements in\n%s", fresh)
		}
		if err := Up(t.Context(), conn, dialect); err != nil {
			t.Fatal(err)
		}
		if again := schema(t, conn, dialect); again != fresh {
			t.Errorf("a second run changed the schema:\n%s", again)
		}
	})
}

func TestBothEnginesHaveTheSameColumns(t *testing.T) {
	t.Parallel()
	names := map[db.Dialect]string{}
	var mu sync.Mutex
	t.Run("engines", func(t *testing.T) {
		each(t, func(t *testing.T, open func() *sql.DB, dialect db.Dialect) {
			conn := open()
			if err := Up(t.Context(), conn, dialect); err != nil {
				t.Fatal(err)
			}
			var columns []string
			for line := range strings.Lines(schema(t, conn, dialect)) {
				if name, _, _ := strings.Cut(line, " "); !strings.HasPrefix(name, "goose_") {
					columns = append(columns, name)
				}
			}
			slices.Sort(columns)
			mu.Lock()
			defer mu.Unlock()
			names[dialect] = strings.Join(columns, "\n")
		})
	})
	if names[db.SQLite] != names[db.Postgres] {
		t.Errorf("sqlite:\n%s\npostgres:\n%s", names[db.SQLite], names[db.Postgres])
	}
}

func TestTheFirstVersionIsUpgraded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() *sql.DB, dialect db.Dialect) {
		conn := open()
		if err := Up(t.Context(), conn, dialect); err != nil {
			t.Fatal(err)
		}
		fresh := schema(t, conn, dialect)
		conn = open()
		p, err := provider(conn, dialect)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.UpTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := Up(t.Context(), conn, dialect); err != nil {
			t.Fatal(err)
		}
		if upgraded := schema(t, conn, dialect); upgraded != fresh {
			t.Errorf("upgraded:\n%s\nfresh:\n%s", upgraded, fresh)
		}
	})
}

func TestNewerIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() *sql.DB, dialect db.Dialect) {
		conn := open()
		if err := Up(t.Context(), conn, dialect); err != nil {
			t.Fatal(err)
		}
		_, err := conn.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, `+map[db.Dialect]string{db.SQLite: "1", db.Postgres: "true"}[dialect]+`)`)
		if err != nil {
			t.Fatal(err)
		}
		err = Up(t.Context(), conn, dialect)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("got %v", err)
		}
	})
}
