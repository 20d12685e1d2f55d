package recordtest

import (
	"context"
	"testing"

	"relais/internal/blob"
	"relais/internal/mail"
	"relais/internal/record"
)

// testMoveBody moves a body's row as compaction does, to a copy and not from a place that it has left.
func testMoveBody(t *testing.T, b *Bundle) {
	ann := b.Person("ann")
	body := b.Message("moved")
	if _, err := b.File(t.Context(), b.Filing(body, ann)); err != nil {
		t.Fatal(err)
	}
	b.Deliver(ann, "stays")
	hash := mail.Sum(body)
	from, err := b.Locate(t.Context(), b.Tenant.ID, hash)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := b.Packs.Append(t.Context(), []blob.Put{{Tenant: b.Tenant.ID, Hash: hash, Body: body}})
	if err != nil {
		t.Fatal(err)
	}
	move := blob.Moved{Tenant: b.Tenant.ID, Hash: hash, From: from, To: refs[0]}
	for _, first := range []bool{true, false} {
		b.Do(func(ctx context.Context, tx *record.Tx) error {
			done, err := tx.Mailbox.MoveBody(ctx, move)
			want(t, "moved", done, first)
			return err
		})
	}
	to, err := b.Locate(t.Context(), b.Tenant.ID, hash)
	want(t, "place", to, refs[0])
	if err != nil {
		t.Fatal(err)
	}
	b.See(func(ctx context.Context, tx *record.Tx) error {
		bodies, err := tx.Mailbox.Bodies(ctx, b.Tenant.ID, mail.Hash{}, 10)
		if err != nil {
			return err
		}
		sum := int64(0)
		for _, row := range bodies {
			sum += row.Ref.Length
		}
		live, err := tx.Mailbox.LiveBytes(ctx)
		want(t, "packs with live bodies", len(live), 1)
		want(t, "live bytes", live[refs[0].Pack], sum)
		return err
	})
}
