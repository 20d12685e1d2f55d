package adminapi

import (
	"context"
	"net/http"

	"relais/internal/record"
)

func (a *API) checkRoutes() {
	handle(a, http.MethodPost, "/check", "check", "Verify the ledger, and the bodies if asked for", a.check)
}

func (a *API) check(ctx context.Context, in *struct {
	Bodies bool `query:"bodies" doc:"read and compare every stored body too"`
}) (*body[record.Report], error) {
	r, err := a.Store.Check(ctx, record.CheckOptions{Bodies: in.Bodies})
	if err != nil {
		return nil, err
	}
	return &body[record.Report]{*r}, nil
}
