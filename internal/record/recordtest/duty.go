package recordtest

import (
	"context"
	"testing"
	"time"

	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
)

// owe files a message with a duty for each recipient.
func (b *Bundle) owe(intake string, duties ...duty.New) *record.Filed {
	b.T.Helper()
	f := b.Filing(b.Message("owed"))
	f.Intake = &record.Intake{ID: intake}
	for i := range duties {
		duties[i].Domain = b.Domain.ID
		if duties[i].Account != 0 {
			f.Places = append(f.Places, record.Place{Account: duties[i].Account})
		}
		for _, m := range duties[i].Members {
			f.Places = append(f.Places, record.Place{Account: m.Account})
		}
	}
	f.Duties = duties
	filed, err := b.File(b.T.Context(), f)
	if err != nil {
		b.T.Fatal(err)
	}
	return filed
}

func testDutyPasses(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	claim := func(ctx context.Context, tx *record.Tx, _ mail.DutyID) error {
		_, err := tx.Duty.ClaimRelay(ctx, b.Domain.ID, 10, time.Minute)
		return err
	}
	steps := map[string]func(ctx context.Context, tx *record.Tx, id mail.DutyID) error{
		"claim": claim,
		"claim append": func(ctx context.Context, tx *record.Tx, id mail.DutyID) error {
			_, err := tx.Duty.ClaimAppend(ctx, id, time.Minute)
			return err
		},
		"release": func(ctx context.Context, tx *record.Tx, id mail.DutyID) error {
			return tx.Duty.Release(ctx, id, tx.Now, "451 later")
		},
		"hand": func(ctx context.Context, tx *record.Tx, id mail.DutyID) error {
			return tx.Duty.HandedOver(ctx, id, "250 ok")
		},
		"refuse": func(ctx context.Context, tx *record.Tx, id mail.DutyID) error {
			return tx.Duty.Refused(ctx, id, "550 no")
		},
		"accept": func(ctx context.Context, tx *record.Tx, id mail.DutyID) error { return tx.Duty.Accept(ctx, id) },
		"reopen": func(ctx context.Context, tx *record.Tx, id mail.DutyID) error { return tx.Duty.Reopen(ctx, id) },
		"see":    func(ctx context.Context, tx *record.Tx, id mail.DutyID) error { return tx.Duty.Seen(ctx, id, 7) },
		"unseen": func(ctx context.Context, tx *record.Tx, _ mail.DutyID) error {
			late, err := tx.Duty.MarkUnseen(ctx, tx.Now.Add(time.Second), 10)
			want(t, "unseen", len(late), 1)
			return err
		},
	}
	for i, c := range []struct {
		steps []string
		ends  duty.State // "" when the last step is a conflict
	}{
		{[]string{"claim", "hand", "see", "see"}, duty.Seen},
		{[]string{"claim", "release", "claim", "refuse", "accept"}, duty.Accepted},
		{[]string{"claim", "hand", "unseen", "claim append", "hand", "see"}, duty.Seen},
		{[]string{"claim", "refuse", "reopen", "claim append", "release"}, duty.Owed},
		{[]string{"see"}, duty.Seen},
		{[]string{"claim", "see"}, duty.Seen},
		{[]string{"hand"}, ""},
		{[]string{"claim", "claim append"}, ""},
		{[]string{"claim", "hand", "release"}, ""},
		{[]string{"claim", "refuse", "accept", "see"}, ""},
		{[]string{"see", "reopen"}, ""},
		{[]string{"accept"}, ""},
	} {
		id := b.owe(string(rune('a'+i)), duty.New{Recipient: ann.Email, Account: ann.Account}).Duties[0]
		for j, s := range c.steps {
			err := b.Update(t.Context(), func(ctx context.Context, tx *record.Tx) error { return steps[s](ctx, tx, id) })
			if conflict := c.ends == "" && j == len(c.steps)-1; conflict != fault.Is(err, fault.Conflict) || !conflict && err != nil {
				t.Errorf("%v, at %s: %v", c.steps, s, err)
			}
		}
		if c.ends == "" {
			continue
		}
		b.See(func(ctx context.Context, tx *record.Tx) error {
			d, err := tx.Duty.Duty(ctx, id)
			if d.State != c.ends {
				t.Errorf("%v ends in %s", c.steps, d.State)
			}
			return err
		})
	}
}

