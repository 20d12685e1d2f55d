package continuity

import (
	"context"
	"time"

	"relais/internal/audit"
	"relais/internal/directory"
)

// reasons are why a domain passes to another state.
type reasons struct {
	cause    string
	actor    string
	evidence map[string]any
	outage   time.Time // when the outage began, for a passage to Active
}

// pass takes a domain through the states of way, in one transaction with
// everything that follows: log, audit, questions, alarms.
func (s *Service) pass(ctx context.Context, d directory.Domain, from State, way []State, r reasons) error {
	err := s.update(ctx, d.ID, func(ctx context.Context, w *Work) error { return s.passIn(ctx, w, d, from, way, r) })
	if err == nil {
		s.Log.Warn("a domain passes to another state", "domain", d.Name, "from", from, "to", way[len(way)-1], "cause", r.cause, "actor", r.actor)
	}
	return err
}

func (s *Service) passIn(ctx context.Context, w *Work, d directory.Domain, from State, way []State, r reasons) error {
	evidence, at := jsonText(r.evidence), from
	for _, to := range way {
		var outage time.Time
		if to == Active {
			if outage = r.outage; outage.IsZero() {
				outage = w.Now
			}
		}
		p := Passage{Domain: d.ID, From: at, To: to, Cause: r.cause, Actor: r.actor, Evidence: evidence}
		if err := w.Pass(ctx, p, outage); err != nil {
			return err
		}
		_, err := w.Audit.Append(ctx, audit.New{Tenant: d.Tenant, Actor: r.actor, Action: "continuity." + string(to), Object: d.Name,
			Detail: jsonText(map[string]any{"from": at, "cause": r.cause})})
		if err != nil {
			return err
		}
		at = to
	}
	var over []QuestionKind // questions that the passage answers
	switch at {
	case Standby: // all
	case Active:
		over = []QuestionKind{AskFailover, AskRefused, AskDifferences}
	case Failing, Blind:
		over = []QuestionKind{AskRefused, AskDifferences}
	case Returning:
		over = []QuestionKind{AskBack}
	}
	if err := w.Settle(ctx, d.ID, "the domain is "+string(at)+" now", Self, over...); err != nil {
		return err
	}
	n := Notice{Kind: noticeOf(from, at), Tenant: d.Tenant, Domain: d.Name, State: at, Cause: r.cause, Actor: r.actor}
	if at == Failing {
		id, _, err := w.Ask(ctx, d.ID, AskFailover, "the primary of "+d.Name+" does not answer: switch to the standby?", evidence)
		if err != nil {
			return err
		}
		n.Question, n.Answers = id, answers[AskFailover]
	}
	return s.file(ctx, w, n)
}

// inquiry is a question to be asked.
type inquiry struct {
	kind     QuestionKind
	text     string
	evidence map[string]any
}

// askAgain is how long a person's answer to the same words holds.
const askAgain = 24 * time.Hour

// ask files a question and the alarms about it, unless it is open, or a person
// has answered the same lately.
func (s *Service) ask(ctx context.Context, w *Work, d directory.Domain, q inquiry) error {
	last, err := w.lastAnswer(ctx, d.ID, q.kind)
	if err != nil || last.Text == q.text && w.Now.Sub(last.AnsweredAt) < askAgain && q.kind != AskRefused && q.kind != AskDifferences {
		return err
	}
	id, filed, err := w.Ask(ctx, d.ID, q.kind, q.text, jsonText(q.evidence))
	if err != nil || !filed {
		return err
	}
	c, err := w.Current(ctx, d.ID)
	if err != nil {
		return err
	}
	return s.file(ctx, w, Notice{Kind: NoticeKind(q.kind), Tenant: d.Tenant, Domain: d.Name, State: c.State, Cause: q.text, Actor: Self,
		Question: id, Answers: answers[q.kind]})
}
