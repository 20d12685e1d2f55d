package reconcile

import (
	"context"
	"slices"

	"relais/internal/directory"
	"relais/internal/link"
	"relais/internal/record"
)

// pendingExpunge takes out of the primary's messages those that were deleted here
// and that the server could only mark as deleted (no UIDPLUS). They are listed
// with what the primary would not do.
func pendingExpunge(ctx context.Context, tx *record.Tx, person directory.Person, primary []*there, refused []Refused) ([]*there, []Refused, error) {
	intents, err := tx.Link.OpenIntents(ctx, person.Account)
	if err != nil || len(intents) == 0 {
		return primary, refused, err
	}
	folders, err := tx.Link.Folders(ctx, person.Account)
	if err != nil {
		return primary, refused, err
	}
	type message struct {
		folder string
		uid    uint32
	}
	pending := map[message]link.Intent{}
	for _, i := range intents {
		for _, f := range folders {
			if i.Kind == link.ExpungeIntent && f.Key == i.Folder && f.UIDValidity == i.UIDValidity {
				pending[message{f.Name, i.UIDNext}] = i
			}
		}
	}
	left := slices.DeleteFunc(primary, func(t *there) bool {
		i, waits := pending[message{t.folder, t.uid}]
		if waits {
			refused = append(refused, Refused{Account: person.Email, Placement: i.Placement, Operation: "expunge", Folder: t.folder,
				Words: "the server can't delete single messages: it is marked as deleted", At: i.At})
		}
		return waits
	})
	return left, refused, nil
}
