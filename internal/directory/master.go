package directory

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"time"

	"relais/internal/audit"
	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Masters checks sign-ins as Authenticator does, and lets an administrator open
// a person's mailbox as "person*administrator" with the administrator's token:
// that is how another Relais, a migration or a backup reads all mailboxes. Each
// such opening is an audit entry. Give it to the doors that read mail, not to
// those that send. Safe for concurrent use.
type Masters struct {
	*Authenticator
	audited sync.Map // opening → time.Time of its audit entry
}

// NewMasters adds the master sign-in to an authenticator.
func NewMasters(a *Authenticator) *Masters { return &Masters{Authenticator: a} }

// opening is who opened whose mailbox from where.
type opening struct {
	administrator string
	person        mail.PersonID
	host          string
}

// auditEvery bounds what a program that signs in again and again writes: one entry
// an hour for the same opening.
const auditEvery = time.Hour

// Verify finds the person whose mailbox is opened; errors are those of Authenticator.Verify.
func (m *Masters) Verify(ctx context.Context, user, password, peer string) (Person, error) {
	email, administrator, ok := cutMaster(user)
	if !ok {
		return m.Authenticator.Verify(ctx, user, password, peer)
	}
	var person Person
	err := m.engine.View(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		d := In(tx, m.clock.Now(), new(db.Touched))
		if err = d.CheckAdministrator(ctx, administrator, password); err != nil {
			return err
		}
		person, err = d.PersonByEmail(ctx, email)
		return err
	})
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.NotFound) {
		m.log.Warn("master sign-in refused", "person", db.Text(email), "administrator", db.Text(administrator), "peer", peer)
		return Person{}, fault.New(fault.Unauthenticated, "user name or password is wrong")
	}
	if err != nil {
		return Person{}, err
	}
	return person, m.note(ctx, person, administrator, peer)
}

// cutMaster parts "person*administrator". A local part may hold "*" (RFC 5321
// §4.1.2 atext), a domain may not.
func cutMaster(user string) (email, administrator string, ok bool) {
	at := strings.LastIndexByte(user, '@')
	if at < 0 {
		return "", "", false
	}
	domain, administrator, ok := strings.Cut(user[at:], "*")
	return user[:at] + domain, administrator, ok
}

// note writes the audit entry: without it nobody gets in.
func (m *Masters) note(ctx context.Context, p Person, administrator, peer string) error {
	host := peer
	if h, _, err := net.SplitHostPort(peer); err == nil {
		host = h
	}
	now, o := m.clock.Now(), opening{administrator, p.ID, host}
	if at, seen := m.audited.Load(o); seen && now.Sub(at.(time.Time)) < auditEvery {
		return nil
	}
	detail, err := json.Marshal(map[string]string{"peer": host})
	if err != nil {
		return err
	}
	err = m.engine.Update(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := audit.In(tx, now).Append(ctx, audit.New{
			Tenant: p.Tenant, Actor: administrator, Action: "mailbox.open", Object: p.Email, Detail: string(detail),
		})
		return err
	})
	if err == nil {
		m.audited.Store(o, now)
	}
	return err
}
