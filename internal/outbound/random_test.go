package outbound

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"relais/internal/mail"
	"relais/test/faultymx"
)

// Whatever fails and whenever the runner is stopped: in the end each recipient
// heard of got the message once, a repeat followed only an unanswered final dot,
// and whoever was refused is in a notice.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	w.config.PerDestination = 3
	w.config.Grace = 20 * time.Millisecond
	w.config.Sole = true
	w.config.Dial.CommandTimeout, w.config.Dial.FinalTimeout = 100*time.Millisecond, 100*time.Millisecond
	var servers []*faultymx.Server
	for d := range 3 {
		for n := range 2 {
			servers = append(servers, w.mx(t, fmt.Sprintf("d%d.test", d), 10*n, 2+2*d+n))
		}
	}
	stages := []faultymx.Stage{faultymx.Hello, faultymx.Mail, faultymx.Rcpt, faultymx.Data, faultymx.Body, faultymx.Dot}
	faults := []faultymx.Fault{{Reply: "451 4.3.0 later"}, {Reply: "421 4.3.2 bye"}, {Cut: true}, {Hang: true}}
	var ids []mail.QueueID
	stop := w.run(t)
	for round := range 30 {
		for _, s := range servers {
			s.Fail(faultymx.Rcpt, faultymx.Fault{})
			f := faults[rnd.IntN(len(faults))]
			f.Times = 1 + rnd.IntN(3)
			s.Fail(stages[rnd.IntN(len(stages))], f)
			if rnd.IntN(8) == 0 {
				s.Fail(faultymx.Rcpt, faultymx.Fault{Reply: "550 5.1.1 no", Times: 1})
			}
		}
		for i := range 4 {
			text := fmt.Sprintf("Message-ID: <%d.%d@x>\r\n\r\n%d.%d\r\n", round, i, round, i)
			var to []string
			for r := range 1 + rnd.IntN(4) {
				to = append(to, fmt.Sprintf("r%d.%d.%d@d%d.test", round, i, r, rnd.IntN(3)))
			}
			ids = append(ids, w.put(t, New{From: from, Intake: fmt.Sprint(round, ".", i)}, text, to...)...)
		}
		if rnd.IntN(4) == 0 {
			stop()
			stop = w.run(t)
		}
		if rnd.IntN(2) == 0 {
			w.await(t, ids[len(ids)-1:], "tried", func(it Item) bool { return it.Attempts > 0 })
		}
	}
	for _, s := range servers {
		for _, stage := range stages {
			s.Fail(stage, faultymx.Fault{})
		}
	}
	stop() // hosts that rest are forgotten with the runner
	w.run(t)
	w.await(t, ids, "closed", func(it Item) bool { return it.State == Sent || it.State == Failed })

	type delivery struct{ to, text string }
	heard, unheard := map[delivery]int{}, map[delivery]int{}
	for _, s := range servers {
		for _, m := range s.Messages() {
			for _, to := range m.To {
				_, text, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
				if m.Heard {
					heard[delivery{to, string(text)}]++
				} else {
					unheard[delivery{to, string(text)}]++
				}
			}
		}
	}
	told := map[string]int{}
	for _, n := range w.returner.all() {
		for _, r := range n.Recipients {
			told[r.To]++
		}
	}
	states := map[State]int{}
	for _, id := range ids {
		it := w.item(t, id)
		states[it.State]++
		_, text, _ := bytes.Cut(w.bodies[it.Hash], []byte("\r\n\r\n"))
		n := heard[delivery{it.To, string(text)}]
		switch {
		case it.State == Sent && n == 0:
			t.Errorf("%s is sent and nobody got it: %s", it.To, it.LastReply)
		case n > 1 && unheard[delivery{it.To, string(text)}] == 0:
			t.Errorf("%s got it %d times", it.To, n)
		case it.State == Failed && told[it.To] == 0:
			t.Errorf("%s failed (%s) and nobody was told", it.To, it.LastReply)
		}
	}
	t.Logf("%d rows: %v; %d deliveries unanswered", len(ids), states, len(unheard))
}

// BenchmarkQueue is a message through the queue: filed, claimed, sent, recorded.
func BenchmarkQueue(b *testing.B) {
	w := newWorld(b)
	w.mx(b, "x.test", 10, 2)
	w.bodies[mail.Sum([]byte(body))] = []byte(body)
	w.run(b)
	b.ReportAllocs()
	start := time.Now()
	done := make(chan []mail.QueueID, 16)
	go func() {
		defer close(done)
		for i := 0; i < b.N; i += 100 {
			var ids []mail.QueueID
			err := w.Queue(context.Background(), func(ctx context.Context, tx *Tx) error {
				ids = ids[:0]
				for k := range min(100, b.N-i) {
					id, err := tx.Enqueue(ctx, New{From: from, Hash: mail.Sum([]byte(body)), Intake: fmt.Sprint(i + k), To: mail.Address{Local: "a", Domain: "x.test"}})
					if err != nil {
						return err
					}
					ids = append(ids, id)
				}
				return nil
			})
			if err != nil {
				b.Error(err)
				return
			}
			done <- ids
		}
	}()
	var all []mail.QueueID
	for ids := range done {
		all = append(all, ids...)
		w.awaitState(b, ids[len(ids)-1:], Sent) // asking for each would be measured too
	}
	w.awaitState(b, all, Sent)
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "messages/s")
}
