package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relais/internal/continuity"
	"relais/internal/mirror"
	"relais/internal/record"
	"relais/internal/smtpd"
)

// scrapeTimeout bounds what a scrape asks of the record.
const scrapeTimeout = 5 * time.Second

// gauges reads the node's numbers when they are asked for.
type gauges struct {
	store   *record.Store
	states  *continuity.Service
	mirrors *mirror.Service
	smtp    map[string]func() smtpd.Stats // by listener
	log     *slog.Logger
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("relais_"+name, help, labels, nil)
}

var (
	descConnections = desc("smtp_connections_open", "SMTP connections at this moment.", "listener")
	descMessages    = desc("smtp_messages_total", "Messages taken by SMTP since the start.", "listener")
	descBytes       = desc("smtp_bytes_total", "Bytes of the messages taken by SMTP since the start.", "listener")
	descRefused     = desc("smtp_messages_refused_total", "Messages refused after their end since the start.", "listener")
	descQueue       = desc("queue_messages", "Mail for elsewhere by state.", "state")
	descOwed        = desc("owed_messages", "Messages owed to a primary by state.", "domain", "state")
	descState       = desc("domain_state", "1 for the state that a domain is in.", "domain", "state")
	descProbe       = desc("probe_up", "1 if the last probe of a primary succeeded.", "domain", "probe")
	descProbeTook   = desc("probe_seconds", "How long the last probe of a primary took.", "domain", "probe")
	descInStep      = desc("mirror_in_step", "1 if the mirror of a domain has nothing left to do.", "domain")
	descLag         = desc("mirror_lag_seconds", "How far the oldest account of a domain is behind.", "domain")
	descFrozen      = desc("mirror_frozen", "1 if the mirror of a domain waits for a person.", "domain")
)

// Describe leaves the collector unchecked: domains come and go.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	number := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { number(d, prometheus.GaugeValue, v, labels...) }
	for name, stats := range g.smtp {
		s := stats()
		gauge(descConnections, float64(s.Open), name)
		number(descMessages, prometheus.CounterValue, float64(s.Messages), name)
		number(descBytes, prometheus.CounterValue, float64(s.Bytes), name)
		number(descRefused, prometheus.CounterValue, float64(s.Refused), name)
	}
	for _, p := range g.states.Gauges() {
		gauge(descProbe, truth(p.Up), p.Domain, p.Kind)
		gauge(descProbeTook, p.Took, p.Domain, p.Kind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	err := g.store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		queue, err := tx.Outbound.Count(ctx, 0)
		if err != nil {
			return err
		}
		for state, n := range queue {
			gauge(descQueue, float64(n), string(state))
		}
		domains, err := tx.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			owed, err := tx.Duty.Count(ctx, d.ID)
			if err != nil {
				return err
			}
			for state, n := range owed {
				gauge(descOwed, float64(n), d.Name, string(state))
			}
			c, err := tx.Continuity.Current(ctx, d.ID)
			if err != nil {
				return err
			}
			gauge(descState, 1, d.Name, string(c.State))
			m := g.mirrors.Status(d.ID)
			gauge(descInStep, truth(m.InStep), d.Name)
			gauge(descLag, m.Lag.Seconds(), d.Name)
			gauge(descFrozen, truth(m.Frozen), d.Name)
		}
		return nil
	})
	if err != nil {
		g.log.Warn("read the record for metrics", "err", err)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
