package outbound

import (
	"context"
	"errors"
	"fmt"

	"relais/internal/crashpoint"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/smtp"
	"relais/internal/smtp/smtpclient"
)

// result is what one attempt made of one recipient.
type result struct {
	state State       // Sent, Waiting or Failed; "" while undecided
	reply *smtp.Reply // that decided; nil when none did
	host  string      // who said it; "" for ourselves
	words string      // the reply, or what else was in the way
}

// session is the connection that a worker keeps from batch to batch.
type session struct {
	runner *Runner
	route  route
	client *smtpclient.Client
	hop    hop
	sent   int
}

func (s *session) end() {
	if s.client != nil {
		s.client.Quit()
		s.client = nil
	}
}

func (s *session) drop() {
	if s.client != nil {
		_ = s.client.Close()
		s.client = nil
	}
}

// deliver makes one attempt for the batch; one result per item.
func (s *session) deliver(ctx context.Context, b *batch) []result {
	results := make([]result, len(b.items))
	first := b.items[0]
	body, err := s.runner.store.Body(ctx, first.Tenant, first.Hash)
	if err != nil {
		s.runner.config.Log.Error("read a body for the outside", "message", first.ID, "err", err)
		return fill(results, Waiting, "the message cannot be read from the store")
	}
	message, err := transaction(b, body)
	if err != nil {
		return refuse(results, smtp.NewReply(553, "5.1.3", "an address of the envelope is not valid"))
	}
	if s.client != nil && s.sent >= maxInARow {
		s.end()
	}
	if s.client != nil { // it may have been closed meanwhile: then a new one is tried
		_ = s.send(ctx, message, results)
	}
	if !open(results) {
		return results
	}
	hops, err := s.runner.hops(ctx, s.route)
	switch {
	case fault.Is(err, fault.NotFound):
		return refuse(results, smtp.NewReply(550, "5.1.2", "%s", fault.Public(err)))
	case errors.Is(err, errLoop):
		return refuse(results, smtp.NewReply(554, "5.4.6", "%s", fault.Public(err)))
	case fault.Is(err, fault.Denied):
		return refuse(results, smtp.NewReply(556, "5.1.10", "%s", fault.Public(err))) // RFC 7505 §4.2
	case err != nil:
		return fill(results, Waiting, fault.Public(err))
	}
	words := "no host answers"
	for _, h := range hops {
		if why, resting := s.runner.health.resting(h.addr, s.runner.config.Clock.Now()); resting && first.Attempts > 0 {
			words = why
			continue
		}
		if err := s.connect(ctx, h); err != nil {
			words = h.String() + ": " + err.Error()
			if ctx.Err() == nil {
				s.runner.health.failed(h.addr, words, s.runner.config.Clock.Now())
			}
			continue
		}
		if err := s.send(ctx, message, results); err != nil {
			words = h.String() + ": " + err.Error()
		}
		if !open(results) {
			return results
		}
	}
	return fill(results, Waiting, words)
}

func (s *session) connect(ctx context.Context, h hop) error {
	client, err := smtpclient.Dial(ctx, h.addr, s.runner.dialing(h))
	if err != nil {
		return err
	}
	s.runner.health.well(h.addr)
	if client.TLSFailure != nil {
		s.runner.config.Log.Info("TLS does not work, sent in the clear", "peer", h.String(), "err", client.TLSFailure)
	}
	s.client, s.hop, s.sent = client, h, 0
	return nil
}

func (r *Runner) dialing(h hop) smtpclient.Config {
	c := r.config.Dial
	if c.TLS != nil && c.TLS.ServerName == "" {
		c.TLS = c.TLS.Clone()
		c.TLS.ServerName = h.name
	}
	return c
}

// send is one transaction with the recipients that are undecided. The connection
// is dropped when it failed.
func (s *session) send(ctx context.Context, m smtpclient.Message, results []result) error {
	part := m
	part.To = nil
	var at []int
	for i := range results {
		if results[i].state == "" {
			part.To = append(part.To, m.To[i])
			at = append(at, i)
		}
	}
	out, err := s.client.Send(ctx, part)
	crashpoint.Hit(crashpoint.OutboundAfterSend)
	s.sent++
	for i, to := range at {
		results[to] = s.decide(out, i, err)
	}
	if err != nil {
		s.drop()
	}
	if out.Unknown && ctx.Err() == nil {
		// The repeat goes to another host where there is one: this one may do it each time.
		s.runner.health.failed(s.hop.addr, s.hop.String()+": "+err.Error(), s.runner.config.Clock.Now())
	}
	return err
}

// decide reads what was said of one recipient. Undecided is one whose fate is
// open because the connection failed before the final dot: another host may take it.
func (s *session) decide(out *smtpclient.Outcome, i int, err error) result {
	reply := out.Of(i)
	res := result{host: s.hop.name, reply: reply}
	switch {
	case reply == nil && out.Unknown:
		// RFC 1047: it may have arrived. The repeat has the same Message-ID.
		res.state = Waiting
		res.words = s.hop.String() + " took the message and did not answer, it may have arrived: " + err.Error()
		return res
	case reply == nil:
		return result{}
	case reply.Positive():
		res.state = Sent
	case reply.Temporary():
		res.state = Waiting
	default:
		res.state = Failed
	}
	res.words = s.hop.String() + ": " + reply.Error()
	return res
}

var errAddress = errors.New("address in the queue does not parse")

// transaction is the batch in the client's terms.
func transaction(b *batch, body []byte) (smtpclient.Message, error) {
	first := b.items[0]
	m := smtpclient.Message{Body: body, Bit8: first.Bit8, UTF8: first.UTF8}
	var err error
	if m.From, err = mail.ParseAddress(first.From); err != nil {
		return m, fmt.Errorf("%w: %w", errAddress, err)
	}
	for _, it := range b.items {
		to, err := mail.ParseAddress(it.To)
		if err != nil || to.IsNull() {
			return m, errAddress
		}
		m.To = append(m.To, to)
	}
	return m, nil
}

func open(results []result) bool {
	for _, r := range results {
		if r.state == "" {
			return true
		}
	}
	return false
}

// refuse decides what is undecided for good, in our own words.
func refuse(results []result, reply *smtp.Reply) []result {
	for i := range results {
		if results[i].state == "" {
			results[i] = result{state: Failed, reply: reply, words: reply.Error()}
		}
	}
	return results
}

// fill decides what is undecided.
func fill(results []result, state State, words string) []result {
	for i := range results {
		if results[i].state == "" {
			results[i] = result{state: state, words: words}
		}
	}
	return results
}
