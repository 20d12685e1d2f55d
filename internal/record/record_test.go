package record_test

import (
	"bytes"
	"testing"

	"relais/internal/record/recordtest"
)

func TestFileAndRead(t *testing.T) {
	t.Parallel()
	b := recordtest.SQLite(t)
	ann := b.Person("ann")
	body := b.Message("hello")
	filed, err := b.File(t.Context(), b.Filing(body, ann))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Body(t.Context(), b.Tenant.ID, filed.Placements[0].Hash)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%q, %v", got, err)
	}
}
