package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"relais/internal/crashpoint"
	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
	"relais/internal/smtp/smtpclient"
)

// How the relay goes about it.
const (
	relayBatch    = 200              // duties claimed at a time
	relayLease    = 15 * time.Minute // longer than an SMTP transaction may take
	relayConns    = 4                // connections to one primary
	relayRetryMin = 5 * time.Second
	relayRetryMax = 5 * time.Minute
	relayLook     = time.Second      // between two looks at what may be due
	relayLookMax  = 15 * time.Second // without any sign
	unseenAfter   = 15 * time.Minute // handed over and not seen since: listed
	// doubtGrace is how long a message whose final dot got no answer may take from
	// the primary's door to the mailbox before the mirror's look tells that it did not arrive.
	doubtGrace = 20 * time.Second
)

// Dialer opens an SMTP connection to the primary of a domain.
type Dialer func(ctx context.Context, p directory.Primary) (*smtpclient.Client, error)

// Returner tells the sender that the primary refused a message for an address
// that is not known here (RFC 3464); nobody else can read it.
type Returner interface {
	ReturnRefused(ctx context.Context, tx *record.Tx, d duty.Duty) error
}

// Relay hands what is owed to the primaries over by SMTP while their domains are
// on standby. A 250 makes a duty handed over, no more: the mirror must see it.
type Relay struct {
	Store    *record.Store
	Gate     RelayGate
	Dial     Dialer
	Returner Returner
	Service  *Service
}

// RelayGate tells whether the relay may send to a domain's primary now.
type RelayGate interface {
	Relays(ctx context.Context, domain mail.DomainID) (bool, error)
}

// Run relays until ctx ends. One process relays for a store: what another one
// had claimed when it was killed is in doubt from the start.
func (r *Relay) Run(ctx context.Context) error {
	if err := r.abandon(ctx); err != nil {
		return err
	}
	due, stop := r.Store.WatchTopic(duty.Topic)
	defer stop()
	states, stopStates := r.Store.WatchTopic(record.TopicContinuity)
	defer stopStates()
	done := make(chan finished)
	busy, rests := map[mail.DomainID]bool{}, map[mail.DomainID]time.Time{}
	for {
		domains, next, err := r.due(ctx)
		if err != nil && ctx.Err() == nil {
			r.Service.Log.Error("look for duties", "err", err)
		}
		for _, c := range domains {
			if busy[c.domain.ID] || time.Now().Before(rests[c.domain.ID]) {
				continue
			}
			busy[c.domain.ID] = true
			go func() { done <- finished{c.domain.ID, r.domain(ctx, c)} }()
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			for range busy {
				<-done
			}
			return nil
		case f := <-done:
			delete(busy, f.domain)
			delete(rests, f.domain)
			if !f.worked { // what is due there waits for the mirror's look
				rests[f.domain] = time.Now().Add(relayLook)
			}
		case <-due:
		case <-states:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// finished tells that a domain's turn is over, and whether anything could be done in it.
type finished struct {
	domain mail.DomainID
	worked bool
}

// abandon puts in doubt what was claimed by a process that is no more.
func (r *Relay) abandon(ctx context.Context) error {
	return r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		n, err := tx.Duty.Abandon(ctx)
		if n > 0 {
			r.Service.Log.Warn("messages were being relayed when the last process ended", "messages", n)
		}
		return err
	})
}

// connected is a domain with its primary.
type connected struct {
	domain  directory.Domain
	primary directory.Primary
}

// due lists the domains whose relay is open and has something to do, and tells
// how long to wait before the next look. It writes only where something was handed
// over long ago and not seen: that is listed as unseen.
func (r *Relay) due(ctx context.Context) (open []connected, wait time.Duration, err error) {
	var all []connected
	var unseen bool
	wait = relayLookMax
	err = r.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		domains, err := tx.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			next, err := tx.Duty.NextDue(ctx, d.ID)
			if err != nil {
				return err
			}
			if next.IsZero() {
				continue
			}
			if wait = min(wait, max(next.Sub(tx.Now), relayLook)); next.After(tx.Now) {
				continue
			}
			p, err := tx.Directory.Primary(ctx, d.ID)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if p.SMTPAddr != "" {
				all = append(all, connected{d, p})
			}
		}
		handed, err := tx.Duty.FirstHanded(ctx)
		unseen = !handed.IsZero() && handed.Before(tx.Now.Add(-unseenAfter))
		return err
	})
	if err != nil {
		return nil, relayLook, err
	}
	if unseen {
		err = r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			_, err := tx.Duty.MarkUnseen(ctx, tx.Now.Add(-unseenAfter), relayBatch)
			return err
		})
		if err != nil {
			return nil, relayLook, err
		}
	}
	for _, c := range all {
		if ok, err := r.Gate.Relays(ctx, c.domain.ID); err != nil {
			return nil, relayLook, err
		} else if ok {
			open = append(open, c)
		}
	}
	return open, wait, nil
}

