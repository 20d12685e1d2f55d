package record_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relais/internal/db"
	"relais/internal/directory"
	"relais/internal/duty"
	"relais/internal/mail"
	"relais/internal/record"
	"relais/internal/record/recordtest"
)

// BenchmarkFile files messages of 6 KB as the MX door does: an arrival with its
// repeat key, one inbox, one duty. It reports the CPU time of this process per message.
func BenchmarkFile(b *testing.B) {
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("sqlite/%d", callers), func(b *testing.B) { benchmarkFile(b, openSQLite(b), callers) })
	}
	open := openPostgres(b)
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("postgres/%d", callers), func(b *testing.B) { benchmarkFile(b, open(b), callers) })
	}
}

func benchmarkFile(b *testing.B, engine db.Engine, callers int) {
	r := recordtest.Over(b, engine)
	people := make([]directory.Person, 20)
	for i := range people {
		people[i] = r.Person(fmt.Sprint("p", i))
	}
	filler := strings.Repeat("All work and no play makes a dull message, 72 characters to the line.\r\n", 80)
	filings := make([]*record.Filing, b.N)
	for i := range filings {
		p := people[i%len(people)]
		body := append(r.Message("bench"), filler...)
		f := r.Filing(body, p)
		f.Hash = mail.Sum(body)
		f.Intake = &record.Intake{ID: fmt.Sprintf("%026d", i), Peer: "192.0.2.1", Helo: "mx.example.net", MailFrom: "bob@example.net", RepeatKey: f.Hash[:16]}
		f.Duties = []duty.New{{Domain: r.Domain.ID, Recipient: p.Email, Account: p.Account, MailFrom: "bob@example.net"}}
		filings[i] = f
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	cpu := cpuTime()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				if _, err := r.File(b.Context(), filings[i]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/message")
}

// cpuTime is the user and system time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
