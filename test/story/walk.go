package story

import (
	"testing"

	"relais/internal/demo/walker"
)

// Walk reads a whole account, or fails the test.
func Walk(t testing.TB, addr, login, password string) walker.Account {
	t.Helper()
	account, err := walker.Walk(addr, login, password)
	if err != nil {
		t.Fatal(err)
	}
	return account
}
