package mirror_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"relais/internal/fault"
	"relais/internal/link"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mirror"
	"relais/internal/record"
)

// edit does something to a message of the standby, as a person.
func (b *bundle) edit(subject string, do func(ctx context.Context, tx *mailbox.Tx, id mail.PlacementID) error) {
	b.t.Helper()
	p := b.find(subject)
	b.Do(func(ctx context.Context, tx *record.Tx) error { return do(ctx, tx.Mailbox, p.ID) })
}

func (b *bundle) flag(subject string, flags ...string) {
	b.t.Helper()
	b.edit(subject, func(ctx context.Context, tx *mailbox.Tx, id mail.PlacementID) error {
		_, err := tx.SetFlags(ctx, id, mail.ParseFlags(flags...), mail.ByPerson)
		return err
	})
}

func (b *bundle) move(subject, to string) {
	b.t.Helper()
	b.edit(subject, func(ctx context.Context, tx *mailbox.Tx, id mail.PlacementID) error {
		box, err := tx.MailboxByName(ctx, b.ann.Account, to)
		if err != nil {
			return err
		}
		_, err = tx.Move(ctx, id, box.ID, mail.ByPerson)
		return err
	})
}

func (b *bundle) expunge(subject string) {
	b.t.Helper()
	b.edit(subject, func(ctx context.Context, tx *mailbox.Tx, id mail.PlacementID) error {
		_, err := tx.Expunge(ctx, id, mail.ByPerson)
		return err
	})
}

func (b *bundle) mailboxHere(name string) {
	b.t.Helper()
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: b.ann.Account, Name: name, Origin: mail.ByPerson})
		return err
	})
}

// storeThere adds a flag to the first messages of a folder at the primary.
func (b *bundle) storeThere(folder string, uid imap.UID, flags ...imap.Flag) {
	b.t.Helper()
	b.inFolder(folder, func(c *imapClient) error {
		return c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil).Close()
	})
}

func (b *bundle) moveThere(folder string, uid imap.UID, to string) {
	b.t.Helper()
	b.inFolder(folder, func(c *imapClient) error {
		_, err := c.Move(imap.UIDSetNum(uid), to).Wait()
		return err
	})
}

// Each row where both sides changed: six messages in INBOX, and the folders X and Y.
func TestBothSidesChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode mirror.Mode
		want map[string][]string
	}{
		{standby, map[string][]string{
			"INBOX": {`flagged here (\Flagged)`, `flagged there (\Flagged)`, `flags (\Answered \Flagged $Here $There)`},
			"X":     {"moved ()"}, "Y": {"moved here ()"},
		}},
		{returning, map[string][]string{
			"INBOX": {`flagged here (\Flagged)`, `flagged there (\Flagged)`, `flags (\Answered \Flagged $Here $There)`},
			"Y":     {"moved ()", "moved here ()"},
		}},
	} {
		t.Run(fmt.Sprint(c.mode.Lead), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for _, f := range []string{"X", "Y"} {
				if err := b.connect().Create(f, nil).Wait(); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range []string{"flags", "moved", "seen here", "seen there", "flagged here", "flagged there", "moved here", "both"} {
				b.appendThere("INBOX", s)
			}
			b.merge(standby)
			b.storeThere("INBOX", 1, imap.FlagFlagged, "$There")
			b.flag("flags", `\Answered`, "$Here")
			b.moveThere("INBOX", 2, "X")
			b.move("moved", "Y")
			b.flag("seen here", `\Seen`, `\Answered`, "$Work")
			b.storeThere("INBOX", 4, imap.FlagSeen)
			b.expunge("seen there")
			b.flag("flagged here", `\Flagged`)
			b.storeThere("INBOX", 6, imap.FlagFlagged)
			b.expunge("flagged there")
			b.move("moved here", "Y")
			b.expunge("both")
			b.expungeThere("INBOX", 3, 3)
			b.expungeThere("INBOX", 5, 5)
			b.expungeThere("INBOX", 7, 8)
			b.merge(c.mode)
			b.want(b.here(), c.want)
			b.same()
		})
	}
}

