package mirror

import (
	"cmp"
	"slices"

	"relais/internal/link"
	"relais/internal/mail"
)

// goneIndex holds the linked messages that the primary no longer shows where
// they were, to recognise them where they went. A move must never look like a
// deletion, so it is filled from all folders before anything is concluded.
type goneIndex struct {
	byHash  map[mail.Hash][]*subject
	byPrint map[[32]byte][]*subject
}

func newGoneIndex() *goneIndex {
	return &goneIndex{byHash: map[mail.Hash][]*subject{}, byPrint: map[[32]byte][]*subject{}}
}

// add notes a subject under the server's version of it.
func (g *goneIndex) add(hash mail.Hash, print [32]byte, s *subject) {
	g.byHash[hash] = append(g.byHash[hash], s)
	g.byPrint[print] = append(g.byPrint[print], s)
}

// take gives a gone subject with that content: one whose hash is equal before one
// whose fingerprint is, one that is live here before one that was deleted, one that
// was in the same folder before others. Each is given once, so that two identical
// copies stay two.
func (g *goneIndex) take(hash mail.Hash, print [32]byte, folder int64) *subject {
	if s := pick(g.byHash, hash, folder); s != nil {
		return s
	}
	return pick(g.byPrint, print, folder)
}

// pick gives a subject of the list that is still gone, and drops the others from it.
func pick[K comparable](lists map[K][]*subject, key K, folder int64) *subject {
	list := slices.DeleteFunc(lists[key], func(s *subject) bool { return s.remote != gone })
	lists[key] = list
	if len(list) == 0 {
		return nil
	}
	return slices.MinFunc(list, func(a, b *subject) int { return cmp.Compare(a.strangeness(folder), b.strangeness(folder)) })
}

// strangeness is how unlikely it is that a message which came into the folder is
// this one. What was deleted here may be gone there by a pass of ours that was killed.
func (s *subject) strangeness(folder int64) (n int) {
	if s.deletedHere {
		n += 2
	}
	if s.link.Folder != folder {
		n++
	}
	return n
}

// looseIndex holds the messages here that have no counterpart, by what they are recognised by.
type looseIndex struct {
	byHash  map[mail.Hash][]link.Loose
	byPrint map[[32]byte][]link.Loose
	since   uint64 // changes here up to this one are in it
}

func newLooseIndex(rows []link.Loose, since uint64) *looseIndex {
	x := &looseIndex{byHash: map[mail.Hash][]link.Loose{}, byPrint: map[[32]byte][]link.Loose{}, since: since}
	x.add(rows)
	return x
}

func (x *looseIndex) add(rows []link.Loose) {
	for _, l := range rows {
		x.byHash[l.Hash] = append(x.byHash[l.Hash], l)
		x.byPrint[l.Print] = append(x.byPrint[l.Print], l)
	}
}

// take finds a message with the same bytes, or else the same content (fingerprints
// hold the Message-ID), that is not claimed yet: one in the same mailbox first.
func (x *looseIndex) take(hash mail.Hash, print [32]byte, box mail.MailboxID, claimed map[mail.PlacementID]bool) mail.PlacementID {
	for _, list := range [][]link.Loose{x.byHash[hash], x.byPrint[print]} {
		var other mail.PlacementID
		for _, l := range list {
			switch {
			case claimed[l.Placement]:
			case l.Mailbox == box:
				return l.Placement
			case other == 0:
				other = l.Placement
			}
		}
		if other != 0 {
			return other
		}
	}
	return 0
}
