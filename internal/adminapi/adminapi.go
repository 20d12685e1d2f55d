// Package adminapi is the administrators' door: an HTTP API (OpenAPI 3.1, RFC 9457 problems) on the node's Unix socket.
//
// One file per resource holds its types, its conversion and its handlers. Every
// write is audited in the transaction that makes it.
package adminapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"relais/internal/clock"
	"relais/internal/fault"
)

// Prefix is the path of the API's first version.
const Prefix = "/api/v1"

// maxRequest bounds a request's body, 64 MiB: an import of a hundred thousand people.
const maxRequest = 64 << 20

// Config is what the API needs of the node.
type Config struct {
	Version string
	Clock   clock.Clock
	Log     *slog.Logger
}

// API serves the administrators' requests.
type API struct {
	Config
	huma    huma.API
	handler http.Handler
	started time.Time
}

// New makes the API with all its resources.
func New(cfg Config) *API {
	a := &API{Config: cfg, started: cfg.Clock.Now()}
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("Relais administration", cfg.Version)
	hc.CreateHooks = nil // no $schema links in answers
	hc.DocsPath = ""     // its page would load scripts from elsewhere
	a.huma = humago.NewWithPrefix(mux, Prefix, hc)
	a.handler = mux
	a.statusRoutes()
	return a
}

// Serve answers on l until ctx ends, then finishes what is under way.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           http.MaxBytesHandler(a.handler, maxRequest),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, actorKey{}, peerActor(c))
		},
	}
	stopped := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(limit)
	})
	defer stopped()
	if err := srv.Serve(l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

type actorKey struct{}

// actor is who asks, for the audit log: the user at the other end of the socket.
func actor(ctx context.Context) string {
	if s, ok := ctx.Value(actorKey{}).(string); ok {
		return s
	}
	return "unknown"
}

// handle registers one operation. Errors become problems; those that are our
// own failing are logged with their cause.
func handle[I, O any](a *API, method, path, id, summary string, fn func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		MaxBodyBytes: maxRequest, BodyReadTimeout: time.Minute,
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err == nil {
			return out, nil
		}
		switch fault.CodeOf(err) {
		case fault.Internal, fault.Corrupt, fault.Unavailable, fault.Temporary:
			a.Log.WarnContext(ctx, "request failed", "operation", id, "err", err)
		}
		return nil, problem(err)
	})
}

// body is an answer that is JSON alone.
type body[T any] struct{ Body T }

// none is a request or an answer without content.
type none struct{}
