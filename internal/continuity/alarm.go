package continuity

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/job"
	"relais/internal/mail"
)

// Alarm says who is told, by ways that do not depend on any primary.
type Alarm struct {
	To      []mail.Address // outside the domains that Relais protects
	From    mail.Address
	Hello   string // our name in EHLO and Message-IDs
	Sender  Sender // of the mail; nil: none is sent
	Webhook string // http:// or https://; "": none
	Secret  string // signs the webhook's body; "": not signed
	Client  *http.Client
}

// Sender sends one message to one address. An error for which fault.Retryable holds is tried again.
type Sender interface {
	Send(ctx context.Context, from, to mail.Address, body []byte) error
}

// NoticeKind is what an alarm is about: a passage, a question's kind, or a freeze.
type NoticeKind string

// The kinds besides those of questions.
const (
	NoticeFailing   NoticeKind = "failing"
	NoticeActive    NoticeKind = "active"
	NoticeBlind     NoticeKind = "blind"
	NoticeRecovered NoticeKind = "recovered"
	NoticeReturning NoticeKind = "returning"
	NoticeReturned  NoticeKind = "returned"
	NoticeBrokenOff NoticeKind = "broken-off"
	NoticeFrozen    NoticeKind = "frozen"
)

func noticeOf(from, to State) NoticeKind {
	switch {
	case to == Active && from == Returning:
		return NoticeBrokenOff
	case to == Active:
		return NoticeActive
	case to == Failing:
		return NoticeFailing
	case to == Blind:
		return NoticeBlind
	case to == Returning:
		return NoticeReturning
	case from == Returning:
		return NoticeReturned
	}
	return NoticeRecovered
}

// Notice is an alarm. Its JSON is the webhook's body (docs/formats/alarm.md).
type Notice struct {
	ID       string        `json:"id"` // the same at each attempt
	Kind     NoticeKind    `json:"kind"`
	At       time.Time     `json:"at"`
	Tenant   mail.TenantID `json:"-"`
	Org      string        `json:"org"`
	Domain   string        `json:"domain,omitempty"`
	State    State         `json:"state,omitempty"` // of the domain now
	Cause    string        `json:"cause"`
	Actor    string        `json:"actor"`
	Question int64         `json:"question,omitempty"` // that waits for an answer
	Answers  []string      `json:"answers,omitempty"`
	Account  string        `json:"account,omitempty"` // of a freeze
}

// The kinds of the jobs that deliver alarms: one per address, one for the webhook,
// so that none is repeated because another failed.
const (
	JobMail    = "alarm.mail"
	JobWebhook = "alarm.webhook"
)

// mailJob is the payload of JobMail.
type mailJob struct {
	To     string `json:"to"`
	Notice Notice `json:"notice"`
}

// file files the deliveries of a notice with the transaction that causes it.
func (s *Service) file(ctx context.Context, w *Work, n Notice) error {
	n.ID, n.At = strings.ToLower(rand.Text()), w.Now
	if t, err := w.Directory.TenantByID(ctx, n.Tenant); err == nil {
		n.Org = t.Slug
	} else if !fault.Is(err, fault.NotFound) {
		return err
	}
	if s.Alarm.Sender != nil {
		for _, to := range s.Alarm.To {
			if _, err := w.Jobs.Enqueue(ctx, job.New{Tenant: n.Tenant, Kind: JobMail, Payload: mailJob{to.String(), n}}); err != nil {
				return err
			}
		}
	}
	if s.Alarm.Webhook == "" {
		return nil
	}
	_, err := w.Jobs.Enqueue(ctx, job.New{Tenant: n.Tenant, Kind: JobWebhook, Payload: n})
	return err
}

// JobHandlers deliver what file filed; the job runner calls them.
func (s *Service) JobHandlers() map[string]job.Handler {
	return map[string]job.Handler{JobMail: s.Alarm.mail, JobWebhook: s.Alarm.webhook}
}

// Frozen is a breaker of the mirror that tripped.
type Frozen struct {
	Tenant  mail.TenantID
	Account mail.AccountID // 0: the whole tenant
	Email   string
	Reason  string
}

// Frozen tells people that the mirror waits for their decision.
func (s *Service) Frozen(ctx context.Context, f Frozen) {
	err := s.Store.UpdateContinuity(ctx, func(ctx context.Context, w *Work) error {
		n := Notice{Kind: NoticeFrozen, Tenant: f.Tenant, Cause: f.Reason, Actor: Self, Account: f.Email}
		d, err := domainOf(ctx, w, f)
		if err != nil {
			return err
		}
		if n.Domain = d.Name; d.ID != 0 {
			if n.State, _, err = w.State(ctx, d.ID); err != nil {
				return err
			}
		}
		return s.file(ctx, w, n)
	})
	if err != nil {
		s.Log.Error("tell of a frozen mirror", "account", f.Email, "err", err)
	}
}

// domainOf is the domain of whose account is frozen; none for a whole tenant with several.
func domainOf(ctx context.Context, w *Work, f Frozen) (directory.Domain, error) {
	if f.Account == 0 {
		all, err := w.Directory.Domains(ctx, f.Tenant)
		if len(all) == 1 {
			return all[0], err
		}
		return directory.Domain{}, err
	}
	p, err := w.Directory.PersonByAccount(ctx, f.Account)
	if fault.Is(err, fault.NotFound) {
		return directory.Domain{}, nil
	}
	if err != nil {
		return directory.Domain{}, err
	}
	return w.Directory.DomainByID(ctx, p.Domain)
}
