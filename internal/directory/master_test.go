package directory_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/record"
	"relais/internal/record/recordtest"
)

func TestAdministratorsOpenMailboxesAndAreAudited(t *testing.T) {
	t.Parallel()
	b := recordtest.SQLite(t)
	ann := b.Person("ann")
	token, c := directory.MakeAppPassword()
	own, verifier := directory.MakeAppPassword()
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		verifier.Person = ann.ID
		if _, err := tx.Directory.AddCredential(ctx, verifier); err != nil {
			return err
		}
		return tx.Directory.AddAdministrator(ctx, "admin", c.Verifier)
	})
	auth, err := directory.NewAuthenticator(b.Engine(), b.Clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	masters := directory.NewMasters(auth)
	for _, s := range []struct {
		user, password string
		ok             bool
	}{
		{"ann@example.org*admin", token, true},
		{"Ann@Example.org*admin", strings.ToUpper(token), true},
		{"ann@example.org", own, true},
		{"ann@example.org", token, false},
		{"ann@example.org*admin", own, false},
		{"ann@example.org*admin", "", false},
		{"ann@example.org*nobody", token, false},
		{"ann@example.org*", token, false},
		{"nobody@example.org*admin", token, false},
		{"ann*admin@example.org", token, false},
	} {
		p, err := masters.Verify(t.Context(), s.user, s.password, "192.0.2.1:4711")
		switch {
		case s.ok && (err != nil || p.ID != ann.ID):
			t.Errorf("%s: person %d, %v", s.user, p.ID, err)
		case !s.ok && !fault.Is(err, fault.Unauthenticated):
			t.Errorf("%s: got in, or %v", s.user, err)
		}
	}
	if _, err := auth.Verify(t.Context(), "ann@example.org*admin", token, "192.0.2.1:4711"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the plain authenticator lets an administrator in: %v", err)
	}
	audited := func() (n int) {
		b.See(func(ctx context.Context, tx *record.Tx) error {
			return tx.DB.QueryRow(ctx, `SELECT count(*) FROM audit WHERE action = 'mailbox.open' AND actor = 'admin' AND object = 'ann@example.org'`).Scan(&n)
		})
		return n
	}
	if n := audited(); n != 1 {
		t.Errorf("%d audit entries of two openings within the hour, want 1", n)
	}
	b.Clock.Advance(2 * time.Hour)
	if _, err := masters.Verify(t.Context(), "ann@example.org*admin", token, "192.0.2.1:4711"); err != nil {
		t.Fatal(err)
	}
	if n := audited(); n != 2 {
		t.Errorf("%d audit entries after another hour, want 2", n)
	}
}
