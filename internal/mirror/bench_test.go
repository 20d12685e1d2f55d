package mirror_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"relais/internal/mirror"
)

// The size of BenchmarkMirror.
const (
	benchAccounts = 4
	benchMessages = 2000 // of each account
	benchBody     = 4096 // bytes
)

// BenchmarkMirror fetches some accounts from a Dovecot whole, and puts them back
// when it was wiped, the accounts at the same time.
func BenchmarkMirror(b *testing.B) {
	s := setup(b, people("bench", benchAccounts))
	accounts := make([]*bundle, benchAccounts)
	filler := bytes.Repeat([]byte("Words that somebody wrote to somebody else, in lines.\r\n"), benchBody/55)
	each := func(do func(a *bundle)) time.Duration {
		began := time.Now()
		var all sync.WaitGroup
		for _, a := range accounts {
			all.Go(func() { do(a) })
		}
		all.Wait()
		return time.Since(began)
	}
	for i := range accounts {
		accounts[i] = s.another(fmt.Sprint("bench", i))
		session, err := s.primary.Open(b.Context(), accounts[i].ann.Email)
		if err != nil {
			b.Fatal(err)
		}
		var messages []mirror.Append
		for range benchMessages {
			messages = append(messages, mirror.Append{Body: append(s.Message("history"), filler...), Date: time.Now()})
		}
		if _, err := session.Append(b.Context(), "INBOX", messages); err != nil {
			b.Fatal(err)
		}
		session.Close()
	}
	run := func(mode mirror.Mode) func(*bundle) {
		return func(a *bundle) {
			if _, refused, err := a.service.Merge(b.Context(), a.primary, a.ann, mode); err != nil || refused > 0 {
				b.Error(refused, err)
			}
		}
	}
	const total = benchAccounts * benchMessages
	for b.Loop() {
		cold := each(run(standby))
		b.ReportMetric(total/cold.Seconds(), "cold-messages/s")
		s.server.Stop()
		s.server.Wipe()
		s.server.Run()
		s.do(s.service.Rebuilt(b.Context(), s.Domain.ID, "bench"))
		each(func(a *bundle) { // connections of before
			_, _, _ = a.service.Merge(b.Context(), a.primary, a.ann, active)
		})
		restored := each(run(returning))
		b.ReportMetric(total/restored.Seconds(), "restored-messages/s")
	}
	for _, a := range accounts {
		a.client = nil
		if n := len(a.there()["INBOX"]); n != benchMessages {
			b.Errorf("%d messages were restored", n)
		}
	}
}