func TestFolderGoneWhileTheOtherSideGotSomethingNew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.connect()
	for _, f := range []string{"There", "Here", "Parent/Child"} {
		if err := c.Create(f, nil).Wait(); err != nil {
			t.Fatal(err)
		}
		b.appendThere(f, "old in "+f)
	}
	b.merge(standby)
	if err := c.Delete("There").Wait(); err != nil {
		t.Fatal(err)
	}
	box := b.Box(b.ann.Account, "There")
	f := b.Filing(b.Message("new here"), b.ann)
	f.Places[0].Mailbox = box.ID
	if _, err := b.File(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Mailbox.DeleteMailbox(ctx, b.Box(b.ann.Account, "Here").ID, mail.ByPerson); err != nil {
			return err
		}
		_, err := tx.Mailbox.RenameMailbox(ctx, b.Box(b.ann.Account, "Parent").ID, "Aîné", mail.ByPerson)
		return err
	})
	b.appendThere("Here", "new there")
	b.merge(standby)
	b.want(b.here(), map[string][]string{"There": {"new here ()"}, "Here": {"new there ()"}, "Aîné/Child": {"old in parent/child ()"}})
	b.same()
}

func TestSpecialUseJoinsFoldersOfOtherNames(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *options) {
		o.dovecot.Extra = "namespace inbox {\n  mailbox Sent {\n    auto = no\n    special_use =\n  }\n" +
			"  mailbox \"Éléments envoyés\" {\n    auto = subscribe\n    special_use = \\Sent\n  }\n}\n"
	})
	b.Deliver(b.ann, "sent here")
	b.move("sent here", "Sent")
	b.merge(standby)
	b.want(b.there(), map[string][]string{"Éléments envoyés": {"sent here ()"}})
	b.want(b.here(), map[string][]string{"Sent": {"sent here ()"}})
}

func TestNewUIDValidityInfersNoDeletion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.connect()
	if err := c.Create("F", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	raws := [][]byte{b.Message("one"), b.Message("two"), b.Message("gone")}
	for _, raw := range raws {
		b.appendRaw("F", raw)
	}
	b.appendThere("INBOX", "other")
	b.merge(standby)
	before := b.find("one").ID
	b.flag("two", `\Flagged`)
	if err := c.Delete("F").Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Create("F", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	b.appendRaw("F", raws[1])
	b.appendRaw("F", raws[0], imap.FlagSeen)
	b.merge(standby)
	// What the new folder lacks is appended: nothing was inferred.
	b.want(b.here(), map[string][]string{"INBOX": {"other ()"}, "F": {"gone ()", `one (\Seen)`, `two (\Flagged)`}})
	b.same()
	if after := b.find("one").ID; after != before {
		t.Errorf("matched by content it is another placement: %d, was %d", after, before)
	}
}

func TestOlderCopyFreezes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		b.appendThere("INBOX", fmt.Sprint("message ", i))
	}
	b.merge(standby)
	b.primary = &olderPrimary{b.primary}
	if _, _, err := b.service.Merge(t.Context(), b.primary, b.ann, standby); !fault.Is(err, fault.Frozen) {
		t.Fatalf("want frozen, got %v", err)
	}
}

// olderPrimary shows its folders as if they had been set back.
type olderPrimary struct{ mirror.Primary }

func (p *olderPrimary) Open(ctx context.Context, login string) (mirror.Session, error) {
	s, err := p.Primary.Open(ctx, login)
	return &olderSession{s}, err
}

type olderSession struct{ mirror.Session }

func (s *olderSession) Folders(ctx context.Context) ([]mirror.Folder, error) {
	list, err := s.Session.Folders(ctx)
	for i := range list {
		list[i].Token.HighestModseq = 1
	}
	return list, err
}

func (s *olderSession) Scan(ctx context.Context, folder string, since mirror.Token) (mirror.Delta, error) {
	d, err := s.Session.Scan(ctx, folder, since)
	d.Token.UIDNext = 2
	return d, err
}

func TestDraftsRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.Deliver(b.ann, "draft")
	b.move("draft", "Drafts")
	if waiting, _, err := b.service.Merge(t.Context(), b.primary, b.ann, standby); err != nil || waiting != 1 {
		t.Errorf("waiting %d, %v", waiting, err)
	}
	b.want(b.there(), map[string][]string{})
	b.Clock.Advance(2*time.Minute + time.Second)
	b.merge(standby)
	b.want(b.there(), map[string][]string{"Drafts": {"draft ()"}})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		_, linked, err := tx.Link.ByPlacement(ctx, p.ID)
		if !linked {
			t.Error("the draft has no link")
		}
		return err
	})
}

