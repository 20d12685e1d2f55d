package imapd

import (
	"fmt"
	"testing"
	"time"

	"relais/internal/dialogtest"
)

// TestDialogs plays every file of testdata/dialogs against a server with
// ann@example.org, whose password is "secret". Words of its own are
//
//	door [tls] [starttls] [noplaintext] [bad=N] [size=N] [user=N]
//	DELIVER <subject> (into the inbox)     AFTER <duration> (the clock moves)
func TestDialogs(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := dialogtest.TLS(t)
	dialogtest.Run(t, func(t *testing.T, options []dialogtest.Option) (door *dialogtest.Door, err error) {
		b := setup(t, func(cfg *Config) {
			for _, o := range options {
				switch o.Name {
				case "tls":
					cfg.TLS, cfg.ImplicitTLS = serverTLS, true
				case "starttls":
					cfg.TLS = serverTLS
				case "noplaintext":
					cfg.PlaintextAuth = false
				case "bad":
					cfg.MaxBad = o.Value
				case "size":
					cfg.MaxMessage = int64(o.Value)
				case "user":
					cfg.MaxPerUser = o.Value
				default:
					err = fmt.Errorf("%q is no word of a door", o.Name)
				}
			}
		})
		return &dialogtest.Door{Addr: b.addr, TLS: clientTLS, Words: map[string]func(string) error{"DELIVER": b.deliver, "AFTER": b.after}}, err
	})
}

func (b *bundle) deliver(subject string) error {
	b.Deliver(b.ann, subject)
	return nil
}

func (b *bundle) after(duration string) error {
	d, err := time.ParseDuration(duration)
	if err == nil {
		b.Clock.Advance(d)
	}
	return err
}
