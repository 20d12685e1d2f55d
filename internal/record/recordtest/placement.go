package recordtest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// testLife leads one message through everything that can happen to it.
func testLife(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	inbox, trash := b.Box(ann.Account, "INBOX"), b.Box(ann.Account, "Trash")
	p := b.Deliver(ann, "life")
	want(t, "first UID", p.UID, 1)
	step := func(fn func(ctx context.Context, tx *record.Tx) (mailbox.Placement, error)) {
		t.Helper()
		b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
			p, err = fn(ctx, tx)
			return err
		})
	}
	step(func(ctx context.Context, tx *record.Tx) (mailbox.Placement, error) {
		return tx.Mailbox.SetFlags(ctx, p.ID, mail.ParseFlags(`\Seen`, "$Label1"), mail.ByPerson)
	})
	want(t, "unseen", b.Box(ann.Account, "INBOX").Unseen, 0)
	step(func(ctx context.Context, tx *record.Tx) (mailbox.Placement, error) {
		return tx.Mailbox.Move(ctx, p.ID, trash.ID, mail.ByPerson)
	})
	want(t, "UID in Trash", p.UID, 1)
	want(t, "messages left", b.Box(ann.Account, "INBOX").Messages, 0)
	step(func(ctx context.Context, tx *record.Tx) (mailbox.Placement, error) {
		tx.As("ann@example.org")
		return tx.Mailbox.Expunge(ctx, p.ID, mail.ByPerson)
	})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		gone, err := tx.Mailbox.Placement(ctx, p.ID)
		want(t, "deleted by", gone.DeletedBy, "ann@example.org")
		want(t, "flags of the tombstone", gone.Flags.String(), `(\Seen $Label1)`)
		return err
	})
	for _, fn := range []updater{
		func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Mailbox.SetFlags(ctx, p.ID, mail.Flags{}, mail.ByPerson)
			return err
		},
		func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Mailbox.Expunge(ctx, p.ID, mail.ByPerson)
			return err
		},
		func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Mailbox.Move(ctx, p.ID, inbox.ID, mail.ByPerson)
			return err
		},
	} {
		if err := b.Update(t.Context(), fn); !fault.Is(err, fault.NotFound) {
			t.Errorf("on a tombstone: %v", err)
		}
	}
	step(func(ctx context.Context, tx *record.Tx) (mailbox.Placement, error) {
		return tx.Mailbox.Restore(ctx, p.ID, inbox.ID, mail.ByPerson)
	})
	want(t, "UID after the return", p.UID, 2)
	b.See(func(ctx context.Context, tx *record.Tx) error {
		changes, err := tx.Mailbox.ChangesOf(ctx, p.ID)
		if err != nil {
			return err
		}
		var kinds []mailbox.ChangeKind
		for _, c := range changes {
			kinds = append(kinds, c.Kind)
		}
		if !slices.Equal(kinds, []mailbox.ChangeKind{mailbox.Placed, mailbox.Flagged, mailbox.Moved, mailbox.Expunged, mailbox.Restored}) {
			t.Errorf("life: %v", kinds)
		}
		for box, wanted := range map[mail.MailboxID]int{inbox.ID: 1, trash.ID: 1} {
			uids, err := tx.Mailbox.Vanished(ctx, box, 0)
			if err != nil {
				return err
			}
			want(t, "vanished", len(uids), wanted)
		}
		changed := 0
		err = tx.Mailbox.ChangedSince(ctx, inbox.ID, changes[3].Modseq, func(mailbox.Placement) error { changed++; return nil })
		want(t, "changed since the expunge", changed, 1)
		return err
	})
}

func testSameFlags(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	p := b.Deliver(ann, "x")
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		first, err := tx.Mailbox.SetFlags(ctx, p.ID, mail.ParseFlags("Work"), mail.ByPerson)
		if err != nil {
			return err
		}
		again, err := tx.Mailbox.SetFlags(ctx, p.ID, mail.ParseFlags("work"), mail.ByPerson)
		want(t, "modseq", again.Modseq, first.Modseq)
		return err
	})
	many := make([]string, mail.MaxKeywords+1)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.SetFlags(ctx, p.ID, mail.ParseFlags(many...), mail.ByPerson)
		return err
	})
	if !fault.Is(err, fault.OverLimit) {
		t.Errorf("too many keywords: %v", err)
	}
}

