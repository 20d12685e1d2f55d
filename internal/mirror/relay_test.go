package mirror_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/intake/trace"
	"relais/internal/mail"
	"relais/internal/mirror"
	"relais/internal/record"
	"relais/internal/record/recordtest"
	"relais/internal/smtp/smtpclient"
	"relais/test/faultymx"
)

// relayBundle is a record whose primary is an SMTP server that fails where it is told to.
type relayBundle struct {
	*recordtest.Bundle
	mx       *faultymx.Server
	relay    *mirror.Relay
	returned []duty.Duty
}

// Relays lets the relay be open always.
func (b *relayBundle) Relays(context.Context, mail.DomainID) (bool, error) { return true, nil }

// ReturnRefused notes what would be told to senders.
func (b *relayBundle) ReturnRefused(_ context.Context, _ *record.Tx, d duty.Duty) error {
	b.returned = append(b.returned, d)
	return nil
}

func setupRelay(t *testing.T) *relayBundle {
	t.Helper()
	b := &relayBundle{Bundle: recordtest.SQLite(t), mx: faultymx.Start(t)}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Directory.SetPrimary(ctx, directory.Primary{Domain: b.Domain.ID, Kind: "imap", IMAPAddr: "127.0.0.1:1", IMAPTLS: "none", SMTPAddr: b.mx.Addr, SMTPTLS: "none"})
	})
	b.relay = &mirror.Relay{Store: b.Store, Gate: b, Returner: b,
		Dial: func(ctx context.Context, p directory.Primary) (*smtpclient.Client, error) {
			return smtpclient.Dial(ctx, p.SMTPAddr, smtpclient.Config{Hello: "relais.example.org", Security: smtpclient.Plain,
				CommandTimeout: 5 * time.Second, FinalTimeout: 5 * time.Second})
		},
		Service: mirror.New(mirror.Config{Store: b.Store, Clock: b.Clock, Log: slog.New(slog.DiscardHandler)})}
	return b
}

// arrive files a message that is owed to the primary for each of these.
func (b *relayBundle) arrive(to []directory.Person, duties ...duty.New) []mail.DutyID {
	b.T.Helper()
	f := b.Filing(b.Message("relayed"), to...)
	f.Intake = &record.Intake{ID: trace.NewID(b.Clock.Now()), MailFrom: "bob@example.net"}
	for _, d := range duties {
		d.Domain, d.MailFrom = b.Domain.ID, "bob@example.net"
		f.Duties = append(f.Duties, d)
	}
	filed, err := b.File(b.T.Context(), f)
	if err != nil {
		b.T.Fatal(err)
	}
	return filed.Duties
}

func (b *relayBundle) run() {
	b.T.Helper()
	if err := b.relay.Once(b.T.Context()); err != nil {
		b.T.Fatal(err)
	}
}

func (b *relayBundle) state(id mail.DutyID) (d duty.Duty) {
	b.T.Helper()
	b.See(func(ctx context.Context, tx *record.Tx) (err error) {
		d, err = tx.Duty.Duty(ctx, id)
		return err
	})
	return d
}

func (b *relayBundle) want(id mail.DutyID, want duty.State) {
	b.T.Helper()
	if d := b.state(id); d.State != want {
		b.T.Errorf("duty %d is %s (%s), want %s", id, d.State, d.Reply, want)
	}
}

func TestRelaySettlesEachRecipient(t *testing.T) {
	t.Parallel()
	b := setupRelay(t)
	ann, bob, cat := b.Person("ann"), b.Person("bob"), b.Person("cat")
	b.mx.Fail(faultymx.Rcpt+":bob@example.org", faultymx.Fault{Reply: "451 4.7.1 later", Times: 1})
	b.mx.Fail(faultymx.Rcpt+":cat@example.org", faultymx.Fault{Reply: "550 5.7.1 never"})
	ids := b.arrive([]directory.Person{ann, bob, cat}, duty.New{Recipient: ann.Email, Account: ann.Account},
		duty.New{Recipient: bob.Email, Account: bob.Account}, duty.New{Recipient: cat.Email, Account: cat.Account})
	b.run()
	b.want(ids[0], duty.Handed)
	b.want(ids[1], duty.Owed)
	b.want(ids[2], duty.Refused)
	if n := len(b.mx.Messages()); n != 1 {
		t.Errorf("%d transactions for one message", n)
	}
	if d := b.state(ids[2]); d.Reply != "550 5.7.1 never" {
		t.Errorf("the server's words became %q", d.Reply)
	}
	b.run()
	b.want(ids[1], duty.Owed) // not before its time
	b.Clock.Advance(10 * time.Minute)
	b.run()
	b.want(ids[1], duty.Handed)
	if len(b.returned) > 0 {
		t.Error("a refusal for somebody who can read it here was returned to the sender")
	}
}

