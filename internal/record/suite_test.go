package record_test

import (
	"path/filepath"
	"testing"

	"relais/internal/db"
	"relais/internal/db/postgres"
	"relais/internal/db/sqlite"
	"relais/internal/record/recordtest"
	pgserver "relais/test/postgres"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	recordtest.Run(t, openSQLite)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	recordtest.Run(t, openPostgres(t))
}

func openSQLite(t testing.TB) db.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "relais.db")})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// openPostgres starts a server and gives databases on it.
func openPostgres(t testing.TB) func(testing.TB) db.Engine {
	t.Helper()
	server := pgserver.Start(t)
	return func(t testing.TB) db.Engine {
		t.Helper()
		e, err := postgres.Open(t.Context(), postgres.Config{URL: server.Database(), Connections: 8})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}
