package mirror_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mirror"
	"relais/internal/record"
)

// freezes tells whether a pass ends with the mirror frozen.
func (b *bundle) freezes() bool {
	b.t.Helper()
	_, _, err := b.service.Merge(b.t.Context(), b.primary, b.ann, standby)
	if err != nil && !fault.Is(err, fault.Frozen) {
		b.t.Fatal(err)
	}
	return err != nil
}

func (b *bundle) decides(d link.Decision) {
	b.t.Helper()
	if _, err := b.service.Decide(b.t.Context(), b.Domain.ID, d, "admin"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) fill(n int) {
	b.t.Helper()
	for i := range n {
		b.appendThere("INBOX", fmt.Sprintf("message %03d", i))
	}
	b.merge(standby)
}

func TestBreakerStopsWhatPeopleDeletedHere(t *testing.T) {
	t.Parallel()
	for decision, left := range map[link.Decision]int{link.Accept: 20, link.Refuse: 80, link.Resume: 20} {
		t.Run(string(decision), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.fill(80)
			for i := range 60 {
				b.expunge(fmt.Sprintf("message %03d", i))
			}
			if !b.freezes() || len(b.there()["INBOX"]) != 80 {
				t.Fatalf("not frozen, %d messages are left there", len(b.there()["INBOX"]))
			}
			b.decides(decision)
			if decision == link.Resume { // judged anew, it is as bad as before
				if !b.freezes() {
					t.Fatal("not frozen again")
				}
				b.decides(link.Accept)
			}
			b.merge(standby)
			if n := len(b.there()["INBOX"]); n != left {
				t.Errorf("%d messages are left there, want %d", n, left)
			}
			b.same()
		})
	}
}

func TestBreakerNoticesASlowDrip(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill(100)
	for day := range 4 { // 15 a day: never 50 within an hour
		first := imap.UID(1 + 15*day)
		b.expungeThere("INBOX", first, first+14)
		if froze := b.freezes(); froze != (day == 3) {
			t.Fatalf("on day %d: frozen %v", day+1, froze)
		}
		b.Clock.Advance(24 * time.Hour)
	}
	if n := len(b.here()["INBOX"]); n != 55 {
		t.Errorf("%d messages are left here", n)
	}
	b.decides(link.Accept)
	b.merge(standby)
	b.same()
}

func TestBreakerCountsTheWholeCompany(t *testing.T) {
	t.Parallel()
	b := setup(t, people("p", 3))
	b.service = mirror.New(mirror.Config{Store: b.Store, Clock: b.Clock, Log: slog.New(slog.DiscardHandler), Breaker: mirror.Breaker{TenantHour: 50}})
	var staff []*bundle
	for i := range 3 {
		p := b.another(fmt.Sprint("p", i))
		p.fill(60)
		staff = append(staff, p)
	}
	for i, p := range staff { // 25 each: no account's limit is reached
		p.expungeThere("INBOX", 1, 25)
		if froze := p.freezes(); froze != (i == 1) && i < 2 {
			t.Errorf("after %d accounts: frozen %v", i+1, froze)
		}
	}
	if !staff[0].freezes() {
		t.Error("one account of a frozen company goes on")
	}
	b.decides(link.Refuse)
	for _, p := range staff {
		p.merge(standby)
		p.same()
	}
	if n, m := len(staff[1].here()["INBOX"]), len(staff[2].here()["INBOX"]); n != 60 || m != 60 {
		t.Errorf("the refusal left %d and %d messages of 60", n, m)
	}
}

func TestFreezeByAPersonEndsAPassUnderWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill(3)
	b.expungeThere("INBOX", 1, 1)
	b.primary = &frozenMeanwhile{b.primary, func() {
		b.do(b.service.FreezeAccounts(t.Context(), b.Domain.ID, "admin", "wait"))
	}}
	if !b.freezes() || len(b.here()["INBOX"]) != 3 {
		t.Error("a pass went on after the freeze")
	}
}

// frozenMeanwhile lets a person act while a folder is scanned.
type frozenMeanwhile struct {
	mirror.Primary
	act func()
}

func (p *frozenMeanwhile) Open(ctx context.Context, login string) (mirror.Session, error) {
	s, err := p.Primary.Open(ctx, login)
	return &actingSession{s, p}, err
}

type actingSession struct {
	mirror.Session
	p *frozenMeanwhile
}

func (s *actingSession) Scan(ctx context.Context, folder string, since mirror.Token) (mirror.Delta, error) {
	d, err := s.Session.Scan(ctx, folder, since)
	s.p.act()
	return d, err
}

func TestReadOnlyFolderIsPulledOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.connect().Create("Rules", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	b.appendThere("Rules", "one")
	b.merge(standby)
	b.primary = &readOnlyPrimary{b.primary}
	b.appendThere("Rules", "two")
	b.flag("one", `\Flagged`)
	for range 2 {
		if _, _, err := b.service.Merge(t.Context(), b.primary, b.ann, standby); err != nil {
			t.Fatal(err)
		}
	}
	b.want(b.here(), map[string][]string{"Rules": {`one (\Flagged)`, "two ()"}})
	b.want(b.there(), map[string][]string{"Rules": {"one ()", "two ()"}})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		rows, err := tx.Link.Refusals(ctx, b.ann.Account)
		if len(rows) != 1 || rows[0].Code != "READ-ONLY" {
			t.Errorf("refusals: %+v", rows)
		}
		return err
	})
}

// readOnlyPrimary says of every folder that nothing can be written there.
type readOnlyPrimary struct{ mirror.Primary }

func (p *readOnlyPrimary) Open(ctx context.Context, login string) (mirror.Session, error) {
	s, err := p.Primary.Open(ctx, login)
	return &readOnlySession{s}, err
}

type readOnlySession struct{ mirror.Session }

func (s *readOnlySession) Scan(ctx context.Context, folder string, since mirror.Token) (mirror.Delta, error) {
	d, err := s.Session.Scan(ctx, folder, since)
	d.ReadOnly = true
	return d, err
}
