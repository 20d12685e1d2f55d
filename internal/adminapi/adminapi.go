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
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"relais/internal/clock"
	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/mail"
	"relais/internal/record"
)

// Prefix is the path of the API's first version.
const Prefix = "/api/v1"

// stopWithin is how long requests under way may take when the node ends.
const stopWithin = 4 * time.Second

// maxRequest bounds a request's body, 64 MiB: an import of a hundred thousand people.
const maxRequest = 64 << 20

// Config is what the API needs of the node.
type Config struct {
	Version    string
	Hostname   string // of the node, for the DNS records to publish
	Store      *record.Store
	Keys       *keys.Keyring
	Forget     func(mail.TenantID) // drops an erased tenant's data key from memory
	ProbeEvery time.Duration       // the probe period of a primary that asks for none
	Mirror     Mirror
	Continuity Continuity
	Reconciler Reconciler
	Clock      clock.Clock
	Log        *slog.Logger
}

// API serves the administrators' requests.
type API struct {
	Config
	huma            huma.API
	handler         http.Handler
	started         time.Time
	imports         imports
	reconciliations reconciliations
	// background is work that outlives its request; it ends with life, the
	// context of Serve, which waits for it.
	background sync.WaitGroup
	life       context.Context
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
	a.orgRoutes()
	a.domainRoutes()
	a.primaryRoutes()
	a.personRoutes()
	a.importRoutes()
	a.groupRoutes()
	a.continuityRoutes()
	a.queueRoutes()
	a.mirrorRoutes()
	a.reconcileRoutes()
	a.ledgerRoutes()
	a.checkRoutes()
	a.auditRoutes()
	return a
}

// Serve answers on l until ctx ends, then finishes what is under way.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	a.life = ctx
	srv := &http.Server{
		Handler:           http.MaxBytesHandler(a.handler, maxRequest),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, actorKey{}, peerActor(c))
		},
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		if srv.Shutdown(limit) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-stopped
	}
	a.background.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end was asked for
	}
	return err
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
