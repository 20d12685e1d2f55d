package intake

import (
	"context"
	"strings"
	"testing"
	"time"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/outbound"
	"relais/internal/record"
)

const letter = "From: Ann <ann@exemple.test>\r\nTo: bob@exemple.test\r\nBcc: z@out.test\r\nMessage-ID: <a1@exemple.test>\r\nDate: Mon, 02 Mar 2026 12:00:00 +0000\r\nSubject: lunch\r\n\r\nAt noon?\r\n"

func TestSubmittedMailGoesToColleaguesOutsideAndSent(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.submit(t, c.person("ann"), letter, "bob@exemple.test", "eve@rival.test", "z@out.test")
	c.wantCount(t, "bob", mail.Inbox, 1)
	c.wantCount(t, "eve", mail.Inbox, 1)
	c.wantCount(t, "ann", mail.Inbox, 0)
	sent := c.holds(t, "ann", mail.Sent)
	if len(sent) != 1 || !strings.HasPrefix(sent[0], `(\Seen) Received: from out.test`) {
		t.Fatalf("sent: %q", sent)
	}
	if strings.Contains(sent[0], "Bcc") || strings.Contains(sent[0], "192.0.2.7") || !strings.Contains(sent[0], "DKIM-Signature: d=exemple.test\r\n") {
		t.Errorf("what went out:\n%s", sent[0])
	}
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		items, err := tx.Outbound.List(ctx, outbound.Filter{})
		if err == nil && (len(items) != 1 || items[0].To != "z@out.test" || items[0].From != "ann@exemple.test") {
			t.Errorf("queue %+v", items)
		}
		return err
	})
	// A client that heard no answer sends again.
	c.submit(t, c.person("ann"), letter, "z@out.test", "bob@exemple.test", "eve@rival.test")
	c.wantCount(t, "bob", mail.Inbox, 1)
	c.wantCount(t, "eve", mail.Inbox, 1)
	c.wantCount(t, "ann", mail.Sent, 1)
}

func TestMessageToOneselfIsInInboxAndSent(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.submit(t, c.person("ann"), letter, "boss@exemple.test")
	c.wantCount(t, "ann", mail.Inbox, 1)
	c.wantCount(t, "ann", mail.Sent, 1)
}

func TestOnlyOwnIdentities(t *testing.T) {
	t.Parallel()
	c := open(t)
	e := c.person("ann")
	for from, fine := range map[string]bool{"ann@exemple.test": true, "BOSS@exemple.test": true, "ann+x@exemple.test": true, "": true, "bob@exemple.test": false, "ann@rival.test": false} {
		e.From = mail.Address{}
		if from != "" {
			e.From = address(from)
		}
		err := c.Sender(t.Context(), e)
		if fine && err != nil {
			t.Errorf("MAIL FROM %s: %v", from, err)
		}
		if !fine {
			wantReply(t, err, 550, "5.7.1")
		}
	}
	e = c.person("bob")
	if err := c.Submit(t.Context(), e, c.targets(t, e, "carl@exemple.test"), []byte(letter)); !fault.Is(err, fault.Denied) {
		t.Errorf("somebody else's From: %v", err)
	}
	c.wantCount(t, "carl", mail.Inbox, 0)
	c.wantCount(t, "bob", mail.Sent, 0)
}

// The client's copy and ours are one, whichever comes first.
func TestSentCopyIsThereOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	ann := c.people["ann"]
	appendSent := func() {
		t.Helper()
		body := []byte(letter)
		_, err := c.Store.File(t.Context(), &record.Filing{Tenant: ann.Tenant, Body: body, Facts: mime.Examine(body), Origin: mail.ByPerson,
			Places: []record.Place{{Account: ann.Account, Role: mail.Sent}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	twin := func() (p *mailbox.Placement) {
		t.Helper()
		c.view(t, func(ctx context.Context, tx *record.Tx) (err error) {
			p, err = SentTwin(ctx, tx, ann.Account, mime.FingerprintOf([]byte(letter)), mail.ByOutbound)
			return err
		})
		return p
	}
	if twin() != nil {
		t.Error("a twin of nothing")
	}
	appendSent()
	c.submit(t, c.person("ann"), letter, "bob@exemple.test")
	c.wantCount(t, "ann", mail.Sent, 1)
	if twin() != nil {
		t.Error("the client's own copy is taken for ours")
	}

	c.clock.Advance(2 * twinWithin)
	other := strings.Replace(letter, "<a1@", "<a2@", 1)
	c.submit(t, c.person("ann"), other, "bob@exemple.test")
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		p, err := SentTwin(ctx, tx, ann.Account, mime.FingerprintOf([]byte(other)), mail.ByOutbound)
		if p == nil {
			t.Error("the IMAP door does not find what was submitted a moment ago")
		}
		forged, err2 := SentTwin(ctx, tx, ann.Account, mime.FingerprintOf([]byte(strings.Replace(other, "noon", "two", 1))), mail.ByOutbound)
		if forged != nil {
			t.Error("the Message-ID alone makes no twin")
		}
		if err == nil {
			err = err2
		}
		return err
	})
	c.clock.Advance(twinWithin + time.Second)
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		p, err := SentTwin(ctx, tx, ann.Account, mime.FingerprintOf([]byte(other)), mail.ByOutbound)
		if p != nil {
			t.Error("a twin of long ago")
		}
		return err
	})
}

func TestNoticesComeBackToTheirSender(t *testing.T) {
	t.Parallel()
	c := open(t)
	ann := c.people["ann"]
	ran := 0
	for _, to := range []string{"ann@exemple.test", "x@out.test"} {
		n := &outbound.Notice{Tenant: ann.Tenant, To: address(to), At: noon, Message: []byte("From: Relais <postmaster@mx.test>\r\nMessage-ID: <n@mx.test>\r\n\r\nSorry\r\n")}
		if err := c.Return(t.Context(), n, func(context.Context, *outbound.Tx) error { ran++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if ran != 2 {
		t.Errorf("what goes with the notice ran %d times", ran)
	}
	c.wantCount(t, "ann", mail.Inbox, 1)
	c.view(t, func(ctx context.Context, tx *record.Tx) error {
		items, err := tx.Outbound.List(ctx, outbound.Filter{})
		if err == nil && (len(items) != 1 || items[0].To != "x@out.test" || items[0].From != "") {
			t.Errorf("queue %+v", items)
		}
		return err
	})
}
