package adminapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"relais/internal/audit"
	"relais/internal/mail"
	"relais/internal/record"
)

// note writes an administrator's act into the audit chain, in the transaction
// that does it. detail becomes JSON; it holds no secret.
func note(ctx context.Context, tx *record.Tx, tenant mail.TenantID, action, object string, detail any) error {
	n := audit.New{Tenant: tenant, Actor: actor(ctx), Action: action, Object: object}
	if detail != nil {
		text, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("note %s: %w", action, err)
		}
		n.Detail = string(text)
	}
	_, err := tx.Audit.Append(ctx, n)
	return err
}

// AuditEntry is one administrative act.
type AuditEntry struct {
	ID     int64           `json:"id"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"`
	Action string          `json:"action"`
	Object string          `json:"object"`
	Detail json.RawMessage `json:"detail"`
}

// Audit is a page of the audit log.
type Audit struct {
	Entries []AuditEntry `json:"entries"`
}

func (a *API) auditRoutes() {
	handle(a, http.MethodGet, "/audit", "list-audit", "List administrative acts", a.listAudit)
}

func (a *API) listAudit(ctx context.Context, in *struct {
	After int64 `query:"after" doc:"entries with a higher id"`
	Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}) (*body[Audit], error) {
	out := &body[Audit]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.Entries = []AuditEntry{}
		entries, err := tx.Audit.Entries(ctx, 0, in.After, in.Limit)
		for _, e := range entries {
			out.Body.Entries = append(out.Body.Entries, AuditEntry{e.ID, e.At, e.Actor, e.Action, e.Object, json.RawMessage(e.Detail)})
		}
		return err
	})
}
