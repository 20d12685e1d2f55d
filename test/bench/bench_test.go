package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	messages = flag.Int("messages", 1000, "messages of each intake run")
	rounds   = flag.Int("rounds", 3, "rounds of each work; the median counts")
)

// BenchmarkIntake lets both sides take signed mail over 1, 8 and 32 connections.
func BenchmarkIntake(b *testing.B) {
	o := newPostOffice(b, 5)
	theirs, ours := startPostfixDovecot(b, o), startRelais(b, o, "")
	sides := []*side{{peer: theirs}, {peer: ours}}
	for _, s := range sides {
		s.run(b, 4, o.write(b, 40)) // wakes up processes, fills caches
		s.checks(b)
	}
	var rows []row
	for _, connections := range []int{1, 8, 32} {
		r := row{name: fmt.Sprintf("intake, %d connections", connections), theirName: theirs.name}
		var generator time.Duration
		for range *rounds {
			for _, s := range sides {
				mail := o.write(b, *messages)
				began := ownCPU()
				result := s.run(b, connections, mail)
				generator += ownCPU() - began
				if s.peer == ours {
					r.ours = append(r.ours, result)
				} else {
					r.theirs = append(r.theirs, result)
				}
			}
		}
		r.generatorSeconds = generator.Seconds() * 1000 / float64(2**rounds**messages)
		b.ReportMetric(median(r.ours, run.rate), fmt.Sprintf("msg/s-%d", connections))
		b.ReportMetric(median(r.ours, run.rate)/median(r.theirs, run.rate), fmt.Sprintf("ratio-%d", connections))
		rows = append(rows, r)
	}
	show(os.Stdout, rows)
}

// side is a peer and how many messages it must hold by now.
type side struct {
	*peer
	holds int
}

// run sends the mail and waits until all of it can be read.
func (s *side) run(b *testing.B, connections int, mail []envelope) run {
	b.Helper()
	cpu, began := s.cpu(), time.Now()
	fire(b, s.smtp, connections, mail)
	s.holds += len(mail)
	s.await(b, s.holds)
	took := time.Since(began)
	return run{len(mail), took, s.cpu() - cpu}
}
