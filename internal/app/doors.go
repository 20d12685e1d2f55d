package app

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"relais/internal/admit"
	"relais/internal/clock"
	"relais/internal/config"
	"relais/internal/directory"
	"relais/internal/imapd"
	"relais/internal/intake"
	"relais/internal/record"
	"relais/internal/smtpd"
)

// memoryWait is how long a client that sends a message waits for room.
const memoryWait = 10 * time.Second

// doorsWithin is how long the doors may take to end what is under way.
const doorsWithin = 4 * time.Second

// door is a server of one kind of listener.
type door struct {
	serve    func(net.Listener) error
	shutdown func(context.Context) error
	stats    func() smtpd.Stats // of an SMTP door
}

// run serves l until the context ends, and ends what is under way. It does
// nothing for a door or a listener that is switched off.
func (d *door) run(l net.Listener) func(context.Context) error {
	return func(ctx context.Context) error {
		if d == nil || l == nil {
			<-ctx.Done()
			return nil
		}
		ended := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(ended)
			limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), doorsWithin)
			defer cancel()
			_ = d.shutdown(limit) // its error says that clients were cut off
		})
		err := d.serve(l)
		if !stop() {
			<-ended
		}
		return err
	}
}

// doors are the node's mail servers.
type doors struct{ mx, submission, submissions, imap, imaps *door }

// newDoors makes them. Those that need TLS are nil without a certificate.
func newDoors(cfg *config.Config, tlsConfig *tls.Config, store *record.Store, in *intake.Intake, auth *directory.Authenticator, log *slog.Logger) (*doors, error) {
	size := int64(cfg.Limits.MessageSize)
	// One bound for all doors: what a failed sign-in teaches on one holds on the others.
	memory := admit.NewMemory(max(512<<20, 4*size), memoryWait)
	failures := admit.NewFailures(clock.System{})

	smtp := func(mode smtpd.Mode, implicit bool, h smtpd.Handler) (*door, error) {
		s, err := smtpd.New(smtpd.Config{
			Hostname: cfg.Hostname, Mode: mode, TLS: tlsConfig, ImplicitTLS: implicit, PlaintextAuth: cfg.SignIn.Plaintext,
			MaxSize: size, MaxRecipients: cfg.Limits.Recipients, MaxConnections: cfg.Limits.Connections,
			MaxPerIP: cfg.Limits.ConnectionsPerAddress, Exempt: cfg.ExemptNetworks(), Memory: memory, Failures: failures,
			Log: log.With("component", "smtpd"),
		}, h)
		if err != nil {
			return nil, err
		}
		return &door{s.Serve, s.Shutdown, s.Stats}, nil
	}
	masters := directory.NewMasters(auth)
	imap := func(implicit bool) (*door, error) {
		s, err := imapd.New(imapd.Config{
			Hostname: cfg.Hostname, TLS: tlsConfig, ImplicitTLS: implicit, PlaintextAuth: cfg.SignIn.Plaintext,
			MaxMessage: size, MaxConnections: cfg.Limits.Connections, MaxPerIP: cfg.Limits.ConnectionsPerAddress,
			Exempt: cfg.ExemptNetworks(), Memory: memory, Failures: failures, Log: log.With("component", "imapd"),
		}, store, masters)
		if err != nil {
			return nil, err
		}
		return &door{serve: s.Serve, shutdown: s.Shutdown}, nil
	}
	var d doors
	var err error
	if d.mx, err = smtp(smtpd.MX, false, mxHandler{in}); err != nil {
		return nil, err
	}
	people := submissionHandler{in, auth}
	if tlsConfig != nil || cfg.SignIn.Plaintext {
		if d.submission, err = smtp(smtpd.Submission, false, people); err != nil {
			return nil, err
		}
		if d.imap, err = imap(false); err != nil {
			return nil, err
		}
	}
	if tlsConfig == nil {
		return &d, nil
	}
	if d.submissions, err = smtp(smtpd.Submission, true, people); err != nil {
		return nil, err
	}
	d.imaps, err = imap(true)
	return &d, err
}

// stats are the counts of the SMTP doors by listener.
func (d *doors) stats() map[string]func() smtpd.Stats {
	out := map[string]func() smtpd.Stats{}
	for name, one := range map[string]*door{"mx": d.mx, "submission": d.submission, "submissions": d.submissions} {
		if one != nil {
			out[name] = one.stats
		}
	}
	return out
}