// domain hands over what is due for one domain, over a few connections, and tells whether anything was.
func (r *Relay) domain(ctx context.Context, c connected) (worked bool) {
	if err := r.resolveDoubts(ctx, c.domain.ID); err != nil {
		r.Service.Log.Error("look at duties in doubt", "domain", c.domain.Name, "err", err)
	}
	var batches []duty.Batch
	err := r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		batches, err = tx.Duty.ClaimRelay(ctx, c.domain.ID, relayBatch, relayLease)
		return err
	})
	if err != nil {
		r.Service.Log.Error("claim duties", "domain", c.domain.Name, "err", err)
		return false
	}
	work := make(chan duty.Batch)
	var group sync.WaitGroup
	for range min(relayConns, len(batches)) {
		group.Go(func() { r.connection(ctx, c, work) })
	}
	for _, b := range batches {
		work <- b
	}
	close(work)
	group.Wait()
	return len(batches) > 0
}

// connection relays batches over one connection, which it opens again when it broke.
func (r *Relay) connection(ctx context.Context, c connected, work <-chan duty.Batch) {
	var client *smtpclient.Client
	var dialErr error
	for b := range work {
		if client == nil && dialErr == nil {
			client, dialErr = r.Dial(ctx, c.primary)
		}
		if dialErr != nil {
			r.settle(ctx, b, nil, dialErr)
			continue
		}
		if err := r.send(ctx, client, b); err != nil {
			_ = client.Close()
			client = nil
		}
	}
	if client != nil {
		client.Quit()
	}
}

// send is one SMTP transaction: one message, all recipients for whom it is owed.
func (r *Relay) send(ctx context.Context, client *smtpclient.Client, b duty.Batch) error {
	body, err := r.body(ctx, b)
	if err != nil {
		r.settle(ctx, b, nil, err)
		return nil
	}
	m := smtpclient.Message{Body: body, UTF8: b.SMTPUTF8, Bit8: true}
	if m.From, err = mail.ParseAddress(b.MailFrom); err != nil {
		r.settle(ctx, b, nil, err)
		return nil
	}
	for _, d := range b.Duties {
		to, err := mail.ParseAddress(d.Recipient)
		if err != nil {
			r.settle(ctx, b, nil, err)
			return nil
		}
		m.To = append(m.To, to)
	}
	out, err := client.Send(ctx, m)
	crashpoint.Hit(crashpoint.RelaySent)
	r.settle(ctx, b, out, err)
	return err
}

func (r *Relay) body(ctx context.Context, b duty.Batch) ([]byte, error) {
	var hash mail.Hash
	err := r.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		e, err := tx.Mailbox.Email(ctx, b.Email)
		hash = e.Hash
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.Store.Body(ctx, b.Tenant, hash)
}

