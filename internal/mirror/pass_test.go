package mirror_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

func TestColdMirrorTakesEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.connect().Create("Projets/Été", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	b.appendThere("INBOX", "one", imap.FlagSeen, "$Work")
	b.appendThere("INBOX", "two")
	b.appendThere("Projets/Été", "three", imap.FlagFlagged, imap.FlagAnswered)
	b.merge(standby)
	b.want(b.here(), map[string][]string{
		"INBOX":       {`one (\Seen $Work)`, "two ()"},
		"Projets/Été": {`three (\Answered \Flagged)`},
	})
	b.same()
	if got := b.find("three").InternalDate.Format("2006-01-02 15:04:05"); got != "2026-02-03 04:05:06" {
		t.Errorf("internal date %s", got)
	}
}

func TestChangesThereComeHere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.connect()
	for _, f := range []string{"Keep", "Old", "Gone"} {
		if err := c.Create(f, nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"flag", "move", "delete", "stay"} {
		b.appendThere("INBOX", s)
	}
	b.appendThere("Old", "renamed along")
	b.appendThere("Gone", "gone along")
	b.merge(standby)
	before := b.find("move").ID

	b.inFolder("INBOX", func(c *imapclient.Client) error {
		if err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen, "$Label1"}}, nil).Close(); err != nil {
			return err
		}
		_, err := c.Move(imap.UIDSetNum(2), "Keep").Wait()
		return err
	})
	b.expungeThere("INBOX", 3, 3)
	if err := c.Unselect().Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename("Old", "New", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete("Gone").Wait(); err != nil {
		t.Fatal(err)
	}
	b.merge(standby)
	b.want(b.here(), map[string][]string{
		"INBOX": {`flag (\Seen $Label1)`, "stay ()"}, "Keep": {"move ()"}, "New": {"renamed along ()"},
	})
	b.same()
	if after := b.find("move").ID; after != before {
		t.Errorf("a move there made another placement: %d, was %d", after, before)
	}
}

func TestChangesHereGoThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range []string{"flag", "move", "delete", "stay"} {
		b.appendThere("INBOX", s)
	}
	b.merge(standby)
	flag, move, gone := b.find("flag"), b.find("move"), b.find("delete")
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		box, err := tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: b.ann.Account, Name: "Dossier/Été", Origin: mail.ByPerson})
		if err != nil {
			return err
		}
		if _, err := tx.Mailbox.SetFlags(ctx, flag.ID, mail.ParseFlags(`\Seen`, "$Forwarded"), mail.ByPerson); err != nil {
			return err
		}
		if _, err := tx.Mailbox.Move(ctx, move.ID, box.ID, mail.ByPerson); err != nil {
			return err
		}
		_, err = tx.Mailbox.Expunge(ctx, gone.ID, mail.ByPerson)
		return err
	})
	b.Deliver(b.ann, "new here")
	b.merge(standby)
	b.want(b.there(), map[string][]string{
		"INBOX": {`flag (\Seen $Forwarded)`, "new here ()", "stay ()"}, "Dossier/Été": {"move ()"},
	})
	b.same()
	b.quiet()
}

// quiet checks that a further pass changes neither side.
func (b *bundle) quiet() {
	b.t.Helper()
	modseq := func() (n uint64) {
		b.See(func(ctx context.Context, tx *record.Tx) error {
			a, err := tx.Mailbox.Account(ctx, b.ann.Account)
			n = a.Modseq
			return err
		})
		return n
	}
	before, there := modseq(), b.there()
	b.merge(standby)
	if after := modseq(); after != before {
		b.t.Errorf("a pass with nothing to do made %d changes here", after-before)
	}
	b.want(b.there(), there)
}

func TestRebuiltPrimaryGetsEverythingOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.connect().Create("Projets", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		b.appendThere("INBOX", fmt.Sprintf("message %02d", i), imap.FlagSeen)
	}
	b.appendThere("Projets", "twin")
	b.merge(standby)
	want := b.there()

	b.server.Kill()
	b.client = nil
	b.server.Wipe()
	b.Deliver(b.ann, "during the outage")
	want["INBOX"] = append([]string{"during the outage ()"}, want["INBOX"]...)
	b.server.Run()
	b.do(b.service.Rebuilt(t.Context(), b.Domain.ID, "test"))
	b.merge(returning)
	b.want(b.there(), want)
	b.same()
	b.merge(returning)
	b.want(b.there(), want)
}

func (b *bundle) do(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestWipedPrimaryFreezesUntilDeclared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 60 {
		b.appendThere("INBOX", fmt.Sprintf("message %02d", i))
	}
	b.merge(standby)
	b.server.Kill()
	b.client = nil
	b.server.Wipe()
	b.server.Run()
	_, _, err := b.service.Merge(t.Context(), b.primary, b.ann, standby)
	for range 3 { // connections of before the kill are found dead first
		if err != nil && !fault.Is(err, fault.Frozen) {
			_, _, err = b.service.Merge(t.Context(), b.primary, b.ann, standby)
		}
	}
	if !fault.Is(err, fault.Frozen) {
		t.Fatalf("want frozen, got %v", err)
	}
	if n := len(b.here()["INBOX"]); n != 60 {
		t.Errorf("%d messages are left here", n)
	}
	b.do(b.service.Rebuilt(t.Context(), b.Domain.ID, "test"))
	b.merge(returning)
	b.same()
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		decision link.Decision
		left     int
	}{{link.Accept, 40}, {link.Refuse, 100}} {
		t.Run(string(c.decision), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for i := range 100 {
				b.appendThere("INBOX", fmt.Sprintf("message %02d", i))
			}
			b.merge(standby)
			b.expungeThere("INBOX", 1, 60)
			if _, _, err := b.service.Merge(t.Context(), b.primary, b.ann, standby); !fault.Is(err, fault.Frozen) {
				t.Fatalf("want frozen, got %v", err)
			}
			if n := len(b.here()["INBOX"]); n != 100 {
				t.Fatalf("%d messages are left here although the mirror is frozen", n)
			}
			if n, err := b.service.Decide(t.Context(), b.Domain.ID, c.decision, "admin"); err != nil || n != 1 {
				t.Fatalf("decide: %d, %v", n, err)
			}
			b.merge(standby)
			if n := len(b.here()["INBOX"]); n != c.left {
				t.Errorf("%d messages are left here, want %d", n, c.left)
			}
			b.same()
		})
	}
}

func TestIdenticalCopiesStayTwo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.Message("twin")
	b.appendRaw("INBOX", raw)
	b.appendRaw("INBOX", raw)
	b.merge(standby)
	b.want(b.here(), map[string][]string{"INBOX": {"twin ()", "twin ()"}})
	b.expungeThere("INBOX", 1, 1)
	b.merge(standby)
	b.want(b.here(), map[string][]string{"INBOX": {"twin ()"}})
	b.same()
}
