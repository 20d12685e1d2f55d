package outbound

import (
	"time"

	"relais/internal/mail"
)

// NewNotice composes the notice of a failure that did not happen in the queue:
// what a primary refused. original is the message.
func NewNotice(hostname string, to mail.Address, at time.Time, original []byte, failed ...Reported) *Notice {
	n := &Notice{To: to, Fate: Failed, Recipients: failed, At: at}
	if len(failed) > 0 {
		n.Tenant = failed[0].Tenant
	}
	n.compose(hostname, original)
	return n
}
