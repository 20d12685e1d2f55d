package recordtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"relais/internal/audit"
	"relais/internal/fault"
	"relais/internal/job"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// placeOf places an email that is there already in an inbox.
func placeOf(acc mail.AccountID, e mailbox.Email) mailbox.Place {
	return mailbox.Place{Account: acc, Email: e.ID, Hash: e.Hash, Size: e.Size, MessageIDs: []string{e.MessageID}, Origin: mail.ByIntake}
}

func testJobs(t *testing.T, b *Bundle) {
	var id int64
	b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
		id, err = tx.Jobs.Enqueue(ctx, job.New{Kind: "index", Payload: map[string]int{"account": 1}})
		return err
	})
	claim := func(wanted int) (jobs []job.Job) {
		t.Helper()
		b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
			jobs, err = tx.Jobs.Claim(ctx, 10, time.Minute)
			return err
		})
		want(t, "claimed", len(jobs), wanted)
		return jobs
	}
	j := claim(1)[0]
	var payload map[string]int
	if err := j.Decode(&payload); err != nil || payload["account"] != 1 {
		t.Errorf("payload %v, %v", payload, err)
	}
	claim(0)
	b.Clock.Advance(time.Minute)
	want(t, "attempts after the lease", claim(1)[0].Attempts, 2)
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Jobs.Retry(ctx, id, tx.Now.Add(time.Second), "not yet")
	})
	claim(0)
	b.Clock.Advance(time.Second)
	want(t, "why", claim(1)[0].Error, "not yet")
	b.Do(func(ctx context.Context, tx *record.Tx) error { return tx.Jobs.Fail(ctx, id, "never") })
	b.Clock.Advance(time.Hour)
	claim(0)
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		failed, err := tx.Jobs.Failed(ctx, 10)
		if err != nil {
			return err
		}
		want(t, "failed", len(failed), 1)
		return tx.Jobs.Prune(ctx, tx.Now.Add(time.Hour))
	})
}

// testRunner runs a job that fails once, one that panics for good and one that is filed while the runner waits.
func testRunner(t *testing.T, b *Bundle) {
	ran := make(chan string, 10)
	failed := false
	runner := job.NewRunner(job.RunnerConfig{Workers: 1, FirstRetry: time.Nanosecond, MaxAttempts: 2, Clock: b.Clock}, b.Store, map[string]job.Handler{
		"once": func(context.Context, job.Job) error {
			if !failed {
				failed = true
				return errors.New("the first time")
			}
			ran <- "once"
			return nil
		},
		"panic": func(context.Context, job.Job) error { ran <- "panic"; panic("boom") },
		"late":  func(context.Context, job.Job) error { ran <- "late"; return nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); runner.Run(ctx) }()
	file := func(kind string) {
		b.Do(func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Jobs.Enqueue(ctx, job.New{Kind: kind})
			return err
		})
	}
	b.Clock.Advance(time.Second)
	for _, kind := range []string{"once", "panic", "late"} {
		file(kind)
		b.Clock.Advance(time.Second) // the retry is due
		want(t, "ran", <-ran, kind)
		if kind == "panic" {
			b.Clock.Advance(time.Second)
			file("nobody's") // wakes the runner, has no handler
			want(t, "ran again", <-ran, kind)
		}
	}
	cancel()
	<-ended
}

func testAudit(t *testing.T, b *Bundle) {
	for _, action := range []string{"domain.add", "mirror.freeze", "people.import"} {
		b.Do(func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Audit.Append(ctx, audit.New{Tenant: b.Tenant.ID, Actor: "root", Action: action, Object: "example.org"})
			return err
		})
	}
	verify := func() (n int64, err error) {
		b.See(func(ctx context.Context, tx *record.Tx) error {
			n, _, err = tx.Audit.Verify(ctx)
			return nil
		})
		return n, err
	}
	if n, err := verify(); err != nil || n != 3 {
		t.Fatalf("%d entries, %v", n, err)
	}
	set := func(actor string) {
		b.Do(func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.DB.Exec(ctx, `UPDATE audit SET actor = $1 WHERE id = 2`, actor)
			return err
		})
	}
	set("nobody")
	if n, err := verify(); !fault.Is(err, fault.Corrupt) || n != 1 {
		t.Fatalf("altered: %d entries, %v", n, err)
	}
	set("root")
}

func testLinks(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	p, q := b.Deliver(ann, "linked"), b.Deliver(ann, "not linked")
	var l link.Link
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		f, err := tx.Link.OpenFolder(ctx, link.Folder{Account: ann.Account, Name: "INBOX", Mailbox: p.Mailbox, Role: mail.Inbox, Token: link.Token{UIDValidity: 9}})
		if err != nil {
			return err
		}
		l, err = tx.Link.Open(ctx, link.Link{Account: ann.Account, Placement: p.ID, Folder: f.Key, UIDValidity: 9, UID: 4, BaseMailbox: p.Mailbox})
		return err
	})
	err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Link.Open(ctx, link.Link{Account: ann.Account, Placement: q.ID, Folder: l.Folder, UIDValidity: 9, UID: 4})
		return err
	})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("one UID for two: %v", err)
	}
	b.Clock.Advance(time.Second)
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		l.Base = mail.ParseFlags(`\Seen`, "$Label1")
		_, err = tx.Link.Rebase(ctx, l)
		return err
	})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		now, ok, err := tx.Link.ByRemote(ctx, l.Folder, 9, 4)
		if err != nil {
			return err
		}
		want(t, "found", ok, true)
		want(t, "base", now.Base.String(), `(\Seen $Label1)`)
		alone, err := tx.Link.Unlinked(ctx, ann.Account)
		if err != nil {
			return err
		}
		want(t, "without a link", len(alone), 1)
		folders, err := tx.Link.FoldersAsOf(ctx, ann.Account, Start.Add(-time.Hour))
		want(t, "folders before the first", len(folders), 0)
		return err
	})
}
