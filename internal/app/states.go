package app

import (
	"context"
	"log/slog"
	"time"

	"relais/internal/config"
	"relais/internal/mail"
	"relais/internal/mirror"
)

// states tells the rooms below what a domain's state means for them: every
// primary is in charge.
type states struct{}

func (states) Away(context.Context, mail.DomainID) (time.Time, error) { return time.Time{}, nil }

// Mode lets both directions flow.
func (states) Mode(context.Context, mail.DomainID) (mirror.Mode, error) {
	return mirror.Mode{Pull: true, Push: true}, nil
}

func (states) Relays(context.Context, mail.DomainID) (bool, error) { return true, nil }

// alarms logs what waits for a person.
type alarms struct{ log *slog.Logger }

// Frozen tells of a breaker that tripped.
func (a alarms) Frozen(ctx context.Context, f mirror.Frozen) {
	a.log.WarnContext(ctx, "the mirror froze and waits for a person", "account", f.Email, "reason", f.Reason)
}

// breaker is the configuration in the mirror's terms.
func breaker(b config.Breaker) mirror.Breaker {
	return mirror.Breaker{
		Hour: b.AccountMessages, Week: b.AccountMessages,
		HourShare: float64(b.AccountHourPercent) / 100, WeekShare: float64(b.AccountWeekPercent) / 100,
		TenantHour: b.TenantMessages, TenantShare: float64(b.TenantHourPercent) / 100,
	}
}
