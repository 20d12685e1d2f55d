package recordtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"relais/internal/directory"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// records counts the records in the packs.
func (b *Bundle) records() int64 {
	b.T.Helper()
	report, err := b.Check(b.T.Context(), record.CheckOptions{Bodies: true})
	if err != nil {
		b.T.Fatal(err)
	}
	return report.Packs.Records
}

func testFileMany(t *testing.T, b *Bundle) {
	var people []directory.Person
	for i := range 20 {
		people = append(people, b.Person(string(rune('a'+i))))
	}
	body := b.Message("to all")
	filed, err := b.File(t.Context(), b.Filing(body, people...))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "placements", len(filed.Placements), 20)
	want(t, "records", b.records(), 1)
	again, err := b.File(t.Context(), b.Filing(body, people[0]))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "email", again.Email, filed.Email)
	want(t, "records after the second filing", b.records(), 1)
	got, err := b.Body(t.Context(), b.Tenant.ID, mail.Sum(body))
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%q, %v", got, err)
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		s, err := tx.Mailbox.Summaries(ctx, []mail.EmailID{filed.Email, filed.Email + 1})
		want(t, "summaries", len(s), 1)
		return err
	})
}

func testFileSameBody(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	body := b.Message("at once")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := b.File(t.Context(), b.Filing(body, ann)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want(t, "messages", b.Box(ann.Account, "INBOX").Messages, 16)
}

func testRepeat(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	body := b.Message("once")
	key := sha256.Sum256(body)
	file := func(id string, key []byte) *record.Filed {
		t.Helper()
		f := b.Filing(body, ann)
		f.Intake = &record.Intake{ID: id, Peer: "192.0.2.1", MailFrom: "bob@example.net", RepeatKey: key}
		filed, err := b.File(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return filed
	}
	want(t, "the first", file("1", key[:]).Repeat, false)
	want(t, "its repeat", file("2", key[:]).Repeat, true)
	want(t, "messages", b.Box(ann.Account, "INBOX").Messages, 1)
	want(t, "without a key", file("3", nil).Repeat, false)
	want(t, "without a key again", file("4", nil).Repeat, false)
	b.Clock.Advance(record.RepeatWindow + time.Second)
	want(t, "after the window", file("5", key[:]).Repeat, false)
	b.Clock.Advance(record.RepeatWindow + time.Second)
	b.Do(func(ctx context.Context, tx *record.Tx) error { return tx.PruneRepeats(ctx) })
	want(t, "after pruning", file("6", key[:]).Repeat, false)
	b.See(func(ctx context.Context, tx *record.Tx) error {
		a, err := tx.Intake(ctx, "1")
		want(t, "the arrival's hash", a.Hash, mail.Sum(body))
		return err
	})
}

func testFileFails(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	wrong := errors.New("wrong")
	f := b.Filing(b.Message("not filed"), ann)
	f.Then = func(context.Context, *record.Tx, *record.Filed) error { return wrong }
	if _, err := b.File(t.Context(), f); !errors.Is(err, wrong) {
		t.Fatalf("got %v", err)
	}
	want(t, "messages", b.Box(ann.Account, "INBOX").Messages, 0)
	b.See(func(ctx context.Context, tx *record.Tx) error {
		a, err := tx.Mailbox.Account(ctx, ann.Account)
		want(t, "modseq", a.Modseq, 6)
		return err
	})
	f.Then = nil
	if _, err := b.File(t.Context(), f); err != nil {
		t.Fatalf("the second try: %v", err)
	}
}

func testWatch(t *testing.T, b *Bundle) {
	ann, bob := b.Person("ann"), b.Person("bob")
	hers, stop := b.Watch(ann.Account)
	his, stopHis := b.Watch(bob.Account)
	any, stopAny := b.Watch(0)
	topic, stopTopic := b.WatchTopic(record.TopicQueue)
	defer stopHis()
	defer stopAny()
	defer stopTopic()
	b.Deliver(ann, "x")
	b.Deliver(ann, "y")
	<-hers
	<-any
	select {
	case <-hers:
		t.Error("two signals for what was not taken")
	case <-his:
		t.Error("a signal for another's change")
	case <-topic:
		t.Error("a signal of a topic without one")
	default:
	}
	stop()
	b.Do(func(_ context.Context, tx *record.Tx) error { tx.Signal(record.TopicQueue); return nil })
	<-topic
	b.Deliver(ann, "z")
	<-any
	select {
	case <-hers:
		t.Error("a signal after stop")
	default:
	}
	_ = b.Update(t.Context(), func(_ context.Context, tx *record.Tx) error {
		tx.Signal(record.TopicQueue)
		return errors.New("undone")
	})
	select {
	case <-topic:
		t.Error("a signal of what was undone")
	default:
	}
}

// testCheck breaks each invariant and expects the check to name it.
func testCheck(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	p := b.Deliver(ann, "x")
	for _, c := range []struct{ invariant, broken, mended string }{
		{"numbered without a gap", `UPDATE accounts SET modseq = modseq + 1`, `UPDATE accounts SET modseq = modseq - 1`},
		{"counters of a mailbox", `UPDATE mailboxes SET bytes = bytes + 1 WHERE messages = 1`, `UPDATE mailboxes SET bytes = bytes - 1 WHERE messages = 1`},
		{"UIDNEXT and modseq", `UPDATE mailboxes SET uidnext = 1 WHERE messages = 1`, `UPDATE mailboxes SET uidnext = 2 WHERE messages = 1`},
		{"has its mailbox, email and body", `UPDATE blobs SET size = size + 1`, `UPDATE blobs SET size = size - 1`},
		{"last change of a message", `UPDATE placements SET system = 4`, `UPDATE placements SET system = 0`},
		{"each change of a message", `UPDATE changes SET placement_id = 99 WHERE kind = 'place'`, `UPDATE changes SET placement_id = 1 WHERE kind = 'place'`},
		{"UIDVALIDITY is given once", `UPDATE accounts SET uidvalidity = uidvalidity - 1`, `UPDATE accounts SET uidvalidity = uidvalidity + 1`},
		{"account of her tenant", `UPDATE people SET account_id = 99`, `UPDATE people SET account_id = 1`},
		{"an address is somebody's", `UPDATE addresses SET person_id = 99`, `UPDATE addresses SET person_id = 1`},
	} {
		run := func(query string) {
			b.Do(func(ctx context.Context, tx *record.Tx) error { _, err := tx.DB.Exec(ctx, query); return err })
		}
		run(c.broken)
		violations, err := b.CheckRows(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		named := false
		for _, v := range violations {
			named = named || bytes.Contains([]byte(v.Invariant), []byte(c.invariant))
		}
		if !named {
			t.Errorf("%s: not named among %v", c.broken, violations)
		}
		run(c.mended)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		body, err := tx.Mailbox.Body(ctx, b.Tenant.ID, p.Hash)
		if err != nil {
			return err
		}
		lost := p.Hash
		lost[0]++
		return tx.Mailbox.AddBody(ctx, mailbox.BodyRow{Tenant: b.Tenant.ID, Hash: lost, Ref: body, Size: p.Size})
	})
	report, err := b.Check(t.Context(), record.CheckOptions{Bodies: true})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "violations with a row that names another's record", len(report.Violations), 1)
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.DB.Exec(ctx, `DELETE FROM blobs WHERE hash <> $1`, p.Hash[:])
		return err
	})
}