// testPages reads more than one page, and changes what it reads.
func testPages(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	inbox := b.Box(ann.Account, "INBOX")
	p := b.Deliver(ann, "x")
	const n = 2100
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		for range n - 1 {
			if _, err := tx.Mailbox.Copy(ctx, p.ID, inbox.ID, mail.ByPerson); err != nil {
				return err
			}
		}
		return nil
	})
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		next := uint32(1)
		err := tx.Mailbox.Placements(ctx, inbox.ID, 1, 0, func(p mailbox.Placement) error {
			want(t, "UID", p.UID, next)
			next++
			if p.UID%700 != 0 {
				return nil
			}
			_, err := tx.Mailbox.Expunge(ctx, p.ID, mail.ByPerson)
			return err
		})
		want(t, "read", next-1, n)
		return err
	})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		seen := 0
		if err := tx.Mailbox.Placements(ctx, inbox.ID, 600, 800, func(mailbox.Placement) error { seen++; return nil }); err != nil {
			return err
		}
		want(t, "in a range", seen, 200)
		seen = 0
		err := tx.Mailbox.ChangedSince(ctx, inbox.ID, 0, func(mailbox.Placement) error { seen++; return nil })
		want(t, "live", seen, n-3)
		return err
	})
	want(t, "counted", b.Box(ann.Account, "INBOX").Messages, n-3)
}

func testAcrossAccounts(t *testing.T, b *Bundle) {
	ann, bob := b.Person("ann"), b.Person("bob")
	p := b.Deliver(ann, "for both")
	there := b.Box(bob.Account, "INBOX")
	err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.Move(ctx, p.ID, there.ID, mail.ByPerson)
		return err
	})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("moved to another account: %v", err)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		c, err := tx.Mailbox.Copy(ctx, p.ID, there.ID, mail.ByPerson)
		want(t, "account of the copy", c.Account, bob.Account)
		want(t, "email of the copy", c.Email, p.Email)
		return err
	})
	var other directory.Tenant
	var shared mailbox.Account
	b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
		other, err = tx.Directory.CreateTenant(ctx, directory.NewTenant{Slug: "other", Wrap: func(mail.TenantID) ([]byte, string, error) { return []byte{1}, "k", nil }})
		if err != nil {
			return err
		}
		shared, err = tx.Mailbox.CreateAccount(ctx, other.ID, mailbox.Shared)
		return err
	})
	err = b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		box, err := tx.Mailbox.MailboxByRole(ctx, shared.ID, mail.Inbox)
		if err != nil {
			return err
		}
		_, err = tx.Mailbox.Copy(ctx, p.ID, box.ID, mail.ByPerson)
		return err
	})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("copied to another tenant: %v", err)
	}
}

func testThreads(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	first := b.Deliver(ann, "a") // <m1@…>
	answer := b.Deliver(ann, "b", "In-Reply-To: <m1@example.net>")
	alone := b.Deliver(ann, "c")
	late := b.Deliver(ann, "d", "References: <unseen@x> <m3@example.net>")
	joins := b.Deliver(ann, "e", "References: <m2@example.net>", "In-Reply-To: <m4@example.net>")
	by := b.Deliver(ann, "f", "References: <unseen@x>")
	want(t, "the answer", answer.Thread, first.Thread)
	want(t, "the late one", late.Thread, alone.Thread)
	want(t, "of two the older", joins.Thread, first.Thread)
	want(t, "by an ancestor not here", by.Thread, alone.Thread)
	if first.Thread == alone.Thread {
		t.Error("two beginnings, one thread")
	}
	many := "References:"
	for i := range 60 {
		many += fmt.Sprintf(" <r%d@x>", i)
	}
	long := b.Deliver(ann, "long", many)
	near := b.Deliver(ann, "near", "References: <r59@x>")
	want(t, "the nearest of many", near.Thread, long.Thread)
	b.See(func(ctx context.Context, tx *record.Tx) error {
		members, err := tx.Mailbox.Thread(ctx, ann.Account, first.Thread)
		want(t, "members", len(members), 3)
		return err
	})
}
