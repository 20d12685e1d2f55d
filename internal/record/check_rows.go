package record

import (
	"context"

	"relais/internal/db"
	"relais/internal/fault"
)

// Violation is an invariant of the ledger that does not hold somewhere.
type Violation struct {
	Invariant string `json:"invariant"`
	Where     string `json:"where"`
}

// invariant is a query for the places where something does not hold, each as one text.
type invariant struct{ name, query string }

// invariants are those of docs/formats/ledger.md, with their numbers there.
var invariants = []invariant{
	{"the changes of an account are numbered without a gap (1)", `
SELECT 'account ' || a.id || ' is at modseq ' || a.modseq || ' and has ' || count(c.modseq) || ' changes'
FROM accounts a LEFT JOIN changes c ON c.account_id = a.id GROUP BY a.id, a.modseq
HAVING count(c.modseq) <> a.modseq OR COALESCE(max(c.modseq), 0) <> a.modseq OR COALESCE(min(c.modseq), 1) <> 1`},

	{"each change belongs to an account (1)", `
SELECT 'change ' || c.modseq || ' of account ' || c.account_id FROM changes c LEFT JOIN accounts a ON a.id = c.account_id WHERE a.id IS NULL`},

	{"the counters of a mailbox are those of its messages (2)", `
SELECT 'mailbox ' || m.id || ' counts ' || m.messages || ' messages, ' || m.unseen || ' unseen, ' || m.bytes || ' bytes; it has '
 || COALESCE(p.n, 0) || ', ' || COALESCE(p.u, 0) || ', ' || COALESCE(p.b, 0)
FROM mailboxes m LEFT JOIN (SELECT mailbox_id, count(*) AS n, sum(CASE WHEN system % 2 = 0 THEN 1 ELSE 0 END) AS u, sum(size) AS b
 FROM placements WHERE deleted_modseq = 0 GROUP BY mailbox_id) p ON p.mailbox_id = m.id
WHERE m.messages <> COALESCE(p.n, 0) OR m.unseen <> COALESCE(p.u, 0) OR m.bytes <> COALESCE(p.b, 0)`},

	{"UIDNEXT and modseq of a mailbox are above what is in it (2)", `
SELECT 'mailbox ' || m.id || ' has uidnext ' || m.uidnext || ' and modseq ' || m.modseq FROM mailboxes m
JOIN (SELECT mailbox_id, max(uid) AS uid, max(modseq) AS modseq FROM placements GROUP BY mailbox_id) p ON p.mailbox_id = m.id
WHERE p.uid >= m.uidnext OR p.modseq > m.modseq`},

	{"a live message has its mailbox, email and body (3)", `
SELECT 'placement ' || p.id FROM placements p LEFT JOIN mailboxes m ON m.id = p.mailbox_id LEFT JOIN accounts a ON a.id = p.account_id
LEFT JOIN emails e ON e.id = p.email_id LEFT JOIN blobs b ON b.tenant_id = a.tenant_id AND b.hash = p.hash
WHERE p.deleted_modseq = 0 AND (m.id IS NULL OR m.deleted_modseq <> 0 OR m.account_id <> p.account_id OR e.id IS NULL
 OR e.tenant_id <> a.tenant_id OR e.hash <> p.hash OR e.size <> p.size OR b.size IS NULL OR b.size <> p.size)`},

	{"the last change of a message says what its row says (4)", `
SELECT 'placement ' || p.id || ' at modseq ' || p.modseq FROM placements p
LEFT JOIN changes c ON c.account_id = p.account_id AND c.modseq = p.modseq
LEFT JOIN (SELECT placement_id, max(modseq) AS modseq FROM changes GROUP BY placement_id) x ON x.placement_id = p.id
WHERE c.modseq IS NULL OR x.modseq <> p.modseq OR c.placement_id <> p.id OR c.email_id <> p.email_id OR c.after_system <> p.system OR c.after_keywords <> p.keywords
 OR (p.deleted_modseq = 0 AND (c.kind = 'expunge' OR c.mailbox_id <> p.mailbox_id OR c.uid <> p.uid))
 OR (p.deleted_modseq <> 0 AND (c.kind <> 'expunge' OR p.deleted_modseq <> p.modseq OR c.from_mailbox_id <> p.mailbox_id OR c.from_uid <> p.uid))`},

	{"each change of a message has its message (4)", `
SELECT 'change ' || c.modseq || ' of account ' || c.account_id FROM changes c LEFT JOIN placements p ON p.id = c.placement_id
WHERE c.placement_id <> 0 AND (p.id IS NULL OR p.account_id <> c.account_id)`},

	{"a UIDVALIDITY is given once in an account (5)", `
SELECT 'account ' || m.account_id || ', UIDVALIDITY ' || m.uidvalidity FROM mailboxes m JOIN accounts a ON a.id = m.account_id
GROUP BY m.account_id, m.uidvalidity, a.uidvalidity HAVING count(*) > 1 OR m.uidvalidity > a.uidvalidity`},

	{"a current link has its message and its folder (6)", `
SELECT 'link ' || l.id FROM links l LEFT JOIN placements p ON p.id = l.placement_id
LEFT JOIN folders f ON f.id = l.folder_id AND f.valid_to = 0
WHERE l.valid_to = 0 AND (p.id IS NULL OR p.account_id <> l.account_id OR f.id IS NULL OR f.account_id <> l.account_id)`},

	{"a duty has its email (6)", `
SELECT 'duty ' || d.id FROM duties d LEFT JOIN emails e ON e.id = d.email_id WHERE e.id IS NULL OR e.tenant_id <> d.tenant_id`},

	{"a duty's placement is of its account and email (6)", `
SELECT 'duty ' || d.id FROM duties d LEFT JOIN placements p ON p.id = d.placement_id
WHERE d.placement_id <> 0 AND (p.id IS NULL OR p.account_id <> d.account_id OR p.email_id <> d.email_id)`},

	{"waiting mail has its body (6)", `
SELECT 'queue ' || q.id FROM queue q LEFT JOIN blobs b ON b.tenant_id = q.tenant_id AND b.hash = q.email_hash
WHERE q.done_at = 0 AND b.size IS NULL`},

	{"a person has an account of her tenant (7)", `
SELECT 'person ' || p.id FROM people p LEFT JOIN accounts a ON a.id = p.account_id
WHERE p.removed_at = 0 AND (a.id IS NULL OR a.tenant_id <> p.tenant_id)`},

	{"an address is somebody's (7)", `
SELECT 'address ' || x.address FROM addresses x LEFT JOIN people p ON p.id = x.person_id LEFT JOIN groups g ON g.id = x.group_id
WHERE (p.id IS NULL OR p.removed_at <> 0) AND (g.id IS NULL OR g.removed_at <> 0)`},
}

