package record_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
	"relais/internal/record/recordtest"
)

// TestEnginesReadBackAlike runs random lists of operations on both engines and
// compares every answer, and then all rows of the account.
func TestEnginesReadBackAlike(t *testing.T) {
	t.Parallel()
	open := openPostgres(t)
	bundles := []*recordtest.Bundle{recordtest.Over(t, openSQLite(t)), recordtest.Over(t, open(t))}
	rapid.Check(t, func(rt *rapid.T) {
		var sides []*side
		for _, b := range bundles {
			sides = append(sides, newSide(b))
		}
		for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			ops := rapid.SliceOfN(rapid.Custom(drawOperation), 1, 6).Draw(rt, "operations")
			undo := rapid.IntRange(0, 9).Draw(rt, "undo") == 0
			compare(rt, fmt.Sprint(ops), sides[0].run(ops, undo), sides[1].run(ops, undo))
		}
		compare(rt, "the rows", sides[0].dump(), sides[1].dump())
	})
	for _, b := range bundles {
		violations, err := b.CheckRows(t.Context(), nil)
		if err != nil || len(violations) > 0 {
			t.Errorf("%v: %v, %v", b.Engine().Dialect(), violations, err)
		}
	}
}

func compare(rt *rapid.T, what string, a, b []string) {
	if !slices.Equal(a, b) {
		rt.Fatalf("after %s\nsqlite:\n%s\npostgres:\n%s", what, strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// operation is one call; Box, Message and Other choose among what is there by remainder.
type operation struct {
	Kind                string
	Box, Message, Other int
	Name, Flags         string
}

func drawOperation(rt *rapid.T) operation {
	return operation{
		Kind: rapid.SampledFrom([]string{"create", "rename", "delete", "role", "subscribe", "place", "place", "place", "flags", "flags",
			"move", "move", "copy", "expunge", "restore"}).Draw(rt, "kind"),
		Box: rapid.IntRange(0, 50).Draw(rt, "box"), Message: rapid.IntRange(0, 50).Draw(rt, "message"), Other: rapid.IntRange(0, 5).Draw(rt, "other"),
		Name:  rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "é", "E\u0301", "inbox", "INBOX/x", "a//b", "x\x01", "Z"}).Draw(rt, "name"),
		Flags: rapid.SampledFrom([]string{"", `\Seen`, `\Seen \Flagged`, "work", "Work $Junk", `\Deleted été`}).Draw(rt, "flags"),
	}
}

// side is an account on one engine with what the operations made, in the same order on both.
type side struct {
	b       *recordtest.Bundle
	account mail.AccountID
	boxes   []mail.MailboxID
	placed  []mail.PlacementID
}

func newSide(b *recordtest.Bundle) *side {
	s := &side{b: b}
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		a, err := tx.Mailbox.CreateAccount(ctx, b.Tenant.ID, mailbox.Shared)
		if err != nil {
			return err
		}
		s.account = a.ID
		boxes, err := tx.Mailbox.Mailboxes(ctx, a.ID)
		s.boxes = nil
		for _, m := range boxes {
			s.boxes = append(s.boxes, m.ID)
		}
		return err
	})
	return s
}

// run runs the operations in one transaction and returns their answers.
func (s *side) run(ops []operation, undo bool) (answers []string) {
	boxes, placed := slices.Clone(s.boxes), slices.Clone(s.placed)
	err := s.b.Update(s.b.T.Context(), func(ctx context.Context, tx *record.Tx) error {
		answers, s.boxes, s.placed = nil, slices.Clone(boxes), slices.Clone(placed)
		for _, op := range ops {
			answer, err := s.apply(ctx, tx, op)
			if err != nil {
				if _, ok := err.(*fault.Error); !ok { //nolint:errorlint // the engine's own errors are the point
					return err
				}
				answer = "! " + err.Error()
			}
			answers = append(answers, answer)
		}
		if undo {
			return fault.New(fault.Conflict, "undone")
		}
		return nil
	})
	if err != nil {
		s.boxes, s.placed = boxes, placed
		answers = append(answers, err.Error())
	}
	return answers
}

func (s *side) apply(ctx context.Context, tx *record.Tx, op operation) (string, error) {
	box := s.boxes[op.Box%len(s.boxes)]
	flags := mail.ParseFlags(strings.Fields(op.Flags)...)
	if op.Kind == "place" {
		return s.place(ctx, tx, box, flags, op)
	}
	switch op.Kind {
	case "create":
		m, err := tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: s.account, Name: op.Name, Origin: mail.ByPerson})
		if err == nil {
			s.boxes = append(s.boxes, m.ID)
		}
		return boxText(m), err
	case "rename":
		m, err := tx.Mailbox.RenameMailbox(ctx, box, op.Name, mail.ByPerson)
		return boxText(m), err
	case "delete":
		return "deleted", tx.Mailbox.DeleteMailbox(ctx, box, mail.ByPerson)
	case "role":
		m, err := tx.Mailbox.SetRole(ctx, box, []mail.Role{"", mail.Sent, mail.Trash, mail.All, mail.Inbox, mail.Junk}[op.Other], mail.ByPerson)
		return boxText(m), err
	case "subscribe":
		m, err := tx.Mailbox.SetSubscribed(ctx, box, op.Other%2 == 0, mail.ByPerson)
		return boxText(m), err
	}
	if len(s.placed) == 0 {
		return "nothing yet", nil
	}
	p, err := s.edit(ctx, tx, s.placed[op.Message%len(s.placed)], box, flags, op.Kind)
	return placementText(p), err
}

