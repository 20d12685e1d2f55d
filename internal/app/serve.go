// Package app is the only one that knows everyone: it opens, wires, starts and stops the rooms of a node.
package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"relais/internal/adminapi"
	"relais/internal/clock"
	"relais/internal/config"
	"relais/internal/continuity"
	"relais/internal/crashpoint"
	"relais/internal/directory"
	"relais/internal/dkim"
	"relais/internal/dns"
	"relais/internal/intake"
	"relais/internal/job"
	"relais/internal/judge"
	"relais/internal/mirror"
	"relais/internal/outbound"
	"relais/internal/reconcile"
	"relais/internal/tlsfiles"
)

// Options are what Serve is given by its caller.
type Options struct {
	ConfigFile string
	Stdout     io.Writer // gets "ready"
	Stderr     io.Writer // gets the log
}

// Serve runs a node until ctx ends (nil) or a part of it fails.
func Serve(ctx context.Context, opt Options) error {
	if err := crashpoint.Err(); err != nil {
		return err
	}
	cfg, err := config.Load(opt.ConfigFile)
	if err != nil {
		return err
	}
	log := newLog(opt.Stderr, cfg.Log)
	undo := &cleanups{log: log}
	defer undo.run()

	release, err := lock(cfg.Dir)
	if err != nil {
		return err
	}
	undo.add("release the data directory", func(context.Context) error { release(); return nil })

	rec, err := openStore(ctx, cfg, log, undo)
	if err != nil {
		return err
	}
	tlsConfig, err := tlsfiles.Load(cfg.Path(cfg.TLS.Cert), cfg.Path(cfg.TLS.Key))
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// Every listener is opened before any part runs: a port that is taken ends
	// the start at once, and "ready" is true when it is said.
	open := &listeners{tls: tlsConfig}
	undo.add("close the listeners", open.close)
	mx := open.plain("mx", cfg.Listen.MX)
	submission := open.plain("submission", cfg.Listen.Submission)
	submissions := open.withTLS("submissions", cfg.Listen.Submissions)
	imap := open.plain("imap", cfg.Listen.IMAP)
	imaps := open.withTLS("imaps", cfg.Listen.IMAPS)
	http := open.plain("http", cfg.Listen.HTTP)
	https := open.secure("https", cfg.Listen.HTTPS)
	metrics := open.plain("metrics", cfg.Listen.Metrics)
	if open.err != nil {
		return open.err
	}
	socket, err := adminapi.Listen(cfg.Dir)
	if err != nil {
		return err
	}
	undo.add("close the socket", func(context.Context) error { return socket.Close() })

	resolver, err := dns.New(dns.Config{Servers: cfg.DNS.Servers, Timeout: time.Duration(cfg.DNS.Timeout), Log: log.With("component", "dns")})
	if err != nil {
		return fmt.Errorf("set up DNS: %w", err)
	}
	undo.add("close DNS", func(context.Context) error { return resolver.Close() })
	own := ownDomains{rec.Store}
	far := &primaries{hostname: cfg.Hostname, keyring: rec.keyring, log: log}
	signer, err := reconcile.OpenSigner(ctx, rec.Store, rec.keyring)
	if err != nil {
		return fmt.Errorf("open the key of reports: %w", err)
	}
	reports := reconciler{store: rec.Store, node: cfg.Hostname, connect: far.connect, signer: signer}
	alarms, err := alarm(cfg, resolver)
	if err != nil {
		return err
	}
	// Continuity commands the mirror, which asks continuity what it may do.
	commanded := &mirrorForReturn{}
	states := continuity.New(continuity.Config{
		Store: rec.Store, Node: cfg.Hostname, Probers: far.probers(), Mirror: commanded, Reconciler: reconcilerForReturn{reports},
		References: cfg.Continuity.References, ProbeEvery: time.Duration(cfg.Continuity.ProbeEvery),
		ProbeTimeout: time.Duration(cfg.Continuity.ProbeTimeout), RoundTripEvery: time.Duration(cfg.Continuity.RoundTripEvery),
		FailAfter: cfg.Continuity.FailAfter, Alarm: alarms, Log: log.With("component", "continuity"),
	})
	mirrors := mirror.New(mirror.Config{
		Store: rec.Store, Gate: gate{states}, Alarm: gate{states}, Connector: far.connect, Breaker: breaker(cfg.Breaker),
		Sessions: cfg.Mirror.Connections, Log: log.With("component", "mirror"),
	})
	commanded.Service = mirrors
	relay := &mirror.Relay{Store: rec.Store, Gate: states, Dial: far.smtp, Service: mirrors}

	in := intake.New(intake.Config{
		Hostname: cfg.Hostname, Store: rec.Store, States: states, Primaries: asker{rec.Store, far},
		Judge: judge.New(judge.Config{
			Hostname: cfg.Hostname, Resolver: resolver, Domains: own, Exempt: []netip.Prefix{}, Log: log.With("component", "judge"),
		}),
		Signer:      dkim.NewSigner(own, rec.keyring, clock.System{}),
		GiveUpAfter: time.Duration(cfg.Outbound.GiveUpAfter), Log: log.With("component", "intake"),
	})
	relay.Returner = in
	auth, err := directory.NewAuthenticator(rec.Engine(), clock.System{}, log.With("component", "sign-in"))
	if err != nil {
		return fmt.Errorf("set up sign-in: %w", err)
	}
	doors, err := newDoors(cfg, tlsConfig, rec.Store, in, auth, log)
	if err != nil {
		return err
	}
	outgoing := outbound.NewRunner(outboundConfig(cfg), rec.Store, resolver, in)

	api := adminapi.New(adminapi.Config{
		Version: Version(), Hostname: cfg.Hostname, Store: rec.Store, Keys: rec.keyring, Forget: rec.ring.Forget,
		ProbeEvery: time.Duration(cfg.Continuity.ProbeEvery), Mirror: mirrors, Continuity: continuityDoor{states}, Reconciler: reports,
		Clock: clock.System{}, Log: log.With("component", "adminapi"),
	})

	registry.MustRegister(&gauges{store: rec.Store, states: states, mirrors: mirrors, smtp: doors.stats(), log: log.With("component", "metrics")})

	// The parts end in reverse order: first the doors, so that nothing new comes
	// in, then what works on it.
	workers := newGroup(ctx)
	undo.add("stop the workers", workers.stop)
	workers.start("continuity", states.Run)
	workers.start("mirror", mirrors.Run)
	workers.start("relay", relay.Run)
	workers.start("outbound", func(ctx context.Context) error { outgoing.Run(ctx); return nil })
	handlers := states.JobHandlers()
	maps.Copy(handlers, in.JobHandlers())
	jobs := job.NewRunner(job.RunnerConfig{Log: log.With("component", "job")}, rec.Store, handlers)
	workers.start("jobs", func(ctx context.Context) error { jobs.Run(ctx); return nil })
	keeper := &housekeeper{store: rec.Store, packs: rec.packs, log: log.With("component", "housekeeping")}
	workers.start("housekeeping", keeper.run)

	parts := newGroup(workers.ctx)
	undo.add("stop the doors", parts.stop)
	parts.start("mx", doors.mx.run(mx))
	parts.start("submission", doors.submission.run(submission))
	parts.start("submissions", doors.submissions.run(submissions))
	parts.start("imap", doors.imap.run(imap))
	parts.start("imaps", doors.imaps.run(imaps))
	parts.start("adminapi", func(ctx context.Context) error { return api.Serve(ctx, socket) })
	httpLog := log.With("component", "http")
	parts.start("http", httpPart(http, publicHandler(), httpLog))
	parts.start("https", httpPart(https, publicHandler(), httpLog))
	parts.start("metrics", httpPart(metrics, metricsHandler(registry), httpLog))

	removePid, err := writePid(cfg.Dir)
	if err != nil {
		return err
	}
	undo.add("remove the process id", func(context.Context) error { removePid(); return nil })
	if _, err := fmt.Fprintln(opt.Stdout, "ready"); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	log.Info("ready", "version", Version(), "hostname", cfg.Hostname)

	<-parts.ctx.Done()
	if ctx.Err() != nil {
		log.Info("stopping")
		return nil
	}
	return context.Cause(parts.ctx)
}

// listeners opens the node's TCP listeners; the first error stays.
type listeners struct {
	tls  *tls.Config
	open []net.Listener
	err  error
}

// plain opens one listener; nil when addr is "".
func (l *listeners) plain(name, addr string) net.Listener {
	if addr == "" || l.err != nil {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		l.err = fmt.Errorf("open listener %s: %w", name, err)
		return nil
	}
	l.open = append(l.open, ln)
	return ln
}

// withTLS opens one whose door does TLS itself; nil without a certificate.
func (l *listeners) withTLS(name, addr string) net.Listener {
	if l.tls == nil {
		return nil
	}
	return l.plain(name, addr)
}

// secure opens one that speaks TLS from the first byte; nil without a certificate.
func (l *listeners) secure(name, addr string) net.Listener {
	if l.tls == nil {
		return nil
	}
	if ln := l.plain(name, addr); ln != nil {
		return tls.NewListener(ln, l.tls)
	}
	return nil
}

// close closes those that their part has not closed already.
func (l *listeners) close(context.Context) error {
	for _, ln := range l.open {
		_ = ln.Close()
	}
	return nil
}

// Version is this build's, as the Go tool noted it: a module version, or the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "development"
}
