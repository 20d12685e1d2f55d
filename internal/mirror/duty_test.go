package mirror_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/intake/trace"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror"
	"relais/internal/record"
)

// owed files a message that arrived by SMTP for ann and is owed to her primary,
// with Relais's own Received line in it, as intake does.
func (b *bundle) owed(subject string) (mailbox.Placement, mail.DutyID, []byte) {
	b.t.Helper()
	line := trace.Line{Helo: "client.example.net", By: "mx.example.org", ID: trace.NewID(b.Clock.Now()), At: b.Clock.Now()}
	raw := append(line.Received(), b.Message(subject)...)
	f := b.Filing(raw, b.ann)
	f.Intake = &record.Intake{ID: line.ID, Peer: "192.0.2.1"}
	f.Duties = []duty.New{{Domain: b.Domain.ID, Recipient: b.ann.Email, Account: b.ann.Account}}
	filed, err := b.File(b.t.Context(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	return filed.Placements[0], filed.Duties[0], raw
}

// hand makes the duty handed over, as the relay does after the primary's 250.
func (b *bundle) hand(id mail.DutyID) {
	b.t.Helper()
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		if _, err := tx.Duty.ClaimRelay(ctx, b.Domain.ID, 10, time.Minute); err != nil {
			return err
		}
		return tx.Duty.HandedOver(ctx, id, "250 2.0.0 queued")
	})
}

func (b *bundle) duty(id mail.DutyID) (d duty.Duty) {
	b.t.Helper()
	b.See(func(ctx context.Context, tx *record.Tx) (err error) {
		d, err = tx.Duty.Duty(ctx, id)
		return err
	})
	return d
}

// delivered puts the copy at the primary that its own delivery made: with a header line in front, in a folder that a rule chose.
func (b *bundle) delivered(folder string, raw []byte) {
	b.t.Helper()
	b.appendRaw(folder, append([]byte("Delivered-To: ann@example.org\r\nReceived: from relais by mail.example.org; Sun, 1 Mar 2026 12:00:00 +0000\r\n"), raw...))
}

func TestRelayedCopyIsKnownAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.connect().Create("Clients", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	_, id, raw := b.owed("relayed")
	b.merge(standby)
	b.want(b.there(), map[string][]string{}) // the relay owns it: no append competes
	b.hand(id)
	b.delivered("Clients", raw)
	b.merge(standby)
	b.want(b.here(), map[string][]string{"Clients": {"relayed ()"}}) // in standby the primary's rule decides
	b.same()
	if d := b.duty(id); d.State != duty.Seen {
		t.Errorf("the duty is %s", d.State)
	}
	b.quiet()
}

func TestOwedIsAppendedOnReturn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	placement, id, _ := b.owed("owed")
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.SetFlags(ctx, placement.ID, mail.ParseFlags(`\Seen`), mail.ByPerson)
		return err
	})
	b.merge(active) // pulls only
	b.want(b.there(), map[string][]string{})
	b.do(b.service.Drain(t.Context(), b.Domain.ID))
	b.merge(returning)
	b.want(b.there(), map[string][]string{"INBOX": {`owed (\Seen)`}})
	if d := b.duty(id); d.State != duty.Seen {
		t.Errorf("the duty is %s", d.State)
	}
}

func TestLateCopyTakesOurAppendBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	placement, id, raw := b.owed("late")
	b.hand(id)
	b.merge(returning)
	b.want(b.there(), map[string][]string{}) // handed over: the old server may still deliver it
	b.Clock.Advance(time.Minute)
	b.do(b.service.Rebuilt(t.Context(), b.Domain.ID, "test"))
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.SetFlags(ctx, placement.ID, mail.ParseFlags(`\Flagged`), mail.ByPerson)
		return err
	})
	b.merge(returning)
	b.want(b.there(), map[string][]string{"INBOX": {`late (\Flagged)`}})
	b.delivered("INBOX", raw)
	b.merge(returning)
	b.want(b.there(), map[string][]string{"INBOX": {`late (\Flagged)`}})
	b.same()
	b.quiet()
}

// cutAfterAppend loses the answer to APPEND: the server has the message, nobody knows.
type cutAfterAppend struct {
	mirror.Primary
	cut bool
}

func (p *cutAfterAppend) Open(ctx context.Context, login string) (mirror.Session, error) {
	s, err := p.Primary.Open(ctx, login)
	return &cutSession{s, p}, err
}

type cutSession struct {
	mirror.Session
	p *cutAfterAppend
}

func (s *cutSession) Append(ctx context.Context, folder string, messages []mirror.Append) ([]mirror.Appended, error) {
	results, err := s.Session.Append(ctx, folder, messages)
	if err == nil && !s.p.cut {
		s.p.cut = true
		return nil, fault.Wrap(errors.New("connection reset by peer"), fault.Unavailable, "the primary does not answer")
	}
	return results, err
}

func TestAppendWithUnknownOutcomeIsNotRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		b.Deliver(b.ann, "same")
	}
	b.primary = &cutAfterAppend{Primary: b.primary}
	if _, _, err := b.service.Merge(t.Context(), b.primary, b.ann, standby); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("want unavailable, got %v", err)
	}
	b.merge(standby)
	b.want(b.there(), map[string][]string{"INBOX": {"same ()", "same ()", "same ()", "same ()", "same ()"}})
	b.same()
	b.quiet()
}

func TestDeletedHereIsNotHandedOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, early, _ := b.owed("deleted before")
	b.expunge("deleted before")
	b.merge(active)
	b.do(b.service.Drain(t.Context(), b.Domain.ID))
	b.merge(returning)
	b.want(b.there(), map[string][]string{})
	if d := b.duty(early); d.State != duty.Accepted { // else the relay would bring it back
		t.Errorf("the duty is %s", d.State)
	}

	// In standby it is handed over all the same; then the deletion follows.
	_, late, raw := b.owed("deleted after")
	b.hand(late)
	b.expunge("deleted after")
	b.delivered("INBOX", raw)
	b.merge(standby)
	b.want(b.there(), map[string][]string{})
	b.want(b.here(), map[string][]string{})
	if d := b.duty(late); d.State != duty.Seen {
		t.Errorf("the duty is %s", d.State)
	}
}

// Two aliases at the primary, or a rule that keeps a copy: what it has twice is twice here.
func TestDuplicatesOfARelayedMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.connect().Create("Copies", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	_, id, raw := b.owed("twice")
	b.hand(id)
	b.delivered("INBOX", raw)
	b.delivered("Copies", raw)
	b.merge(standby)
	b.want(b.here(), map[string][]string{"INBOX": {"twice ()"}, "Copies": {"twice ()"}})
	b.same()
	b.quiet()
}

// A copy that a person makes of a message which the mirror appended is no late delivery.
func TestCopyOfAnAppendedMessageIsACopy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owed("kept")
	b.merge(returning)
	b.inFolder("INBOX", func(c *imapClient) error {
		_, err := c.Copy(imap.UIDSetNum(1), "Sent").Wait()
		return err
	})
	b.merge(standby)
	b.want(b.here(), map[string][]string{"INBOX": {"kept ()"}, "Sent": {"kept ()"}})
	b.same()
}