// placesNamed bounds how many places of one invariant are listed.
const placesNamed = 50

// CheckRows verifies the invariants of the ledger on one snapshot and names each
// place where one does not hold, at most placesNamed of each. progress may be
// nil; it is called before each invariant.
func (s *Store) CheckRows(ctx context.Context, progress func(step string, done, total int)) ([]Violation, error) {
	var out []Violation
	err := s.View(ctx, func(ctx context.Context, tx *Tx) error {
		out = nil
		for i, inv := range invariants {
			if progress != nil {
				progress(inv.name, i, len(invariants)+1)
			}
			places, err := db.Collect(func(s db.Scanner) (where string, err error) { return where, s.Scan(&where) })(
				tx.DB.Query(ctx, inv.query+` LIMIT $1`, placesNamed))
			if err != nil {
				return fault.Wrap(err, fault.Internal, "check that %s", inv.name)
			}
			for _, where := range places {
				out = append(out, Violation{inv.name, where})
			}
		}
		if progress != nil {
			progress("the audit chain holds (8)", len(invariants), len(invariants)+1)
		}
		_, _, err := tx.Audit.Verify(ctx)
		if fault.Is(err, fault.Corrupt) {
			out, err = append(out, Violation{"the audit chain holds (8)", fault.Public(err)}), nil
		}
		return err
	})
	return out, err
}
