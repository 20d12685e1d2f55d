package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// Run relays until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	due, stop := r.Store.WatchTopic(duty.Topic)
	defer stop()
	busy := map[mail.DomainID]chan struct{}{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	done := make(chan mail.DomainID)
	for {
		domains, err := r.due(ctx)
		if err != nil && ctx.Err() == nil {
			r.Service.Log.Error("look for duties", "err", err)
		}
		for _, c := range domains {
			if busy[c.domain.ID] != nil {
				continue
			}
			busy[c.domain.ID] = make(chan struct{})
			go func() {
				r.domain(ctx, c)
				done <- c.domain.ID
			}()
		}
		select {
		case <-ctx.Done():
			for range busy {
				<-done
			}
			return nil
		case id := <-done:
			delete(busy, id)
		case <-due:
		case <-tick.C:
		}
	}
}

// connected is a domain with its primary.
type connected struct {
	domain  directory.Domain
	primary directory.Primary
}

// due lists the domains whose relay is open and has something to do. On the way
// it lists as unseen what was handed over long ago, and lets go what a lost
// connection left in doubt once the mirror has looked.
func (r *Relay) due(ctx context.Context) ([]connected, error) {
	var out []connected
	err := r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		out = out[:0]
		if _, err := tx.Duty.MarkUnseen(ctx, tx.Now.Add(-unseenAfter), relayBatch); err != nil {
			return err
		}
		domains, err := tx.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			next, err := tx.Duty.NextDue(ctx, d.ID)
			if err != nil {
				return err
			}
			if next.IsZero() || next.After(tx.Now) {
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
				out = append(out, connected{d, p})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	open := out[:0]
	for _, c := range out {
		if ok, err := r.Gate.Relays(ctx, c.domain.ID); err != nil {
			return nil, err
		} else if ok {
			open = append(open, c)
		}
	}
	return open, nil
}

// domain hands over what is due for one domain, over a few connections.
func (r *Relay) domain(ctx context.Context, c connected) {
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
		return
	}
	work := make(chan duty.Batch)
	finished := make(chan struct{})
	workers := min(relayConns, len(batches))
	for range workers {
		go func() {
			defer func() { finished <- struct{}{} }()
			r.connection(ctx, c, work)
		}()
	}
	for _, b := range batches {
		work <- b
	}
	close(work)
	for range workers {
		<-finished
	}
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
// looked at every mailbox concerned after the claim had lapsed and not found them.
func (r *Relay) resolveDoubts(ctx context.Context, domain mail.DomainID) error {
	return r.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		lapsed, err := tx.Duty.Lapsed(ctx, domain, relayBatch)
		if err != nil {
			return err
		}
		for _, d := range lapsed {
			accounts := []mail.AccountID{d.Account}
			if d.Group != 0 {
				accounts = accounts[:0]
				members, err := tx.Duty.Members(ctx, d.ID)
				if err != nil {
					return err
				}
				for _, m := range members {
					accounts = append(accounts, m.Account)
				}
			}
			looked := true
			for _, a := range accounts {
				if a == 0 {
					continue // no mailbox here to look at: one repeat is possible (RFC 1047)
				}
				s, err := tx.Link.State(ctx, a)
				if err != nil {
					return err
				}
				looked = looked && s.PulledAt.After(d.ClaimedUntil)
			}
			if looked {
				if err := tx.Duty.Release(ctx, d.ID, tx.Now, fmt.Sprintf("%s; the mirror has looked: it did not arrive", d.Reply)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
