package adminapi

import (
	"context"
	"net/http"
	"time"

	"relais/internal/mail"
	"relais/internal/outbound"
	"relais/internal/record"
)

// QueueItem is a message for one recipient elsewhere.
type QueueItem struct {
	ID        int64     `json:"id"`
	From      string    `json:"from" doc:"envelope sender; empty for notices"`
	To        string    `json:"to"`
	Size      int64     `json:"size" doc:"bytes"`
	State     string    `json:"state" enum:"waiting,sending,held,sent,failed,dropped"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at,omitzero"`
	LastReply string    `json:"last_reply,omitempty"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	Done      time.Time `json:"done,omitzero"`
	Intake    string    `json:"intake" doc:"stands in Relais's Received line"`
}

// Queue is a page of the outbound queue.
type Queue struct {
	Items  []QueueItem      `json:"items"`
	Counts map[string]int64 `json:"counts" doc:"messages by state"`
}

func (a *API) queueRoutes() {
	handle(a, http.MethodGet, "/queue", "list-queue", "List mail for elsewhere", a.listQueue)
	handle(a, http.MethodGet, "/queue/{id}", "get-queued", "Show one message of the queue", a.getQueued)
	handle(a, http.MethodPost, "/queue/{id}/retry", "retry-queued", "Try a message now", a.queueAct("queue.retry", (*outbound.Tx).Retry))
	handle(a, http.MethodPost, "/queue/{id}/hold", "hold-queued", "Keep a message back", a.queueAct("queue.hold", (*outbound.Tx).Hold))
	handle(a, http.MethodPost, "/queue/{id}/drop", "drop-queued", "Give a message up without a notice", a.queueAct("queue.drop", (*outbound.Tx).Drop))
}

// QueuePath names a message of the queue in a request.
type QueuePath struct {
	ID int64 `path:"id"`
}

func queueItem(it outbound.Item) QueueItem {
	return QueueItem{
		ID: int64(it.ID), From: it.From, To: it.To, Size: it.Size, State: string(it.State), Attempts: it.Attempts, NextAt: it.NextAt,
		LastReply: it.LastReply, Created: it.CreatedAt, Expires: it.ExpiresAt, Done: it.DoneAt, Intake: it.Intake,
	}
}

func (a *API) listQueue(ctx context.Context, in *struct {
	State  string `query:"state" enum:"waiting,sending,held,sent,failed,dropped," doc:"empty: all that are open"`
	Domain string `query:"domain" doc:"of the recipients"`
	After  int64  `query:"after" doc:"messages with a higher id"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}) (*body[Queue], error) {
	out := &body[Queue]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body = Queue{Items: []QueueItem{}, Counts: map[string]int64{}}
		items, err := tx.Outbound.List(ctx, outbound.Filter{
			State: outbound.State(in.State), Domain: in.Domain, After: mail.QueueID(in.After), Limit: in.Limit,
		})
		if err != nil {
			return err
		}
		for _, it := range items {
			out.Body.Items = append(out.Body.Items, queueItem(it))
		}
		counts, err := tx.Outbound.Count(ctx, 0)
		for state, n := range counts {
			out.Body.Counts[string(state)] = n
		}
		return err
	})
}

func (a *API) getQueued(ctx context.Context, in *QueuePath) (*body[QueueItem], error) {
	out := &body[QueueItem]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		it, err := tx.Outbound.Item(ctx, mail.QueueID(in.ID))
		out.Body = queueItem(it)
		return err
	})
}

// queueAct does one thing to one message of the queue.
func (a *API) queueAct(action string, act func(*outbound.Tx, context.Context, mail.QueueID) error) func(context.Context, *QueuePath) (*body[QueueItem], error) {
	return func(ctx context.Context, in *QueuePath) (*body[QueueItem], error) {
		out := &body[QueueItem]{}
		return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
			if err := act(tx.Outbound, ctx, mail.QueueID(in.ID)); err != nil {
				return err
			}
			it, err := tx.Outbound.Item(ctx, mail.QueueID(in.ID))
			if err != nil {
				return err
			}
			out.Body = queueItem(it)
			return note(ctx, tx, it.Tenant, action, it.To, map[string]int64{"id": in.ID})
		})
	}
}
