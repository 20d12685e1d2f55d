package outbound

import (
	"context"
	"fmt"
	"testing"
	"time"

	"relais/internal/clock"
	pg "relais/internal/db/postgres"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/test/postgres"
)

// openStore makes a store on one of the engines.
type openStore func(t testing.TB, c clock.Clock) *store

// The queue does the same on both engines.
func TestQueue(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	onPostgres := func(t testing.TB, c clock.Clock) *store {
		t.Helper()
		engine, err := pg.Open(t.Context(), pg.Config{URL: server.Database()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = engine.Close() })
		return &store{engine: engine, clock: c, bodies: map[mail.Hash][]byte{}, changed: make(chan struct{})}
	}
	for engine, open := range map[string]openStore{"sqlite": newStore, "postgres": onPostgres} {
		for name, test := range map[string]func(*testing.T, openStore){
			"RowKeepsWhatWasFiled":                testRowKeepsWhatWasFiled,
			"ClaimsAreExclusiveUntilTheLeaseEnds": testClaimsAreExclusiveUntilTheLeaseEnds,
			"OutcomeOfALostClaimIsIgnored":        testOutcomeOfALostClaimIsIgnored,
			"AdministratorsActs":                  testAdministratorsActs,
			"ListCountPrune":                      testListCountPrune,
		} {
			t.Run(name+"/"+engine, func(t *testing.T) {
				t.Parallel()
				test(t, open)
			})
		}
	}
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func do(t *testing.T, s *store, fn func(tx *Tx) error) {
	t.Helper()
	if err := s.Queue(t.Context(), func(_ context.Context, tx *Tx) error { return fn(tx) }); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, s *store, limit int) (items []Item) {
	t.Helper()
	do(t, s, func(tx *Tx) (err error) {
		items, err = tx.Claim(t.Context(), limit, time.Minute)
		return err
	})
	return items
}

func testRowKeepsWhatWasFiled(t *testing.T, open openStore) {
	s := open(t, clock.At(noon))
	n := New{
		Tenant: 3, Intake: "I", From: from, UTF8: true, Bit8: true, Via: "h:25", Expire: time.Hour,
		Notify: "NEVER", Ret: "HDRS", EnvID: "e", ORcpt: "rfc822;x", Account: 4, Person: 5,
	}
	it := s.item(t, s.put(t, n, body, "Zoé@Ünder.test")[0])
	want := Item{
		ID: it.ID, Tenant: 3, Intake: "I", Hash: mail.Sum([]byte(body)), Size: int64(len(body)), From: "ann@exemple.test", To: "Zoé@ünder.test",
		Domain: "ünder.test", UTF8: true, Bit8: true, Via: "h:25", State: Waiting, NextAt: noon, ExpiresAt: noon.Add(time.Hour), CreatedAt: noon,
		Notify: "NEVER", Ret: "HDRS", EnvID: "e", ORcpt: "rfc822;x", Account: 4, Person: 5,
	}
	if it != want {
		t.Errorf("got  %+v\nwant %+v", it, want)
	}
}

func testClaimsAreExclusiveUntilTheLeaseEnds(t *testing.T, open openStore) {
	now := clock.At(noon)
	s := open(t, now)
	ids := s.put(t, New{From: from}, body, "a@x.test", "b@x.test", "c@x.test")
	if got := claim(t, s, 2); len(got) != 2 || got[0].ID != ids[0] || got[0].Attempts != 1 || got[0].State != Sending {
		t.Fatalf("claimed %+v", got)
	}
	if got := claim(t, s, 9); len(got) != 1 || got[0].ID != ids[2] {
		t.Fatalf("claimed %+v, want the third", got)
	}
	now.Advance(30 * time.Second)
	do(t, s, func(tx *Tx) error { return tx.Renew(t.Context(), ids[:1], time.Minute) })
	now.Advance(30 * time.Second)
	if got := claim(t, s, 9); len(got) != 2 || got[0].ID != ids[1] || got[0].Attempts != 2 {
		t.Fatalf("claimed %+v, want those whose lease ended", got)
	}
	do(t, s, func(tx *Tx) error { return tx.Recover(t.Context()) })
	if got := claim(t, s, 9); len(got) != 3 {
		t.Fatalf("after Recover %d claimed", len(got))
	}
}

func testOutcomeOfALostClaimIsIgnored(t *testing.T, open openStore) {
	s := open(t, clock.At(noon))
	id := s.put(t, New{From: from}, body, "a@x.test")[0]
	do(t, s, func(tx *Tx) error { return tx.Record(t.Context(), Outcome{ID: id, State: Failed, Reply: "no"}) })
	if it := s.item(t, id); it.State != Waiting {
		t.Errorf("state %s", it.State)
	}
}

func testAdministratorsActs(t *testing.T, open openStore) {
	now := clock.At(noon)
	s := open(t, now)
	id := s.put(t, New{From: from}, body, "a@x.test")[0]
	state := func(want State) {
		t.Helper()
		if it := s.item(t, id); it.State != want {
			t.Fatalf("state %s, want %s", it.State, want)
		}
	}
	do(t, s, func(tx *Tx) error { return tx.Hold(t.Context(), id) })
	state(Held)
	if got := claim(t, s, 9); len(got) != 0 {
		t.Fatal("a held message was claimed")
	}
	do(t, s, func(tx *Tx) error { return tx.Drop(t.Context(), id) })
	state(Dropped)
	now.Advance(6 * 24 * time.Hour)
	do(t, s, func(tx *Tx) error { return tx.Retry(t.Context(), id) })
	if it := s.item(t, id); it.State != Waiting || !it.ExpiresAt.After(now.Now()) {
		t.Fatalf("after Retry %+v", it)
	}
	claim(t, s, 1)
	for name, act := range map[string]func(*Tx) error{
		"hold":  func(tx *Tx) error { return tx.Hold(t.Context(), id) },
		"drop":  func(tx *Tx) error { return tx.Drop(t.Context(), id) },
		"retry": func(tx *Tx) error { return tx.Retry(t.Context(), id) },
	} {
		if err := s.Queue(t.Context(), func(_ context.Context, tx *Tx) error { return act(tx) }); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s while sending: %v", name, err)
		}
	}
	if err := s.Queue(t.Context(), func(_ context.Context, tx *Tx) error { return tx.Hold(t.Context(), 999) }); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown id: %v", err)
	}
}