func testDutyClaims(t *testing.T, b *Bundle) {
	ann, bob := b.Person("ann"), b.Person("bob")
	b.owe("one", duty.New{Recipient: ann.Email, Account: ann.Account}, duty.New{Recipient: bob.Email, Account: bob.Account})
	b.owe("two", duty.New{Recipient: ann.Email, Account: ann.Account})
	b.owe("later", duty.New{Recipient: ann.Email, Account: ann.Account, NextAt: b.Clock.Now().Add(time.Hour)})
	var batches []duty.Batch
	claim := func() {
		t.Helper()
		b.Do(func(ctx context.Context, tx *record.Tx) (err error) {
			batches, err = tx.Duty.ClaimRelay(ctx, b.Domain.ID, 10, time.Minute)
			return err
		})
	}
	claim()
	want(t, "batches", len(batches), 2)
	want(t, "recipients of the first", len(batches[0].Duties), 2)
	claim()
	want(t, "while all is claimed", len(batches), 0)
	b.Clock.Advance(2 * time.Minute)
	claim()
	want(t, "lapsed ones are not claimed again", len(batches), 0)
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		lapsed, err := tx.Duty.Lapsed(ctx, b.Domain.ID, 10)
		if err != nil {
			return err
		}
		want(t, "lapsed", len(lapsed), 3)
		for _, d := range lapsed {
			if err := tx.Duty.Release(ctx, d.ID, tx.Now, ""); err != nil {
				return err
			}
		}
		return nil
	})
	claim()
	want(t, "after the look", len(batches), 2)
	want(t, "attempts", batches[0].Duties[0].Attempts, 2)
	b.See(func(ctx context.Context, tx *record.Tx) error {
		counts, err := tx.Duty.Count(ctx, b.Domain.ID)
		if err != nil {
			return err
		}
		want(t, "claimed", counts[duty.Claimed], 3)
		want(t, "owed", counts[duty.Owed], 1)
		of, err := tx.Duty.OfAccount(ctx, ann.Account, duty.Owed)
		want(t, "owed to ann", len(of), 1)
		return err
	})
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		return tx.Duty.Doubt(ctx, batches[0].Duties[0].ID, "no answer to the dot")
	})
	b.See(func(ctx context.Context, tx *record.Tx) error {
		lapsed, err := tx.Duty.Lapsed(ctx, b.Domain.ID, 10)
		want(t, "in doubt", len(lapsed), 1)
		want(t, "words", lapsed[0].Reply, "no answer to the dot")
		return err
	})
}

func testDutyGroup(t *testing.T, b *Bundle) {
	ann, bob := b.Person("ann"), b.Person("bob")
	filed := b.owe("g", duty.New{Recipient: "all@example.org", Group: 9, Members: []duty.Member{{Account: ann.Account}, {Account: bob.Account}}})
	id := filed.Duties[0]
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		of, err := tx.Duty.OfPlacement(ctx, filed.Placements[1].ID)
		if err != nil {
			return err
		}
		want(t, "found by a member's placement", len(of), 1)
		if err := tx.Duty.SeenMember(ctx, id, ann.Account, 1); err != nil {
			return err
		}
		d, err := tx.Duty.Duty(ctx, id)
		want(t, "after one of two", d.State, duty.Owed)
		if err != nil {
			return err
		}
		if err := tx.Duty.SeenMember(ctx, id, bob.Account, 2); err != nil {
			return err
		}
		d, err = tx.Duty.Duty(ctx, id)
		want(t, "after both", d.State, duty.Seen)
		return err
	})
	orphan := b.owe("o", duty.New{Recipient: "later@example.org"}).Duties[0]
	b.Do(func(ctx context.Context, tx *record.Tx) error {
		waiting, err := tx.Duty.Orphans(ctx, b.Domain.ID)
		if err != nil {
			return err
		}
		want(t, "waiting for the directory", len(waiting), 1)
		e, err := tx.Duty.Duty(ctx, orphan)
		if err != nil {
			return err
		}
		email, err := tx.Mailbox.Email(ctx, e.Email)
		if err != nil {
			return err
		}
		mine, err := tx.Mailbox.Place(ctx, placeOf(ann.Account, email))
		if err != nil {
			return err
		}
		return tx.Duty.Attach(ctx, orphan, ann.Account, mine.ID)
	})
}
