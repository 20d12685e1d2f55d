package recordtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/record"
)

func testUndo(t *testing.T, b *Bundle) {
	wrong := errors.New("wrong")
	err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Directory.SetSetting(ctx, "a", "1"); err != nil {
			return err
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Fatalf("got %v", err)
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		v, err := tx.Directory.Setting(ctx, "a")
		want(t, "the setting", v, "")
		return err
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Update(ctx, func(context.Context, *record.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Fatalf("with an ended context: %v", err)
	}
}

func testSnapshot(t *testing.T, b *Bundle) {
	b.See(func(ctx context.Context, tx *record.Tx) error {
		first, err := tx.Directory.Setting(ctx, "a")
		if err != nil {
			return err
		}
		b.Do(func(ctx context.Context, tx *record.Tx) error { return tx.Directory.SetSetting(ctx, "a", "1") })
		second, err := tx.Directory.Setting(ctx, "a")
		want(t, "the second look", second, first)
		return err
	})
	err := b.View(t.Context(), func(ctx context.Context, tx *record.Tx) error { return tx.Directory.SetSetting(ctx, "b", "1") })
	if err == nil {
		t.Fatal("a view wrote")
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		v, err := tx.Directory.Setting(ctx, "b")
		want(t, "the setting", v, "")
		return err
	})
}

func testPanic(t *testing.T, b *Bundle) {
	err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Directory.SetSetting(ctx, "a", "1"); err != nil {
			return err
		}
		panic("boom")
	})
	if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v", err)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error { return tx.Directory.SetSetting(ctx, "b", "1") })
}

func testOddText(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	body := []byte("Message-ID: <a\x00b\xff@x>\r\nSubject: =?x?= \xe9\x00\r\nFrom: \"\xff\" <a\x00@b\xff>\r\n\r\nx\x00\r\n")
	f := b.Filing(body, ann)
	f.Intake = &record.Intake{ID: "01", Peer: "\xff", Helo: "\x00", MailFrom: "é\xe9@x"}
	if _, err := b.File(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	id := mime.Examine(body).Fingerprint.MessageID
	b.See(func(ctx context.Context, tx *record.Tx) error {
		found, err := tx.Mailbox.PlacementsByMessageID(ctx, ann.Account, id)
		want(t, "found by its odd Message-ID", len(found), 1)
		return err
	})
}

// testConcurrent has many callers change few accounts in opposite orders: no
// update is lost, no modseq given twice, no caller hears of a deadlock.
func testConcurrent(t *testing.T, b *Bundle) {
	ann, bob := b.Person("ann"), b.Person("bob")
	first := b.Deliver(ann, "flagged by all")
	const callers, each = 8, 8
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			people := []mail.AccountID{ann.Account, bob.Account}
			if c%2 == 1 {
				people[0], people[1] = people[1], people[0]
			}
			for i := range each {
				f := b.Filing(b.Message("many"))
				for _, p := range people {
					f.Places = append(f.Places, record.Place{Account: p})
				}
				if _, err := b.File(t.Context(), f); err != nil {
					t.Errorf("caller %d: %v", c, err)
				}
				if i > 0 {
					continue
				}
				// Twice the same account, in the wrong order of locks on purpose.
				err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
					if _, err := tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: people[1], Name: name(c, i), Origin: mail.ByPerson}); err != nil {
						return err
					}
					p, err := tx.Mailbox.Placement(ctx, first.ID)
					if err != nil {
						return err
					}
					_, err = tx.Mailbox.SetFlags(ctx, first.ID, p.Flags.Union(mail.ParseFlags(name(c, i))), mail.ByPerson)
					return err
				})
				if err != nil {
					t.Errorf("caller %d: %v", c, err)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range []mail.AccountID{ann.Account, bob.Account} {
		m := b.Box(p, "INBOX")
		extra := int64(0)
		if p == ann.Account {
			extra = 1
		}
		want(t, "messages", m.Messages, callers*each+extra)
		want(t, "uidnext", int64(m.UIDNext), m.Messages+1)
	}
}

func name(c, i int) string { return "k" + string(rune('a'+c)) + string(rune('a'+i)) }
