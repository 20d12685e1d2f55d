package adminapi

import (
	"context"
	"net/http"
	"time"
)

// Status is how the node and its domains are.
type Status struct {
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
	Since   time.Time `json:"since" doc:"when this node started"`
}

func (a *API) statusRoutes() {
	handle(a, http.MethodGet, "/status", "get-status", "How the node and its domains are", a.getStatus)
}

func (a *API) getStatus(_ context.Context, _ *none) (*body[Status], error) {
	return &body[Status]{Status{Version: a.Version, Now: a.Clock.Now(), Since: a.started}}, nil
}
