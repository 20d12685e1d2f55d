package postgres_test

import (
	"database/sql"
	"testing"

	"relais/test/postgres"
)

func TestClusterSurvivesKill(t *testing.T) {
	t.Parallel()
	s := postgres.Start(t)
	url := s.Database()
	if other := s.Database(); other == url {
		t.Fatalf("the same database twice: %s", url)
	}
	exec(t, url, "CREATE TABLE t (n BIGINT)")
	exec(t, url, "INSERT INTO t VALUES (7)")
	s.Kill()
	s.Run()
	db := open(t, url)
	var n int
	if err := db.QueryRow("SELECT n FROM t").Scan(&n); err != nil || n != 7 {
		t.Errorf("after SIGKILL: %d, %v; want 7", n, err)
	}
}

func exec(t *testing.T, url, statement string) {
	t.Helper()
	db := open(t, url)
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
