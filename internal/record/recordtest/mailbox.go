package recordtest

import (
	"context"
	"strings"
	"testing"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

func testDefaults(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	b.See(func(ctx context.Context, tx *record.Tx) error {
		boxes, err := tx.Mailbox.Mailboxes(ctx, ann.Account)
		if err != nil {
			return err
		}
		var names []string
		validity := map[uint32]bool{}
		for _, m := range boxes {
			names = append(names, m.Name)
			validity[m.UIDValidity] = true
			if !m.ByRelais || !m.Subscribed || m.UIDNext != 1 || m.UIDValidity == 0 {
				t.Errorf("%+v", m)
			}
		}
		want(t, "names", strings.Join(names, " "), "Archive Drafts INBOX Junk Sent Trash")
		want(t, "different UIDVALIDITYs", len(validity), 6)
		a, err := tx.Mailbox.Account(ctx, ann.Account)
		want(t, "modseq", a.Modseq, 6)
		return err
	})
}

func testNames(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	for _, bad := range []string{"", "a//b", "/a", "a/", "a\x00", "a\tb", "a\u0085b", "\xff", strings.Repeat("x", 256), strings.Repeat("x/", 20) + "x"} {
		_, err := create(b, ann.Account, bad)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	m, err := create(b, ann.Account, "inBox/e\u0301te\u0301")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "normalised", m.Name, "INBOX/\u00e9t\u00e9")
	if _, err := create(b, ann.Account, "inbox"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second inbox: %v", err)
	}
	if _, err := create(b, ann.Account, "Projets/2026/Été"); err != nil {
		t.Fatal(err)
	}
	for _, up := range []string{"Projets", "Projets/2026"} {
		b.Box(ann.Account, up)
	}
}

func create(b *Bundle, acc mail.AccountID, name string) (m mailbox.Mailbox, err error) {
	err = b.Update(b.T.Context(), func(ctx context.Context, tx *record.Tx) (err error) {
		m, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: acc, Name: name, Origin: mail.ByPerson})
		return err
	})
	return m, err
}

func testRename(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	var deep mailbox.Mailbox
	for _, n := range []string{"a", "a/b", "a/b/c", "ab"} {
		deep, _ = create(b, ann.Account, n)
	}
	_ = deep
	a, c := b.Box(ann.Account, "a"), b.Box(ann.Account, "a/b/c")
	rename := func(id mail.MailboxID, to string) error {
		return b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Mailbox.RenameMailbox(ctx, id, to, mail.ByPerson)
			return err
		})
	}
	if err := rename(a.ID, "z/a"); err != nil {
		t.Fatal(err)
	}
	moved := b.Box(ann.Account, "z/a/b/c")
	want(t, "the child", moved.ID, c.ID)
	want(t, "its UIDVALIDITY", moved.UIDValidity, c.UIDValidity)
	b.Box(ann.Account, "z")
	b.Box(ann.Account, "ab")
	for to, code := range map[string]fault.Code{"ab": fault.Conflict, "z/a/b/q": fault.Invalid, "x//y": fault.Invalid} {
		if err := rename(a.ID, to); !fault.Is(err, code) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if err := rename(b.Box(ann.Account, "INBOX").ID, "x"); !fault.Is(err, fault.Denied) {
		t.Errorf("INBOX: %v", err)
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		changes, err := tx.Mailbox.Changes(ctx, ann.Account, c.Modseq, 100)
		renamed := 0
		for _, ch := range changes {
			if ch.Kind == mailbox.MailboxRenamed {
				renamed++
			}
		}
		want(t, "changes of name", renamed, 3)
		return err
	})
}

func testDeleteMailbox(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	m, err := create(b, ann.Account, "old")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		p := b.Deliver(ann, "x")
		b.Do(func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Mailbox.Move(ctx, p.ID, m.ID, mail.ByPerson)
			return err
		})
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Mailbox.DeleteMailbox(ctx, m.ID, mail.ByPerson)
	})
	again, err := create(b, ann.Account, "old")
	if err != nil {
		t.Fatal(err)
	}
	if again.UIDValidity <= m.UIDValidity {
		t.Errorf("UIDVALIDITY %d after %d", again.UIDValidity, m.UIDValidity)
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		gone, err := tx.Mailbox.Tombstones(ctx, m.ID, 10)
		if err != nil {
			return err
		}
		want(t, "tombstones", len(gone), 5)
		want(t, "the latest", gone[0].UID, 5)
		uids, err := tx.Mailbox.Vanished(ctx, m.ID, 0)
		want(t, "vanished", len(uids), 5)
		return err
	})
	err = b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		return tx.Mailbox.DeleteMailbox(ctx, b.Box(ann.Account, "INBOX").ID, mail.ByPerson)
	})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("INBOX: %v", err)
	}
}

func testLostRole(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	sent := b.Box(ann.Account, "Sent")
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Mailbox.DeleteMailbox(ctx, sent.ID, mail.ByPerson)
	})
	f := b.Filing(b.Message("to bob"))
	f.Places = []record.Place{{Account: ann.Account, Role: mail.Sent, Flags: mail.ParseFlags(`\Seen`)}}
	filed, err := b.File(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	again := b.Box(ann.Account, "Sent")
	want(t, "mailbox", filed.Placements[0].Mailbox, again.ID)
	want(t, "role", again.Role, mail.Sent)
	want(t, "unseen", again.Unseen, 0)
}