// settle notes what the primary said of each recipient. When the final dot got
// no answer the claim is left to lapse: the mirror looks before another way is tried.
func (r *Relay) settle(ctx context.Context, b duty.Batch, out *smtpclient.Outcome, failed error) {
	ctx = context.WithoutCancel(ctx) // what was said must be noted even while stopping
	err := r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for i, d := range b.Duties {
			if err := r.settleOne(ctx, tx, d, out, i, failed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.Service.Log.Error("note what the primary said", "message", b.Intake, "err", err)
	}
	crashpoint.Hit(crashpoint.RelayNoted)
}

func (r *Relay) settleOne(ctx context.Context, tx *record.Tx, d duty.Duty, out *smtpclient.Outcome, i int, failed error) error {
	current, err := tx.Duty.Duty(ctx, d.ID)
	if err != nil || current.State != duty.Claimed {
		return err // the mirror saw it meanwhile
	}
	if out != nil {
		if reply := out.Of(i); reply != nil {
			switch {
			case reply.Code < 300:
				return tx.Duty.HandedOver(ctx, d.ID, reply.Error())
			case reply.Code >= 500:
				if err := tx.Duty.Refused(ctx, d.ID, reply.Error()); err != nil {
					return err
				}
				if d.Account == 0 && d.Group == 0 && d.MailFrom != "" && r.Returner != nil {
					return r.Returner.ReturnRefused(ctx, tx, d)
				}
				return nil
			}
			return tx.Duty.Release(ctx, d.ID, tx.Now.Add(backOff(d.Attempts)), reply.Error())
		}
		if out.Unknown {
			return tx.Duty.Doubt(ctx, d.ID, "no answer to the final dot")
		}
	}
	words := "not tried"
	if failed != nil {
		words = failed.Error()
		if f, ok := errors.AsType[*fault.Error](failed); ok {
			words = f.Public
		}
	}
	return tx.Duty.Release(ctx, d.ID, tx.Now.Add(backOff(d.Attempts)), words)
}

func backOff(attempts int) time.Duration {
	d := min(relayRetryMin<<min(attempts, 6), relayRetryMax)
	return d/2 + time.Duration(rand.Int64N(int64(d)))
}

// resolveDoubts frees the duties whose outcome is unknown, once the mirror has
// looked at every mailbox concerned, some time after the claim had lapsed, and not found them.
func (r *Relay) resolveDoubts(ctx context.Context, domain mail.DomainID) error {
	var missing []duty.Duty
	err := r.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		missing = nil
		lapsed, err := tx.Duty.Lapsed(ctx, domain, relayBatch)
		if err != nil {
			return err
		}
		for _, d := range lapsed {
			looked, err := lookedFor(ctx, tx, d)
			if err != nil {
				return err
			}
			if looked {
				missing = append(missing, d)
			}
		}
		return nil
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	return r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		for _, d := range missing {
			now, err := tx.Duty.Duty(ctx, d.ID)
			if err != nil {
				return err
			}
			if now.State != duty.Claimed || !now.ClaimedUntil.Equal(d.ClaimedUntil) {
				continue // seen meanwhile
			}
			if err := tx.Duty.Release(ctx, d.ID, tx.Now, d.Reply+"; the mirror has looked: it did not arrive"); err != nil {
				return err
			}
		}
		return nil
	})
}

// lookedFor tells whether the mirror has looked for a message in doubt wherever it may have gone.
func lookedFor(ctx context.Context, tx *record.Tx, d duty.Duty) (bool, error) {
	accounts := []mail.AccountID{d.Account}
	if d.Group != 0 {
		accounts = accounts[:0]
		members, err := tx.Duty.Members(ctx, d.ID)
		if err != nil {
			return false, err
		}
		for _, m := range members {
			accounts = append(accounts, m.Account)
		}
	}
	for _, a := range accounts {
		if a == 0 {
			continue // no mailbox here to look at: one repeat is possible (RFC 1047)
		}
		s, err := tx.Link.State(ctx, a)
		if err != nil || !s.PulledAt.After(d.ClaimedUntil.Add(doubtGrace)) {
			return false, err
		}
	}
	return true, nil
}
