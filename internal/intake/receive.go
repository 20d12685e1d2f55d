package intake

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/intake/trace"
	"relais/internal/judge"
	"relais/internal/mail"
	"relais/internal/mime"
	"relais/internal/record"
	"relais/internal/smtp"
)

var (
	errHops   = smtp.NewReply(554, "5.4.6", "too many hops: this message goes in circles")
	errLoop   = smtp.NewReply(554, "5.4.6", "this message was here before, for the same recipient: it goes in circles")
	errForged = smtp.NewReply(550, "5.7.1", "the sender is of a domain of ours, and nothing proves it")
)

// Receive takes a message from another server. On nil it is durable for all
// targets. body belongs to Receive from then on.
func (in *Intake) Receive(ctx context.Context, e *Envelope, targets []Target, body []byte) error {
	now := in.Clock.Now()
	if trace.IsProbe(body) {
		// Only this node sends probes, and to primaries: one that comes here
		// took a wrong turn. It is outside every count, so it is let go.
		return nil
	}
	targets = unique(targets)
	if err := in.cutLoops(ctx, body, targets); err != nil {
		return err
	}
	verdict := in.Judge.Judge(ctx, judge.Message{Peer: e.Peer, Helo: e.Helo, From: e.From, Body: body})
	if verdict.Refuse {
		return errForged
	}
	came, results, rest := mail.Sum(body), verdict.Header(), in.Judge.Disarm(body)
	for _, group := range byTenant(targets) {
		// Each organisation has its own arrival, and a body that says so.
		id := trace.NewID(now)
		line := trace.Line{Helo: e.Helo, Peer: e.Peer, By: in.Hostname, Protocol: e.Protocol, ID: id, At: now}
		m := newMessage(e, id, slices.Concat(line.Received(), results, rest), came, now)
		if _, err := in.Store.File(ctx, m.filing(group.tenant, group.targets)); err != nil {
			return err
		}
	}
	return nil
}

// cutLoops refuses a message that goes in circles: one with too many hops, or one
// that we took in before for one of the same recipients.
func (in *Intake) cutLoops(ctx context.Context, body []byte, targets []Target) error {
	way := trace.Read(body)
	if way.Hops > trace.MaxHops {
		return errHops
	}
	if len(way.IDs) == 0 {
		return nil
	}
	return in.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, id := range way.IDs {
			duties, err := tx.Duty.OfIntake(ctx, id)
			if err != nil {
				return err
			}
			for _, d := range duties {
				if slices.ContainsFunc(targets, func(t Target) bool { return t.Address.Key() == d.Recipient }) {
					return errLoop
				}
			}
		}
		return nil
	})
}

// message is a message ready to be filed.
type message struct {
	e      *Envelope
	id     string
	body   []byte
	hash   mail.Hash
	facts  mime.Facts
	came   mail.Hash // of the bytes as they came, for the sender's repeat
	origin mail.Origin
	actor  string
	now    time.Time
}

func newMessage(e *Envelope, id string, stored []byte, came mail.Hash, now time.Time) *message {
	return &message{e: e, id: id, body: stored, hash: mail.Sum(stored), facts: mime.Examine(stored), came: came,
		origin: mail.ByIntake, actor: e.From.String(), now: now}
}

// filing is what is filed for the targets of one organisation.
func (m *message) filing(tenant mail.TenantID, targets []Target) *record.Filing {
	f := &record.Filing{
		Tenant: tenant, Body: m.body, Hash: m.hash, Facts: m.facts, Origin: m.origin, Actor: m.actor,
		Intake: &record.Intake{
			ID: m.id, Peer: m.e.Peer.String(), Helo: m.e.Helo, MailFrom: m.e.From.String(), RepeatKey: m.repeatKey(tenant, targets),
		},
	}
	has := map[mail.AccountID]bool{}
	place := func(acc mail.AccountID) mail.AccountID {
		if !has[acc] {
			has[acc] = true
			f.Places = append(f.Places, record.Place{Account: acc, InternalDate: m.now})
		}
		return acc
	}
	for _, t := range targets {
		d := duty.New{Domain: t.Domain.ID, Recipient: t.Address.Key(), MailFrom: m.e.From.String(), SMTPUTF8: m.e.SMTPUTF8}
		switch t.Kind {
		case directory.ToPerson:
			d.Account = place(t.Person.Account)
		case directory.ToGroup:
			d.Group = t.Group.ID
			for _, p := range t.Members {
				d.Members = append(d.Members, duty.Member{Account: place(p.Account)})
			}
		}
		if owed(t.Domain) {
			f.Duties = append(f.Duties, d)
		}
	}
	return f
}

// owed tells whether mail that arrives here is owed to the domain's primary: it
// is where Relais stands before it or takes its place. (journal and pull domains
// get copies of what the primary has already.)
func owed(d directory.Domain) bool {
	return d.Topology == directory.InPath || d.Topology == directory.Backup
}

// repeatKey is equal for a message that its sender repeats because our 250 was
// lost: the same envelope, peer, Message-ID and bytes (docs/formats/ledger.md, intakes).
func (m *message) repeatKey(tenant mail.TenantID, targets []Target) []byte {
	h := sha256.New()
	part := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	part(string(m.came[:]))
	part(m.facts.Fingerprint.MessageID)
	part(m.e.Peer.Unmap().String())
	part(m.e.From.Key())
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(tenant))
	h.Write(n[:])
	keys := make([]string, len(targets))
	for i, t := range targets {
		keys[i] = t.Address.Key()
	}
	slices.Sort(keys)
	for _, k := range keys {
		part(k)
	}
	return h.Sum(nil)
}

// tenantTargets are the targets of one organisation.
type tenantTargets struct {
	tenant  mail.TenantID
	targets []Target
}

// byTenant parts the targets of our domains by organisation: each has its own
// key, and shares nothing with the others.
func byTenant(targets []Target) []tenantTargets {
	var out []tenantTargets
next:
	for _, t := range targets {
		if t.Kind == directory.Foreign {
			continue
		}
		for i := range out {
			if out[i].tenant == t.Domain.Tenant {
				out[i].targets = append(out[i].targets, t)
				continue next
			}
		}
		out = append(out, tenantTargets{t.Domain.Tenant, []Target{t}})
	}
	return out
}

// unique leaves each address once, as it first came.
func unique(targets []Target) []Target {
	seen := make(map[string]bool, len(targets))
	return slices.DeleteFunc(targets, func(t Target) bool {
		k := t.Address.Key()
		had := seen[k]
		seen[k] = true
		return had
	})
}
