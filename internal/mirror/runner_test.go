package mirror_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"relais/internal/directory"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror"
	"relais/internal/record"
)

// inStandby is the gate of a domain whose primary is in charge.
type inStandby struct{}

func (inStandby) Mode(context.Context, mail.DomainID) (mirror.Mode, error) { return standby, nil }

// serve runs the service for a bundle whose domain has its Dovecot as the primary.
func (b *bundle) serve(every time.Duration) {
	b.t.Helper()
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Directory.SetPrimary(ctx, directory.Primary{Domain: b.Domain.ID, Kind: "imap", IMAPAddr: b.server.Addr, IMAPTLS: "none",
			SMTPAddr: "127.0.0.1:1", SMTPTLS: "none"})
	})
	b.service = mirror.New(mirror.Config{Store: b.Store, Gate: inStandby{}, Every: every, Pause: 10 * time.Millisecond, Clock: b.Clock,
		Log: slog.New(slog.DiscardHandler),
		Connector: func(context.Context, directory.Domain, directory.Primary) (mirror.Primary, error) {
			return b.primary, nil
		}})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := b.service.Run(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	b.t.Cleanup(func() {
		stop()
		<-ended
	})
}

// await waits for a change of the account until done says yes.
func (b *bundle) await(signal <-chan struct{}, done func() bool) {
	b.t.Helper()
	limit := time.After(30 * time.Second)
	for !done() {
		select {
		case <-signal:
		case <-limit:
			b.t.Fatal("waited in vain")
		}
	}
}

func (b *bundle) inbox() (m mailbox.Mailbox) {
	b.t.Helper()
	return b.Box(b.ann.Account, "INBOX")
}

// With polls an hour apart only IDLE can tell of a change at the primary.
func TestNewsOfThePrimaryComeByIdle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.appendThere("INBOX", "first")
	changed, stop := b.Watch(b.ann.Account)
	defer stop()
	b.serve(time.Hour)
	b.await(changed, func() bool { return b.inbox().Messages == 1 })
	var lags []time.Duration
	for i := range 20 {
		began := time.Now()
		b.appendThere("INBOX", fmt.Sprint("news ", i))
		b.await(changed, func() bool { return b.inbox().Messages == int64(i+2) })
		lags = append(lags, time.Since(began))
	}
	slices.Sort(lags)
	if p95 := lags[len(lags)*95/100]; p95 > 2*time.Second {
		t.Errorf("the lag is %s at the 95th percentile", p95)
	}
	t.Logf("lag: median %s, worst %s", lags[len(lags)/2], lags[len(lags)-1])

	// A change here ends the waiting, and reaches the primary by the same connection.
	p := b.find("news 3")
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.SetFlags(ctx, p.ID, mail.ParseFlags(`\Flagged`), mail.ByPerson)
		return err
	})
	limit := time.Now().Add(30 * time.Second)
	for !slices.Contains(b.there()["INBOX"], `news 3 (\Flagged)`) {
		if time.Now().After(limit) {
			t.Fatal("the flag did not arrive")
		}
	}
}

func TestPeopleComeAndGoWhileTheMirrorRuns(t *testing.T) {
	t.Parallel()
	b := setup(t, people("p", 2))
	ann, stranger := b.another("p0"), b.another("stranger") // whom the server does not know: the others go on
	ann.appendThere("INBOX", "hello")
	changed, stop := b.Watch(ann.ann.Account)
	defer stop()
	b.serve(time.Hour)
	b.await(changed, func() bool { return ann.inbox().Messages == 1 })

	bob := b.another("p1")
	bob.appendThere("INBOX", "hello")
	came, stopCame := b.Watch(bob.ann.Account)
	defer stopCame()
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		tx.Signal(record.TopicDirectory)
		for _, p := range []directory.Person{ann.ann, stranger.ann} {
			if err := tx.Directory.RemovePerson(ctx, p.ID); err != nil {
				return err
			}
		}
		return nil
	})
	b.await(came, func() bool { return bob.inbox().Messages == 1 })
	for _, a := range b.service.Status(b.Domain.ID).Accounts {
		if a.Account == ann.ann.Account || a.Account == stranger.ann.Account {
			t.Errorf("%s has left and is still merged", a.Email)
		}
	}
}
