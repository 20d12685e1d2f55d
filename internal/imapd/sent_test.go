package imapd

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/intake"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// unsigned signs nothing.
type unsigned struct{}

func (unsigned) Sign(context.Context, string, []byte) ([]byte, error) { return nil, nil }

// letter is one of Ann's, as her client has it.
func letter(n int) []byte {
	return fmt.Appendf(nil, "Message-ID: <l%d@example.org>\r\nDate: Sun, 01 Mar 2026 11:00:00 +0000\r\nFrom: ann@example.org\r\nTo: bob@elsewhere.example\r\nSubject: Letter %d\r\n\r\nAt noon?\r\n", n, n)
}

// submit hands a message in as Ann's client does by SMTP.
func (b *bundle) submit(t *testing.T, raw []byte) {
	t.Helper()
	in := intake.New(intake.Config{Hostname: "mail.example.org", Store: b.Store, Signer: unsigned{}, GiveUpAfter: time.Hour, Clock: b.Clock})
	e := &intake.Envelope{
		Peer: netip.MustParseAddr("192.0.2.7"), Helo: "desk", Protocol: "ESMTPSA", Sender: &b.ann, From: mail.Address{Local: "ann", Domain: "example.org"},
	}
	target, err := in.Recipient(t.Context(), e, mail.Address{Local: "bob", Domain: "elsewhere.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Submit(t.Context(), e, []intake.Target{target}, raw); err != nil {
		t.Fatal(err)
	}
}

// sent lists what is in Ann's Sent, by UID.
func (b *bundle) sent(t *testing.T) (out []mailbox.Placement) {
	t.Helper()
	b.See(func(ctx context.Context, tx *record.Tx) error {
		box, err := tx.Mailbox.MailboxByRole(ctx, b.ann.Account, mail.Sent)
		if err != nil {
			return err
		}
		out = nil
		return tx.Mailbox.Placements(ctx, box.ID, 1, 1<<32-1, func(p mailbox.Placement) error {
			out = append(out, p)
			return nil
		})
	})
	return out
}

// goIMAP signs Ann in with go-imap's client.
func (b *bundle) goIMAP(t *testing.T) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(b.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login("ann@example.org", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// file appends to Sent as clients do after they submitted, and gives APPENDUID's UID.
func file(t *testing.T, c *imapclient.Client, raw []byte, flags ...imap.Flag) uint32 {
	t.Helper()
	cmd := c.Append("Sent", int64(len(raw)), &imap.AppendOptions{Flags: flags})
	if _, err := cmd.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return uint32(data.UID)
}

// The client's copy and the submission's are one, whichever comes first.
func TestSentMessageIsInSentOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	c := b.goIMAP(t)

	b.submit(t, letter(1))
	uid := file(t, c, letter(1), imap.FlagSeen, imap.FlagFlagged, "$MDNSent")
	got := b.sent(t)
	if len(got) != 1 || got[0].UID != uid {
		t.Fatalf("submitted, then appended as UID %d: Sent has %v", uid, got)
	}
	if want := `(\Seen \Flagged $MDNSent)`; got[0].Flags.String() != want {
		t.Errorf("flags %v, want %s", got[0].Flags, want)
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		emails, err := tx.Mailbox.EmailsByMessageID(ctx, b.Tenant.ID, "<l1@example.org>")
		if len(emails) != 1 {
			t.Errorf("%d emails are stored of one", len(emails))
		}
		return err
	})
	modseq := got[0].Modseq
	if again := file(t, c, letter(1), imap.FlagSeen); again != uid {
		t.Errorf("appended again: UID %d, want %d", again, uid)
	}
	if got := b.sent(t); len(got) != 1 || got[0].Modseq != modseq {
		t.Errorf("what brings no flag changes nothing: %v", got)
	}

	uid = file(t, c, letter(2), imap.FlagSeen)
	b.submit(t, letter(2))
	if got := b.sent(t); len(got) != 2 || got[1].UID != uid {
		t.Errorf("appended as UID %d, then submitted: Sent has %v", uid, got)
	}
	if violations, err := b.CheckRows(t.Context(), func(string, int, int) {}); err != nil || len(violations) > 0 {
		t.Error(violations, err)
	}
}

// What is no twin is filed: another mailbox, other content, long ago.
func TestOthersAreNoTwins(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	c := b.goIMAP(t)
	b.submit(t, letter(1))
	file(t, c, []byte(strings.Replace(string(letter(1)), "noon", "two", 1)))
	raw := letter(1)
	cmd := c.Append("Drafts", int64(len(raw)), nil)
	if _, err := cmd.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b.Clock.Advance(time.Hour)
	file(t, c, letter(1))
	if got := b.sent(t); len(got) != 3 {
		t.Errorf("Sent has %d messages, want 3: %v", len(got), got)
	}
}

// One command with a new message, a twin and the twin's bytes once more: the
// UIDs stand in the order of the messages, and of two alike one is a copy.
func TestMultiAppendMeetsTwins(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.submit(t, letter(1))
	c := signIn(t, b.addr, "ann@example.org", "secret")
	one, other := letter(1), letter(2)
	c.write(fmt.Sprintf("x APPEND Sent (\\Seen) {%d+}\r\n%s (\\Answered) {%d+}\r\n%s {%d+}\r\n%s\r\n", len(other), other, len(one), one, len(one), one))
	var end string
	for !strings.HasPrefix(end, "x ") {
		end = c.response()
	}
	if !strings.Contains(end, " 2,1,3]") {
		t.Errorf("APPEND ended with %q, want the UIDs 2,1,3", end)
	}
	var flags []string
	for _, p := range b.sent(t) {
		flags = append(flags, p.Flags.String())
	}
	if want := []string{`(\Seen \Answered)`, `(\Seen)`, `()`}; !slices.Equal(flags, want) {
		t.Errorf("Sent has %v, want %v", flags, want)
	}
}
