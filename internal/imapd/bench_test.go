package imapd

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkFetch asks for a mailbox of a thousand messages as clients do when they open one.
func BenchmarkFetch(b *testing.B) {
	const messages = 1000
	s := setup(b, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for i := range messages / 20 {
				s.Deliver(s.ann, fmt.Sprintf("note %d", i))
			}
		})
	}
	wg.Wait()
	c := signIn(b, s.addr, "ann@example.org", "secret")
	c.ok("SELECT INBOX")
	for _, items := range []string{"UID FLAGS", "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (Subject From)]", "BODY.PEEK[]"} {
		b.Run(items, func(b *testing.B) {
			for b.Loop() {
				c.ok("FETCH 1:* (" + items + ")")
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/messages, "µs/message")
		})
	}
	for _, query := range []string{"UNSEEN", "SUBJECT nothing", "TEXT nothing"} {
		b.Run("SEARCH "+query, func(b *testing.B) {
			for b.Loop() {
				c.ok("SEARCH " + query)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/messages, "µs/message")
		})
	}
}