func TestQuotaBlocksOnlyItsItem(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *options) {
		o.dovecot.Extra = "mail_plugins = $mail_plugins quota\nprotocol imap {\n  mail_plugins = $mail_plugins quota imap_quota\n}\n" +
			"plugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=40K\n  quota_grace = 0\n}\n"
	})
	big := append(b.Message("big"), make([]byte, 0)...)
	for len(big) < 60_000 {
		big = append(big, "a line of a message that is too big for the account\r\n"...)
	}
	f := b.Filing(big, b.ann)
	if _, err := b.File(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	b.Deliver(b.ann, "small")
	merge := func() int {
		_, refused, err := b.service.Merge(t.Context(), b.primary, b.ann, standby)
		if err != nil {
			t.Fatal(err)
		}
		return refused
	}
	if n := merge(); n != 1 {
		t.Errorf("%d items were refused", n)
	}
	b.want(b.there(), map[string][]string{"INBOX": {"small ()"}})
	refusals := func() (rows []link.Refusal) {
		b.See(func(ctx context.Context, tx *record.Tx) (err error) {
			rows, err = tx.Link.Refusals(ctx, b.ann.Account)
			return err
		})
		return rows
	}
	if rows := refusals(); len(rows) != 1 || rows[0].Code != "OVERQUOTA" || rows[0].Words == "" {
		t.Errorf("refusals: %+v", rows)
	}
	if n := merge(); n != 0 {
		t.Error("it was tried again at once")
	}
	b.Clock.Advance(16 * time.Minute)
	if n := merge(); n != 1 {
		t.Errorf("it was not tried again: %d refused", n)
	}
	if rows := refusals(); len(rows) != 1 || rows[0].Times != 2 {
		t.Errorf("refusals: %+v", rows)
	}
	b.expunge("big")
	b.merge(standby)
	if rows := refusals(); len(rows) != 0 {
		t.Errorf("refusals are left of what was deleted: %+v", rows)
	}
}

func TestPendingExpunge(t *testing.T) {
	t.Parallel()
	b := setup(t, without("UIDPLUS"))
	b.appendThere("INBOX", "keep")
	b.appendThere("INBOX", "delete")
	b.merge(standby)
	b.storeThere("INBOX", 1, imap.FlagDeleted) // by somebody else: EXPUNGE would destroy it
	b.expunge("delete")
	for range 3 {
		b.merge(standby)
	}
	b.want(b.there(), map[string][]string{"INBOX": {`delete (\Deleted)`, `keep (\Deleted)`}})
	b.want(b.here(), map[string][]string{"INBOX": {`keep (\Deleted)`}})
	b.inFolder("INBOX", func(c *imapClient) error { // somebody wants it after all
		return c.Store(imap.UIDSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsDel, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
	})
	b.merge(standby)
	b.want(b.here(), map[string][]string{"INBOX": {"delete ()", `keep (\Deleted)`}})
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.connect()
	for _, f := range []string{"A", "B"} {
		if err := c.Create(f, nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Subscribe("A").Wait(); err != nil {
		t.Fatal(err)
	}
	b.merge(standby)
	check := func(name string, want bool) {
		t.Helper()
		if got := b.Box(b.ann.Account, name).Subscribed; got != want {
			t.Errorf("%s subscribed here: %v", name, got)
		}
		list, err := c.List("", name, &imap.ListOptions{ReturnSubscribed: true}).Collect()
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if got := len(list[0].Attrs) > 0 && list[0].Attrs[0] == imap.MailboxAttrSubscribed; got != want {
			t.Errorf("%s subscribed there: %v", name, list[0].Attrs)
		}
	}
	check("A", true)
	check("B", false)
	if err := c.Unsubscribe("A").Wait(); err != nil {
		t.Fatal(err)
	}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		_, err := tx.Mailbox.SetSubscribed(ctx, b.Box(b.ann.Account, "B").ID, true, mail.ByPerson)
		return err
	})
	b.merge(standby)
	check("A", false)
	check("B", true)
}
