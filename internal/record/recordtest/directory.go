package recordtest

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
)

func testResolve(t *testing.T, b *Bundle) {
	ann, bob := b.Person("Ann", "a.n.n"), b.Person("bob", "bob+lists")
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		g, err := tx.Directory.CreateGroup(ctx, directory.NewGroup{Address: mail.Address{Local: "all", Domain: "example.org"}, Name: "Everyone"})
		if err != nil {
			return err
		}
		return tx.Directory.SetMembers(ctx, g.ID, []mail.PersonID{bob.ID, ann.ID})
	})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		for _, c := range []struct {
			address string
			kind    directory.ResolutionKind
			members string
		}{
			{"ann@example.org", directory.ToPerson, "ann@example.org"},
			{"ANN@Example.ORG", directory.ToPerson, "ann@example.org"},
			{"a.n.n@example.org", directory.ToPerson, "ann@example.org"},
			{"ann+news@example.org", directory.ToPerson, "ann@example.org"},
			{"bob+lists@example.org", directory.ToPerson, "bob@example.org"},
			{"all@example.org", directory.ToGroup, "ann@example.org bob@example.org"},
			{"all+x@example.org", directory.ToGroup, "ann@example.org bob@example.org"},
			{"nobody@example.org", directory.Unknown, ""},
			{"nobody+x@example.org", directory.Unknown, ""},
			{"ann@example.net", directory.Foreign, ""},
			{"ann@sub.example.org", directory.Foreign, ""},
		} {
			a, err := mail.ParseAddress(c.address)
			if err != nil {
				return err
			}
			r, err := tx.Directory.Resolve(ctx, a)
			if err != nil {
				return err
			}
			var members []string
			for _, m := range r.Members {
				members = append(members, m.Email)
			}
			want(t, c.address, r.Kind, c.kind)
			want(t, c.address, strings.Join(members, " "), c.members)
		}
		own, err := tx.Directory.OwnAddresses(ctx, ann.ID)
		if !slices.Equal(own, []string{"ann@example.org", "a.n.n@example.org"}) {
			t.Errorf("own addresses: %v", own)
		}
		return err
	})
}

func testUnique(t *testing.T, b *Bundle) {
	ann := b.Person("ann", "anna")
	newPerson := func(local string, aliases ...string) error {
		return b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
			n := directory.NewPerson{Account: ann.Account, Email: mail.Address{Local: local, Domain: "example.org"}}
			for _, a := range aliases {
				n.Aliases = append(n.Aliases, mail.Address{Local: a, Domain: "example.org"})
			}
			_, err := tx.Directory.CreatePerson(ctx, n)
			return err
		})
	}
	for _, taken := range []string{"ann", "ANNA"} {
		if err := newPerson(taken); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s again: %v", taken, err)
		}
	}
	if err := newPerson("zoe", "anna"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a taken alias: %v", err)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error { return tx.Directory.RemovePerson(ctx, ann.ID) })
	if err := newPerson("ann", "anna"); err != nil {
		t.Errorf("after the removal: %v", err)
	}
	for _, fn := range []updater{
		func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Directory.CreateDomain(ctx, directory.NewDomain{Tenant: b.Tenant.ID, Name: "EXAMPLE.org.", Topology: directory.InPath})
			return err
		},
		func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: "example"})
			return err
		},
		func(ctx context.Context, tx *record.Tx) error { return tx.Directory.RemoveDomain(ctx, b.Domain.ID) },
	} {
		if err := b.Update(t.Context(), fn); !fault.Is(err, fault.Conflict) {
			t.Errorf("got %v", err)
		}
	}
}

func testSignIn(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	verifier, err := directory.HashPassphrase("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	secret, app := directory.MakeAppPassword()
	app.Person = ann.ID
	var stored directory.Credential
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		if _, err := tx.Directory.AddCredential(ctx, directory.NewCredential{Person: ann.ID, Kind: directory.Passphrase, Verifier: verifier}); err != nil {
			return err
		}
		stored, err = tx.Directory.AddCredential(ctx, app)
		return err
	})
	auth, err := directory.NewAuthenticator(b.Engine(), b.Clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	signIn := func(email, password string) fault.Code {
		t.Helper()
		p, err := auth.Verify(t.Context(), email, password, "192.0.2.1")
		if err == nil && p.ID != ann.ID {
			t.Errorf("signed in as %v", p)
		}
		return fault.CodeOf(err)
	}
	for _, c := range []struct {
		email, password string
		code            fault.Code
	}{
		{"ann@example.org", "correct horse", ""},
		{"Ann@Example.org", "correct horse", ""},
		{"ann@example.org", secret, ""},
		{"ann@example.org", strings.ToUpper(strings.ReplaceAll(secret, "-", " ")), ""},
		{"ann@example.org", "wrong horse", fault.Unauthenticated},
		{"ann@example.org", "", fault.Unauthenticated},
		{"nobody@example.org", "correct horse", fault.Unauthenticated},
		{"no address", "correct horse", fault.Unauthenticated},
	} {
		want(t, c.email+" "+c.password, signIn(c.email, c.password), c.code)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Directory.Revoke(ctx, ann.ID, stored.ID); err != nil {
			return err
		}
		cs, err := tx.Directory.Credentials(ctx, ann.ID)
		want(t, "credentials left", len(cs), 1)
		want(t, "last use", cs[0].LastUsedAt.Equal(b.Clock.Now()), true)
		return err
	})
	want(t, "revoked", signIn("ann@example.org", secret), fault.Unauthenticated)
	other, err := directory.HashPassphrase("battery staple")
	if err != nil {
		t.Fatal(err)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Directory.AddCredential(ctx, directory.NewCredential{Person: ann.ID, Kind: directory.Passphrase, Verifier: other})
		return err
	})
	b.Clock.Advance(time.Second)
	want(t, "the old passphrase, remembered a second ago", signIn("ann@example.org", "correct horse"), fault.Unauthenticated)
	want(t, "the new passphrase", signIn("ann@example.org", "battery staple"), "")
}