func TestRelayOfAGroupIsOneMessage(t *testing.T) {
	t.Parallel()
	b := setupRelay(t)
	ann, bob := b.Person("ann"), b.Person("bob")
	ids := b.arrive([]directory.Person{ann, bob}, duty.New{Recipient: "all@example.org", Group: 7,
		Members: []duty.Member{{Account: ann.Account}, {Account: bob.Account}}})
	b.run()
	b.want(ids[0], duty.Handed)
	m := b.mx.Messages()
	if len(m) != 1 || len(m[0].To) != 1 || m[0].To[0] != "all@example.org" {
		t.Errorf("the primary got %+v", m)
	}
}

func TestRelayOfAnUnknownRecipientReturnsTheRefusal(t *testing.T) {
	t.Parallel()
	b := setupRelay(t)
	b.mx.Fail(faultymx.Rcpt, faultymx.Fault{Reply: "550 5.1.1 no such user"})
	ids := b.arrive(nil, duty.New{Recipient: "nobody@example.org"})
	b.run()
	b.want(ids[0], duty.Refused)
	if len(b.returned) != 1 || b.returned[0].ID != ids[0] {
		t.Errorf("returned: %+v", b.returned)
	}
}

func TestRelayInDoubtWaitsForTheMirror(t *testing.T) {
	t.Parallel()
	b := setupRelay(t)
	ann := b.Person("ann")
	b.mx.Fail(faultymx.Dot, faultymx.Fault{Cut: true, Times: 1})
	ids := b.arrive([]directory.Person{ann}, duty.New{Recipient: ann.Email, Account: ann.Account})
	b.run()
	b.want(ids[0], duty.Claimed)
	b.Clock.Advance(time.Hour)
	b.run()
	b.want(ids[0], duty.Claimed) // nobody has looked
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		s, err := tx.Link.State(ctx, ann.Account)
		s.PulledAt = tx.Now
		if err != nil {
			return err
		}
		return tx.Link.SaveState(ctx, s)
	})
	b.run()
	b.run()
	b.want(ids[0], duty.Handed)
	if m := b.mx.Messages(); len(m) != 2 || m[0].Heard || !m[1].Heard {
		t.Errorf("the primary got %d messages", len(m))
	}
}

func TestRelayListsWhatIsNotSeen(t *testing.T) {
	t.Parallel()
	b := setupRelay(t)
	ann := b.Person("ann")
	ids := b.arrive([]directory.Person{ann}, duty.New{Recipient: ann.Email, Account: ann.Account})
	b.run()
	b.want(ids[0], duty.Handed)
	b.Clock.Advance(16 * time.Minute)
	b.run()
	b.want(ids[0], duty.Unseen)
}

func TestRelayDoubtsWhatAKilledOneHad(t *testing.T) {
	t.Parallel()
	b := setupRelay(t)
	ann := b.Person("ann")
	ids := b.arrive([]directory.Person{ann}, duty.New{Recipient: ann.Email, Account: ann.Account})
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Duty.ClaimRelay(ctx, b.Domain.ID, 10, time.Hour)
		return err
	})
	ctx, stop := context.WithCancel(t.Context())
	signal, end := b.WatchTopic(duty.Topic)
	defer end()
	ended := make(chan error)
	go func() { ended <- b.relay.Run(ctx) }()
	b.Do(func(ctx context.Context, tx *record.Tx) error { // a look of the mirror, long after
		s, err := tx.Link.State(ctx, ann.Account)
		s.PulledAt = tx.Now.Add(time.Hour)
		if err != nil {
			return err
		}
		return tx.Link.SaveState(ctx, s)
	})
	for b.state(ids[0]).State != duty.Handed {
		select {
		case <-signal:
		case <-time.After(10 * time.Second):
			b.want(ids[0], duty.Handed)
			stop()
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