func testListCountPrune(t *testing.T, open openStore) {
	now := clock.At(noon)
	s := open(t, now)
	ids := s.put(t, New{From: from, Tenant: 1, Intake: "A"}, body, "a@x.test", "b@y.test", "c@x.test")
	s.put(t, New{From: from, Tenant: 2}, body, "d@x.test")
	claim(t, s, 1)
	do(t, s, func(tx *Tx) error { return tx.Record(t.Context(), Outcome{ID: ids[0], State: Sent, Reply: "250 ok"}) })
	do(t, s, func(tx *Tx) error {
		for _, c := range []struct {
			filter Filter
			want   string
		}{
			{Filter{}, "b@y.test c@x.test d@x.test "},
			{Filter{Tenant: 1, Domain: "x.test"}, "c@x.test "},
			{Filter{State: Sent}, "a@x.test "},
			{Filter{After: ids[1], Limit: 1}, "c@x.test "},
		} {
			items, err := tx.List(t.Context(), c.filter)
			got := ""
			for _, it := range items {
				got += it.To + " "
			}
			if got != c.want || err != nil {
				t.Errorf("%+v: got %s, %v", c.filter, got, err)
			}
		}
		counts, err := tx.Count(t.Context(), 1)
		if fmt.Sprint(counts) != "map[sent:1 waiting:2]" || err != nil {
			t.Errorf("counts %v, %v", counts, err)
		}
		if err := tx.Prune(t.Context(), noon.Add(time.Second)); err != nil {
			return err
		}
		left, err := tx.OfIntake(t.Context(), "A")
		if len(left) != 2 {
			t.Errorf("%d left, want the 2 open ones", len(left))
		}
		return err
	})
}
