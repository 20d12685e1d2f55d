package reconcile

import (
	"context"
	"time"

	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/mail"
	"relais/internal/record"
)

// relayTime is how long a message may be on its way to the primary by SMTP
// before its absence there is a loss: after it the relay lists it as unseen.
const relayTime = 15 * time.Minute

// underWay marks the differences that are none yet: mail that the relay is
// handing over, what people did here since the last pass of the mirror or during
// this walk, and, unless the mirror is frozen, what came to the primary since.
func underWay(ctx context.Context, tx *record.Tx, person directory.Person, began time.Time, differences []Difference) error {
	if len(differences) == 0 {
		return nil
	}
	state, err := tx.Link.State(ctx, person.Account)
	if err != nil {
		return err
	}
	freeze, err := tx.Link.Freeze(ctx, person.Tenant, person.Account)
	if err != nil {
		return err
	}
	next, err := unread(ctx, tx, person.Account)
	if err != nil {
		return err
	}
	for i := range differences {
		d := &differences[i]
		if d.Placement == 0 {
			if from, known := next[d.There]; !freeze.Open() && (!known || d.UID >= from) {
				d.Kind = UnderWay
			}
			continue
		}
		relayed, err := onItsWay(ctx, tx, d.Placement)
		if err != nil {
			return err
		}
		life, err := tx.Mailbox.ChangesOf(ctx, d.Placement)
		if err != nil {
			return err
		}
		changed := false
		for _, c := range life {
			changed = changed || c.At.After(began) || c.Origin != mail.ByMirror && c.Modseq > state.MergedModseq
		}
		if d.Kind == Lost && relayed || changed && !freeze.Open() {
			d.Kind = UnderWay
		}
	}
	return nil
}

// unread tells from which UID on the mirror has not yet read each folder.
func unread(ctx context.Context, tx *record.Tx, account mail.AccountID) (map[string]uint32, error) {
	folders, err := tx.Link.Folders(ctx, account)
	next := make(map[string]uint32, len(folders))
	for _, f := range folders {
		next[f.Name] = f.UIDNext
	}
	return next, err
}

// onItsWay tells whether the relay is still at the message, within its time.
func onItsWay(ctx context.Context, tx *record.Tx, placement mail.PlacementID) (bool, error) {
	duties, err := tx.Duty.OfPlacement(ctx, placement)
	for _, d := range duties {
		switch d.State {
		case duty.Owed, duty.Claimed, duty.Handed:
			if tx.Now.Sub(d.OwedAt) < relayTime || tx.Now.Sub(d.HandedAt) < relayTime {
				return true, nil
			}
		}
	}
	return false, err
}
