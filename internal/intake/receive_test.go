package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/intake/trace"
	"relais/internal/job"
	"relais/internal/mail"
	"relais/internal/record"
	"relais/internal/smtp"
)

const hello = "From: x@out.test\r\nMessage-ID: <1@out.test>\r\nSubject: hello\r\n\r\nHello\r\n"

func TestMessageIsFiledForEverybodyAndOwed(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.receive(t, envelope("x@out.test"), hello, "Ann+news@exemple.test", "all@exemple.test", "boss@exemple.test", "eve@rival.test", "all@exemple.test")
	for _, name := range []string{"ann", "bob", "eve"} {
		c.wantCount(t, name, mail.Inbox, 1)
	}
	c.wantCount(t, "carl", mail.Inbox, 0)
	body := c.holds(t, "ann", mail.Inbox)[0]
	if !strings.HasPrefix(body, "() Received: from out.test ([192.0.2.7])\r\n\tby mx.test (Relais) with ESMTP\r\n") || !strings.HasSuffix(body, hello) {
		t.Errorf("stored:\n%s", body)
	}
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		duties, err := tx.Duty.OfDomain(ctx, c.domain.ID)
		if err != nil {
			return err
		}
		var got []string
		for _, d := range duties {
			members, err := tx.Duty.Members(ctx, d.ID)
			if err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%s %s placed=%v members=%d", d.Recipient, d.State, d.Placement != 0, len(members)))
			if d.State != duty.Owed || d.Intake != trace.IntakeIDs([]byte(body[3:]))[0] {
				t.Errorf("duty %+v", d)
			}
		}
		want := []string{
			"ann+news@exemple.test owed placed=true members=0", "all@exemple.test owed placed=false members=2", "boss@exemple.test owed placed=true members=0",
		}
		if !slices.Equal(got, want) {
			t.Errorf("duties\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

func TestSendersRepeatIsSuppressedForADay(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.receive(t, envelope("x@out.test"), hello, "ann@exemple.test", "bob@exemple.test")
	c.receive(t, envelope("x@out.test"), hello, "bob@exemple.test", "ann@exemple.test")
	c.wantCount(t, "ann", mail.Inbox, 1)
	c.receive(t, envelope("x@out.test"), hello, "ann@exemple.test") // another envelope
	c.wantCount(t, "ann", mail.Inbox, 2)
	c.receive(t, envelope("x@out.test"), hello+"more\r\n", "ann@exemple.test") // other bytes
	c.wantCount(t, "ann", mail.Inbox, 3)
	c.clock.Advance(25 * time.Hour)
	c.receive(t, envelope("x@out.test"), hello, "ann@exemple.test", "bob@exemple.test")
	c.wantCount(t, "ann", mail.Inbox, 4)
}

func TestLoopsAreCut(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.receive(t, envelope("x@out.test"), hello, "ann@exemple.test")
	again := c.holds(t, "ann", mail.Inbox)[0][3:]
	e := envelope("x@out.test")
	err := c.Receive(t.Context(), e, c.targets(t, e, "ann@exemple.test"), []byte(again))
	wantReply(t, err, 554, "5.4.6")
	// The primary may send it on to somebody else here.
	c.receive(t, e, again, "carl@exemple.test")
	c.wantCount(t, "carl", mail.Inbox, 1)

	circling := strings.Repeat("Received: from a by b; x\r\n", trace.MaxHops+1) + hello
	wantReply(t, c.Receive(t.Context(), e, c.targets(t, e, "bob@exemple.test"), []byte(circling)), 554, "5.4.6")
	c.wantCount(t, "bob", mail.Inbox, 0)
}

func TestProbesAreOutsideEveryCount(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.receive(t, envelope("x@out.test"), "Relais-Probe: 1\r\n"+hello, "ann@exemple.test")
	c.wantCount(t, "ann", mail.Inbox, 0)
}

func TestUnknownRecipients(t *testing.T) {
	t.Parallel()
	c := open(t)
	ask := func(rcpt string) error {
		_, err := c.Recipient(t.Context(), envelope("x@out.test"), address(rcpt))
		return err
	}
	wantReply(t, ask("who@elsewhere.test"), 550, "5.7.1")
	wantReply(t, ask("who@rival.test"), 550, "5.1.1") // no primary to ask

	// In standby the primary's answer is given, and remembered for a while.
	no := smtp.NewReply(550, "5.1.1", "unknown at the primary")
	c.primary.set(time.Time{}, no)
	for range 3 {
		if err := ask("who@exemple.test"); !errors.Is(err, no) {
			t.Errorf("%v, want the primary's reply", err)
		}
	}
	if c.primary.asked != 1 {
		t.Errorf("the primary was asked %d times", c.primary.asked)
	}
	c.clock.Advance(2 * noFor)
	c.primary.set(time.Time{}, nil)
	if err := ask("who@exemple.test"); err != nil {
		t.Error(err)
	}
	c.primary.set(time.Time{}, fault.New(fault.Unavailable, "no answer"))
	if err := ask("who@exemple.test"); err != nil {
		t.Errorf("a remembered yes: %v", err)
	}
	wantReply(t, ask("other@exemple.test"), 450, "4.4.1")

	// While the primary is away nobody knows for 72 hours, then nobody is.
	c.primary.set(c.clock.Now(), nil)
	wantReply(t, ask("third@exemple.test"), 450, "4.1.1")
	c.clock.Advance(73 * time.Hour)
	wantReply(t, ask("third@exemple.test"), 550, "5.1.1")
}

func TestMailThatOnlyThePrimaryKnowsIsKeptAndOwed(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.receive(t, envelope("x@out.test"), hello, "list@exemple.test")
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		orphans, err := tx.Duty.Orphans(ctx, c.domain.ID)
		if err != nil {
			return err
		}
		if len(orphans) != 1 || orphans[0].Recipient != "list@exemple.test" || orphans[0].State != duty.Owed {
			t.Errorf("orphans %+v", orphans)
			return nil
		}
		_, err = tx.Mailbox.Email(ctx, orphans[0].Email)
		return err
	})
	// It goes to the person as soon as the directory knows the address.
	err := c.Store.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Directory.SetAliases(ctx, c.people["carl"].ID, []mail.Address{address("list@exemple.test")}); err != nil {
			return err
		}
		if err := Adopt(ctx, tx, c.domain.ID); err != nil {
			return err
		}
		return Adopt(ctx, tx, c.domain.ID) // again is harmless
	})
	if err != nil {
		t.Fatal(err)
	}
	c.wantCount(t, "carl", mail.Inbox, 1)
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		duties, err := tx.Duty.OfAccount(ctx, c.people["carl"].Account)
		if err == nil && (len(duties) != 1 || duties[0].Placement == 0) {
			t.Errorf("duties %+v", duties)
		}
		return err
	})
}

func TestSenderHearsThatThePrimaryRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.receive(t, envelope("ann@exemple.test"), hello, "list@exemple.test")
	var filed []job.Job
	err := c.Store.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		orphans, err := tx.Duty.Orphans(ctx, c.domain.ID)
		if err != nil {
			return err
		}
		if err := c.ReturnRefused(ctx, tx, orphans[0]); err != nil {
			return err
		}
		filed, err = tx.Jobs.Claim(ctx, 10, time.Minute)
		return err
	})
	if err != nil || len(filed) != 1 {
		t.Fatalf("jobs %+v, %v", filed, err)
	}
	if err := c.JobHandlers()[filed[0].Kind](t.Context(), filed[0]); err != nil {
		t.Fatal(err)
	}
	got := c.holds(t, "ann", mail.Inbox)
	if len(got) != 1 || !strings.Contains(got[0], "list@exemple.test") || !strings.Contains(got[0], "report-type=delivery-status") {
		t.Errorf("ann has %q", got)
	}
}

func wantReply(t *testing.T, err error, code int, enhanced string) {
	t.Helper()
	r, ok := errors.AsType[*smtp.Reply](err)
	if !ok || r.Code != code || r.Enhanced != enhanced {
		t.Errorf("%v, want %d %s", err, code, enhanced)
	}
}
