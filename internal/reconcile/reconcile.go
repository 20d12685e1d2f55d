package reconcile

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"relais/internal/clock"
	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/intake/trace"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/mime"
	"relais/internal/mirror"
	"relais/internal/record"
)

// sessions is how many accounts of the primary are walked at a time.
const sessions = 4

// fetchChunk is how many messages are asked for at once.
const fetchChunk = 250

// Reconciler walks ledgers against primaries.
type Reconciler struct {
	Store   *record.Store
	Node    string
	Connect mirror.Connector
	Clock   clock.Clock
}

// Run walks every account of the domain on both sides. since is the start of
// the outage whose events are counted. progress, if not nil, hears how many of
// the accounts are done. Errors: fault.Unavailable when the primary does not
// answer; half a walk makes no report.
func (r *Reconciler) Run(ctx context.Context, domain directory.Domain, primary directory.Primary, since time.Time, progress func(done, of int)) (*Report, error) {
	far, err := r.Connect(ctx, domain, primary)
	if err != nil {
		return nil, err
	}
	defer func() { _ = far.Close() }()
	var people []directory.Person
	err = r.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		people, err = tx.Directory.PeopleOfDomain(ctx, domain.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	type part struct {
		account     Account
		differences []Difference
		refused     []Refused
	}
	parts := make([]part, len(people))
	done := make(chan struct{}, len(people))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(sessions)
	for i, person := range people {
		group.Go(func() error {
			counts, differences, refused, err := r.account(gctx, far, person, since)
			parts[i] = part{Account{person.Email, counts}, differences, refused}
			if progress != nil {
				done <- struct{}{}
				progress(len(done), len(people))
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	report := &Report{Format: Format, Domain: domain.Name, Since: since, At: r.Clock.Now(), Node: r.Node,
		Accounts: []Account{}, Differences: []Difference{}, Refused: []Refused{}}
	for _, p := range parts {
		report.Counts.add(p.account.Counts)
		report.Accounts = append(report.Accounts, p.account)
		report.Differences = append(report.Differences, p.differences...)
		report.Refused = append(report.Refused, p.refused...)
	}
	return report, nil
}

// account walks one account on both sides.
func (r *Reconciler) account(ctx context.Context, far mirror.Primary, person directory.Person, since time.Time) (Counts, []Difference, []Refused, error) {
	began := r.Clock.Now()
	primary, err := walk(ctx, far, person)
	if err != nil {
		return Counts{}, nil, nil, err
	}
	var ledger []*here
	var refused []Refused
	var happened Counts
	err = r.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		if ledger, err = read(ctx, tx, person.Account); err != nil {
			return err
		}
		if refused, err = refusals(ctx, tx, person); err != nil {
			return err
		}
		if primary, refused, err = pendingExpunge(ctx, tx, person, primary, refused); err != nil {
			return err
		}
		happened, err = events(ctx, tx, person.Account, since)
		return err
	})
	if err != nil {
		return Counts{}, nil, nil, err
	}
	match(ledger, primary)
	counts, differences := compare(person.Email, ledger, primary)
	explain(differences, refused)
	err = r.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		return underWay(ctx, tx, person, began, differences)
	})
	if err != nil {
		return Counts{}, nil, nil, err
	}
	for _, d := range differences {
		counts.count(d.Kind)
	}
	counts.Refused = len(refused)
	counts.add(happened)
	return counts, differences, refused, nil
}

// walk reads every message of an account at the primary.
func walk(ctx context.Context, far mirror.Primary, person directory.Person) ([]*there, error) {
	login := person.PrimaryLogin
	if login == "" {
		login = person.Email
	}
	s, err := far.Open(ctx, login)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	folders, err := s.Folders(ctx)
	if err != nil {
		return nil, err
	}
	var out []*there
	for _, f := range folders {
		if f.NoSelect {
			continue
		}
		delta, err := s.Scan(ctx, f.Name, mirror.Token{})
		if err != nil {
			return nil, err
		}
		uids := make([]uint32, len(delta.Items))
		for i, item := range delta.Items {
			uids[i] = item.UID
		}
		for chunk := range slices.Chunk(uids, fetchChunk) {
			err := s.Fetch(ctx, f.Name, chunk, func(m mirror.Message) error {
				if trace.IsProbe(m.Body) {
					return nil
				}
				print := mime.FingerprintOf(m.Body)
				out = append(out, &there{folder: f.Name, uid: m.UID, messageID: print.MessageID, flags: m.Flags, date: m.Date,
					hash: print.Raw, print: print.Content})
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// read lists every live message of an account in the ledger.
func read(ctx context.Context, tx *record.Tx, account mail.AccountID) ([]*here, error) {
	boxes, err := tx.Mailbox.Mailboxes(ctx, account)
	if err != nil {
		return nil, err
	}
	folders, err := tx.Link.Folders(ctx, account)
	if err != nil {
		return nil, err
	}
	names := map[mail.MailboxID]string{}
	for _, f := range folders {
		names[f.Mailbox] = f.Name
	}
	var out []*here
	for _, box := range boxes {
		var placements []mailbox.Placement
		err := tx.Mailbox.Placements(ctx, box.ID, 1, ^uint32(0), func(p mailbox.Placement) error {
			placements = append(placements, p)
			return nil
		})
		if err != nil {
			return nil, err
		}
		folder := names[box.ID]
		if folder == "" {
			folder = box.Name
		}
		for _, p := range placements {
			h, err := ledgerMessage(ctx, tx, p)
			if err != nil {
				return nil, err
			}
			h.folder = folder
			out = append(out, h)
		}
	}
	return out, nil
}

func ledgerMessage(ctx context.Context, tx *record.Tx, p mailbox.Placement) (*here, error) {
	email, err := tx.Mailbox.Email(ctx, p.Email)
	if err != nil {
		return nil, err
	}
	h := &here{placement: p.ID, messageID: email.MessageID, flags: p.Flags, date: p.InternalDate, hash: email.Hash}
	copy(h.print[:], email.Print)
	l, linked, err := tx.Link.ByPlacement(ctx, p.ID)
	if err != nil || !linked {
		return h, err
	}
	h.uid, h.unkept, h.dated = l.UID, l.Unkept, l.Appended
	if !l.ServerHash.IsZero() {
		h.hash, h.read = l.ServerHash, true
		if l.ServerPrint != [32]byte{} {
			h.print = l.ServerPrint
		}
	}
	return h, nil
}

// refusals lists what the primary would not take for a person.
func refusals(ctx context.Context, tx *record.Tx, person directory.Person) ([]Refused, error) {
	rows, err := tx.Link.Refusals(ctx, person.Account)
	if err != nil {
		return nil, err
	}
	var out []Refused
	for _, r := range rows {
		out = append(out, Refused{Account: person.Email, Placement: r.Placement, Operation: r.Operation, Folder: r.Name,
			Words: r.Words, At: r.LastAt, AcceptedBy: r.AcceptedBy})
	}
	duties, err := tx.Duty.OfAccount(ctx, person.Account, duty.Refused, duty.Unseen, duty.Accepted)
	if err != nil {
		return nil, err
	}
	for _, d := range duties {
		placed, err := tx.Mailbox.Placement(ctx, d.Placement)
		if err == nil && !placed.Live() {
			continue // deleted here since: nothing is owed any more
		}
		words, by := d.Reply, ""
		if d.State == duty.Unseen {
			words = "handed over, and not seen in the mailbox: " + d.Reply
		}
		if d.State == duty.Accepted {
			by = "accepted"
		}
		out = append(out, Refused{Account: person.Email, Placement: d.Placement, Operation: "relay", Words: words, At: d.HandedAt, AcceptedBy: by})
	}
	return out, nil
}

// explain marks the differences that a refusal accounts for.
func explain(differences []Difference, refused []Refused) {
	known := map[mail.PlacementID]bool{}
	for _, r := range refused {
		known[r.Placement] = r.Placement != 0
	}
	for i, d := range differences {
		differences[i].Expected = d.Placement != 0 && known[d.Placement] && d.Kind != Content
	}
}

// events counts what the ledger says happened since a moment, each message once under each head.
func events(ctx context.Context, tx *record.Tx, account mail.AccountID, since time.Time) (Counts, error) {
	var c Counts
	sent, err := tx.Mailbox.MailboxByRole(ctx, account, mail.Sent)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, err
	}
	type head struct {
		placement mail.PlacementID
		kind      mailbox.ChangeKind
	}
	counted := map[head]bool{}
	for after := uint64(0); ; {
		changes, err := tx.Mailbox.Changes(ctx, account, after, 5000)
		if err != nil || len(changes) == 0 {
			return c, err
		}
		for _, ch := range changes {
			after = ch.Modseq
			h := head{ch.Placement, ch.Kind}
			if ch.Placement == 0 || ch.At.Before(since) || ch.Origin == mail.ByMirror || counted[h] {
				continue
			}
			counted[h] = true
			switch {
			case ch.Kind == mailbox.Placed && ch.Origin == mail.ByOutbound && ch.Mailbox == sent.ID:
				c.Sent++
			case ch.Kind == mailbox.Placed && (ch.Origin == mail.ByIntake || ch.Origin == mail.ByOutbound): // the latter from a colleague
				c.Received++
			case ch.Kind == mailbox.Moved:
				c.Moved++
			case ch.Kind == mailbox.Flagged:
				c.Flagged++
			case ch.Kind == mailbox.Expunged:
				c.Deleted++
			}
		}
	}
}
