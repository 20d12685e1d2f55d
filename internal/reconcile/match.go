package reconcile

import (
	"time"

	"relais/internal/mail"
)

// here is a message of the ledger.
type here struct {
	placement mail.PlacementID
	messageID string
	folder    string // the primary's name for its mailbox, else the mailbox's
	uid       uint32 // at the primary by the link; 0 without one
	flags     mail.Flags
	unkept    mail.Flags // flags that the server can't keep
	date      time.Time
	dated     bool      // the mirror set the primary's INTERNALDATE, or took it from there
	hash      mail.Hash // of the bytes the primary should have
	read      bool      // hash is of bytes that the primary gave back
	print     [32]byte
	pair      *there
}

// there is a message of the primary.
type there struct {
	folder    string
	uid       uint32
	messageID string
	flags     mail.Flags
	date      time.Time
	hash      mail.Hash
	print     [32]byte
	pair      *here
}

// match pairs both sides as multisets. The stages go from the surest sign to
// the weakest, so that identical copies pair with the copy they belong to, and a
// message that is only in the wrong place still finds its own.
func match(ledger []*here, primary []*there) {
	type key struct {
		folder string
		uid    uint32
		hash   mail.Hash
		print  [32]byte
	}
	stages := []struct {
		h func(*here) key
		t func(*there) key
	}{
		{func(h *here) key { return key{folder: h.folder, uid: h.uid, hash: h.hash} },
			func(t *there) key { return key{folder: t.folder, uid: t.uid, hash: t.hash} }},
		{func(h *here) key { return key{folder: h.folder, uid: h.uid, print: h.print} },
			func(t *there) key { return key{folder: t.folder, uid: t.uid, print: t.print} }},
		{func(h *here) key { return key{folder: h.folder, hash: h.hash} },
			func(t *there) key { return key{folder: t.folder, hash: t.hash} }},
		{func(h *here) key { return key{folder: h.folder, print: h.print} },
			func(t *there) key { return key{folder: t.folder, print: t.print} }},
		{func(h *here) key { return key{hash: h.hash} }, func(t *there) key { return key{hash: t.hash} }},
		{func(h *here) key { return key{print: h.print} }, func(t *there) key { return key{print: t.print} }},
	}
	for _, s := range stages {
		open := map[key][]*there{}
		for _, t := range primary {
			if t.pair == nil {
				open[s.t(t)] = append(open[s.t(t)], t)
			}
		}
		for _, h := range ledger {
			k := s.h(h)
			if h.pair != nil || len(open[k]) == 0 {
				continue
			}
			t := open[k][0]
			open[k] = open[k][1:]
			h.pair, t.pair = t, h
		}
	}
}

// compare turns both sides, matched, into differences, and counts the messages.
func compare(email string, ledger []*here, primary []*there) (Counts, []Difference) {
	c := Counts{Here: len(ledger), There: len(primary)}
	var out []Difference
	note := func(d Difference) {
		d.Account = email
		out = append(out, d)
	}
	known := map[[32]byte]bool{}
	for _, h := range ledger {
		known[h.print] = true
		d := Difference{MessageID: h.messageID, SHA256: h.hash.String(), Placement: h.placement}
		t := h.pair
		if t == nil {
			d.Kind, d.Here = Lost, h.folder
			note(d)
			continue
		}
		c.Matched++
		d.UID = t.uid
		if h.read && h.hash != t.hash {
			d.Kind, d.Here, d.There = Content, h.hash.String(), t.hash.String()
			note(d)
		}
		if !t.flags.Equal(h.flags.Without(h.unkept)) && !t.flags.Equal(h.flags) {
			d.Kind, d.Here, d.There = Flags, h.flags.String(), t.flags.String()
			note(d)
		}
		if h.folder != t.folder {
			d.Kind, d.Here, d.There = Folder, h.folder, t.folder
			note(d)
		}
		if h.dated && h.date.Unix() != t.date.Unix() {
			d.Kind, d.Here, d.There = Date, h.date.Format(time.RFC3339), t.date.UTC().Format(time.RFC3339)
			note(d)
		}
	}
	for _, t := range primary {
		if t.pair != nil {
			continue
		}
		d := Difference{Kind: Extra, MessageID: t.messageID, SHA256: t.hash.String(), There: t.folder, UID: t.uid}
		if known[t.print] {
			d.Kind = Doubled
		}
		note(d)
	}
	return c, out
}
