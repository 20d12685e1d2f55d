package app

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"relais/internal/config"
	"relais/internal/continuity"
	"relais/internal/dns"
	"relais/internal/fault"
	"relais/internal/mail"
)

// alarm says who is told, and how.
func alarm(cfg *config.Config, resolver *dns.Resolver) (continuity.Alarm, error) {
	a := continuity.Alarm{Hello: cfg.Hostname, Webhook: cfg.Alarm.Webhook, Secret: cfg.Alarm.WebhookSecret}
	for _, s := range cfg.Alarm.To {
		to, err := mail.ParseAddress(s)
		if err != nil {
			return a, fmt.Errorf("alarm.to: %w", err)
		}
		a.To = append(a.To, to)
	}
	from := cfg.Alarm.From
	if from == "" {
		from = "relais@" + cfg.Hostname
	}
	var err error
	if a.From, err = mail.ParseAddress(from); err != nil {
		return a, fmt.Errorf("alarm.from: %w", err)
	}
	host := cfg.Alarm.SmartHost
	if host == "" {
		host = cfg.Outbound.SmartHost
	}
	if host != "" {
		a.Sender = continuity.SmartHost{Address: host, Hello: cfg.Hostname}
	} else {
		a.Sender = exchangers{resolver, cfg.Hostname, cfg.Outbound.Port}
	}
	return a, nil
}

// exchangers sends alarms to the mail exchangers of their addresses, past the
// queue: an alarm waits for nothing else.
type exchangers struct {
	resolver *dns.Resolver
	hostname string
	port     int
}

// Send tries each exchanger's addresses in turn.
func (x exchangers) Send(ctx context.Context, from, to mail.Address, body []byte) error {
	hosts, err := x.resolver.MX(ctx, to.Domain)
	if err != nil {
		return err
	}
	err = fault.New(fault.Unavailable, "%s has no mail server", to.Domain)
	for _, h := range hosts {
		addrs, lookup := x.resolver.Addresses(ctx, h.Host)
		if lookup != nil {
			err = lookup
			continue
		}
		for _, a := range addrs {
			host := continuity.SmartHost{Address: net.JoinHostPort(a.String(), strconv.Itoa(x.port)), Hello: x.hostname}
			if err = host.Send(ctx, from, to, body); err == nil || fault.Is(err, fault.Denied) {
				return err
			}
		}
	}
	return err
}