func (s *side) place(ctx context.Context, tx *record.Tx, box mail.MailboxID, flags mail.Flags, op operation) (string, error) {
	hash := mail.Hash{1, byte(op.Message % 7)}
	email, existed, err := tx.Mailbox.AddEmail(ctx, mailbox.Email{Tenant: s.b.Tenant.ID, Hash: hash, Size: 100, MessageID: fmt.Sprintf("<%d@x>", op.Message%7)})
	if err != nil {
		return "", err
	}
	if !existed {
		// A body of another message stands in for its own: only rows are compared here.
		if err := tx.Mailbox.AddBody(ctx, mailbox.BodyRow{Tenant: s.b.Tenant.ID, Hash: hash, Size: 100}); err != nil {
			return "", err
		}
	}
	ids := []string{email.MessageID, fmt.Sprintf("<%d@x>", op.Other)}
	p, err := tx.Mailbox.Place(ctx, mailbox.Place{Account: s.account, Mailbox: box, Email: email.ID, Hash: hash, Size: 100, Flags: flags, MessageIDs: ids, Origin: mail.ByIntake})
	if err == nil {
		s.placed = append(s.placed, p.ID)
	}
	return placementText(p), err
}

func (s *side) edit(ctx context.Context, tx *record.Tx, id mail.PlacementID, box mail.MailboxID, flags mail.Flags, kind string) (p mailbox.Placement, err error) {
	switch kind {
	case "flags":
		return tx.Mailbox.SetFlags(ctx, id, flags, mail.ByPerson)
	case "move":
		return tx.Mailbox.Move(ctx, id, box, mail.ByPerson)
	case "copy":
		if p, err = tx.Mailbox.Copy(ctx, id, box, mail.ByPerson); err == nil {
			s.placed = append(s.placed, p.ID)
		}
		return p, err
	case "expunge":
		return tx.Mailbox.Expunge(ctx, id, mail.ByPerson)
	}
	return tx.Mailbox.Restore(ctx, id, box, mail.ByPerson)
}

func boxText(m mailbox.Mailbox) string {
	return fmt.Sprintf("%s role=%s validity=%d next=%d modseq=%d sub=%v n=%d unseen=%d bytes=%d deleted=%d",
		m.Name, m.Role, m.UIDValidity, m.UIDNext, m.Modseq, m.Subscribed, m.Messages, m.Unseen, m.Bytes, m.DeletedModseq)
}

func placementText(p mailbox.Placement) string {
	return fmt.Sprintf("uid=%d thread=%d %v modseq=%d/%d %v size=%d %v deleted=%d %v by=%q",
		p.UID, p.Thread, p.Flags, p.CreatedModseq, p.Modseq, p.InternalDate, p.Size, p.Hash, p.DeletedModseq, p.DeletedAt, p.DeletedBy)
}

// dump tells all rows of the account; row numbers, which may have gaps on one
// engine alone, by their rank.
func (s *side) dump() (out []string) {
	s.b.See(func(ctx context.Context, tx *record.Tx) error {
		a, err := tx.Mailbox.Account(ctx, s.account)
		if err != nil {
			return err
		}
		out = append(out, fmt.Sprint("modseq ", a.Modseq))
		ids, err := db.Collect(func(r db.Scanner) (id mail.MailboxID, err error) { return id, r.Scan(&id) })(
			tx.DB.Query(ctx, `SELECT id FROM mailboxes WHERE account_id = $1 ORDER BY id`, s.account))
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.dumpBox(ctx, tx, id, &out); err != nil {
				return err
			}
		}
		changes, err := tx.Mailbox.Changes(ctx, s.account, 0, 10_000)
		for _, c := range changes {
			out = append(out, fmt.Sprintf("%d %s %s p=%d box=%d/%d from=%d/%d %v %v %s %v", c.Modseq, c.Kind, c.Origin,
				slices.Index(s.placed, c.Placement), slices.Index(ids, c.Mailbox), c.UID, slices.Index(ids, c.FromMailbox), c.FromUID, c.Before, c.After, c.Detail, c.At))
		}
		return err
	})
	return out
}

func (s *side) dumpBox(ctx context.Context, tx *record.Tx, id mail.MailboxID, out *[]string) error {
	m, err := tx.Mailbox.Mailbox(ctx, id)
	if err != nil {
		return err
	}
	*out = append(*out, boxText(m))
	err = tx.Mailbox.Placements(ctx, id, 1, 0, func(p mailbox.Placement) error {
		*out = append(*out, "  "+placementText(p))
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Mailbox.ChangedSince(ctx, id, m.CreatedModseq+3, func(p mailbox.Placement) error {
		*out = append(*out, fmt.Sprint("  changed ", p.UID))
		return nil
	})
	if err != nil {
		return err
	}
	gone, err := tx.Mailbox.Tombstones(ctx, id, 100)
	for _, p := range gone {
		*out = append(*out, "  gone "+placementText(p))
	}
	if err != nil {
		return err
	}
	uids, err := tx.Mailbox.Vanished(ctx, id, m.CreatedModseq+3)
	*out = append(*out, fmt.Sprint("  vanished ", uids))
	return err
}
