package outbound

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/test/faultymx"
	"relais/test/sink"
)

func TestOneTransactionPerDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.mx(t, "one.test", 10, 2), w.mx(t, "two.test", 10, 3)
	ids := w.put(t, New{From: from, Intake: "A"}, body, "a@one.test", "b@two.test", "c@one.test", "d@one.test")
	w.run(t)
	w.awaitState(t, ids, Sent)
	got := one.Messages()
	if len(got) != 1 || fmt.Sprint(got[0].To) != "[a@one.test c@one.test d@one.test]" || received(got[0]) != strings.TrimSpace(body) {
		t.Errorf("one.test got %+v", got)
	}
	if len(two.Messages()) != 1 {
		t.Errorf("two.test got %+v", two.Messages())
	}
	if it := w.item(t, ids[0]); !strings.Contains(it.LastReply, "mx2.one.test") || !strings.Contains(it.LastReply, "250 2.0.0 queued") {
		t.Errorf("last words %q", it.LastReply)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.PerDestination = 2
	mx := w.mx(t, "x.test", 10, 2)
	var ids []mail.QueueID
	for i := range 30 {
		ids = append(ids, w.put(t, New{From: from, Intake: fmt.Sprint(i)}, body, "a@x.test")...)
	}
	w.run(t)
	w.awaitState(t, ids, Sent)
	if total, peak := mx.Connections(); total > 4 || peak > 2 {
		t.Errorf("%d connections, %d at once, for 30 messages", total, peak)
	}
	if len(mx.Messages()) != 30 {
		t.Errorf("%d messages", len(mx.Messages()))
	}
}

func TestRefusedRecipientsAreToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mx := w.mx(t, "x.test", 10, 2)
	mx.Fail("RCPT:no@x.test", faultymx.Fault{Reply: "550 5.1.1 no such user here"})
	mx.Fail("RCPT:full@x.test", faultymx.Fault{Reply: "552 5.2.2 mailbox full"})
	mx.Fail("RCPT:later@x.test", faultymx.Fault{Reply: "450 4.7.1 greylisted", Times: 2})
	ids := w.put(t, New{From: from, Intake: "A", Tenant: 7, Account: 8, Person: 9}, body, "no@x.test", "yes@x.test", "full@x.test", "later@x.test")
	w.run(t)
	w.awaitState(t, []mail.QueueID{ids[1], ids[3]}, Sent)
	w.awaitState(t, []mail.QueueID{ids[0], ids[2]}, Failed)
	notices := w.returner.all()
	if len(notices) != 1 {
		t.Fatalf("%d notices", len(notices))
	}
	n := notices[0]
	if n.To != from || n.Tenant != 7 || n.Account != 8 || n.Person != 9 || n.Fate != Failed || len(n.Recipients) != 2 {
		t.Errorf("notice %+v", n)
	}
	if it := w.item(t, ids[3]); it.Attempts != 3 {
		t.Errorf("greylisted: %d attempts", it.Attempts)
	}
}

// A notice that can't be filed is not lost: the failure is found, and told, again.
func TestNoticeIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mx(t, "x.test", 10, 2).Fail(faultymx.Rcpt, faultymx.Fault{Reply: "550 5.1.1 no"})
	w.returner.fail = errors.New("store is full")
	ids := w.put(t, New{From: from}, body, "no@x.test")
	w.run(t)
	w.awaitState(t, ids, Failed)
	if len(w.returner.all()) != 1 || w.item(t, ids[0]).Attempts != 2 {
		t.Errorf("%d notices after %d attempts", len(w.returner.all()), w.item(t, ids[0]).Attempts)
	}
}

func TestNobodyIsToldOf(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]New{"a null sender": {}, "NOTIFY=NEVER": {From: from, Notify: "NEVER"}, "NOTIFY=SUCCESS": {From: from, Notify: "SUCCESS"}} {
		w := newWorld(t)
		w.mx(t, "x.test", 10, 2).Fail(faultymx.Rcpt, faultymx.Fault{Reply: "550 5.1.1 no"})
		ids := w.put(t, n, body, "no@x.test")
		w.run(t)
		w.awaitState(t, ids, Failed)
		if len(w.returner.all()) != 0 {
			t.Errorf("%s got a notice", name)
		}
	}
}

func TestDomainsWithoutMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dns.Set(t, "null.test. 60 IN MX 0 .", "loop.test. 60 IN MX 10 relais.test.", "bare.test. 60 IN TXT x")
	ids := w.put(t, New{From: from}, body, "a@nowhere.test", "a@null.test", "a@loop.test", "a@bare.test")
	w.run(t)
	w.awaitState(t, ids, Failed)
	for i, want := range []string{"5.1.2", "5.1.10", "5.4.6", "5.1.2"} {
		if it := w.item(t, ids[i]); !strings.Contains(it.LastReply, want) {
			t.Errorf("%s: %q, want %s", it.To, it.LastReply, want)
		}
	}
	if len(w.returner.all()) != 4 {
		t.Errorf("%d notices", len(w.returner.all()))
	}
}

// We are the second best exchanger: only the best is tried, never ourselves or a worse one.
func TestOnlyBetterExchangersThanUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	best := w.mx(t, "x.test", 10, 2)
	w.dns.Set(t, "x.test. 60 IN MX 20 relais.test.")
	worse := w.mx(t, "x.test", 30, 3)
	best.Fail(faultymx.Connect, faultymx.Fault{Reply: "421 4.3.2 busy", Times: 1})
	ids := w.put(t, New{From: from}, body, "a@x.test")
	w.run(t)
	w.await(t, ids, "tried", func(it Item) bool { return it.State == Waiting && it.Attempts > 0 })
	if n, _ := worse.Connections(); n != 0 {
		t.Error("a worse exchanger was tried")
	}
}

func TestDeadExchangerOfTwo(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*faultymx.Server){
		"refused":       (*faultymx.Server).Stop,
		"hangs":         func(s *faultymx.Server) { s.Fail(faultymx.Connect, faultymx.Fault{Hang: true}) },
		"no service":    func(s *faultymx.Server) { s.Fail(faultymx.Connect, faultymx.Fault{Reply: "554 5.3.2 no"}) },
		"cut at MAIL":   func(s *faultymx.Server) { s.Fail(faultymx.Mail, faultymx.Fault{Cut: true}) },
		"cut at DATA":   func(s *faultymx.Server) { s.Fail(faultymx.Data, faultymx.Fault{Cut: true}) },
		"hangs at RCPT": func(s *faultymx.Server) { s.Fail(faultymx.Rcpt, faultymx.Fault{Hang: true}) },
		"cut in it":     func(s *faultymx.Server) { s.Fail(faultymx.Body, faultymx.Fault{Cut: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			kill(w.mx(t, "x.test", 10, 2))
			alive := w.mx(t, "x.test", 20, 3)
			ids := w.put(t, New{From: from}, body, "a@x.test")
			w.run(t)
			w.awaitState(t, ids, Sent)
			attempts := 1
			if name == "cut in it" { // it went out whole before the cut was seen: an unknown outcome
				attempts = 2
			}
			if len(alive.Messages()) != 1 || w.item(t, ids[0]).Attempts > attempts {
				t.Errorf("%d messages after %d attempts", len(alive.Messages()), w.item(t, ids[0]).Attempts)
			}
		})
	}
}

// A destination that hangs takes its own connections, not the others'.
func TestHangingDestinationHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Dial.CommandTimeout = time.Minute
	w.config.Grace = time.Millisecond
	w.config.PerDestination = 2
	w.mx(t, "slow.test", 10, 2).Fail(faultymx.Mail, faultymx.Fault{Hang: true})
	w.mx(t, "fast.test", 10, 3)
	do(t, w.store, func(tx *Tx) error {
		for i := range maxClaimed {
			_, err := tx.Enqueue(t.Context(), New{From: from, Intake: fmt.Sprint("s", i), To: mail.Address{Local: "a", Domain: "slow.test"}, Hash: mail.Sum([]byte(body))})
			if err != nil {
				return err
			}
		}
		return nil
	})
	ids := w.put(t, New{From: from, Intake: "f"}, body, "a@fast.test")
	w.run(t)
	w.awaitState(t, ids, Sent)
}

func TestHangingConnectionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Dial.CommandTimeout = time.Minute
	w.config.Grace = time.Millisecond
	w.mx(t, "x.test", 10, 2).Fail("RCPT:slow@x.test", faultymx.Fault{Hang: true})
	slow := w.put(t, New{From: from, Intake: "s"}, body, "slow@x.test")
	w.run(t)
	w.awaitState(t, slow, Sending)
	w.awaitState(t, w.put(t, New{From: from, Intake: "f"}, body, "fast@x.test"), Sent)
}

func TestEveryTemporaryStageIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, stage := range []faultymx.Stage{faultymx.Connect, faultymx.Hello, faultymx.Mail, faultymx.Rcpt, faultymx.Data, faultymx.Dot} {
		for _, f := range []faultymx.Fault{{Reply: "451 4.3.0 later", Times: 1}, {Reply: "421 4.3.2 bye", Times: 1}} {
			t.Run(fmt.Sprint(stage, f.Reply), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				mx := w.mx(t, "x.test", 10, 2)
				if stage == faultymx.Connect || stage == faultymx.Hello {
					w.mx(t, "x.test", 20, 3) // the host rests for a while, its neighbour takes it
				}
				mx.Fail(stage, f)
				ids := w.put(t, New{From: from}, body, "a@x.test")
				w.run(t)
				w.awaitState(t, ids, Sent)
				if len(w.returner.all()) != 0 {
					t.Error("a notice was sent")
				}
			})
		}
	}
}

// After the final dot without an answer the same message is sent again (RFC 1047), and the row says why.
func TestUnknownOutcomeIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mx := w.mx(t, "x.test", 10, 2)
	mx.Fail(faultymx.Dot, faultymx.Fault{Cut: true, Times: 1})
	other := w.mx(t, "x.test", 20, 3)
	w.config.FirstRetry = 300 * time.Millisecond
	ids := w.put(t, New{From: from}, body, "a@x.test")
	w.run(t)
	w.await(t, ids, "repeated", func(it Item) bool { return strings.Contains(it.LastReply, "may have arrived") })
	if len(other.Messages()) != 0 {
		t.Error("it was given to another host at once")
	}
	w.awaitState(t, ids, Sent)
	got := append(mx.Messages(), other.Messages()...)
	if len(got) != 2 || received(got[0]) != received(got[1]) {
		t.Errorf("%d copies", len(got))
	}
}

func TestExpiredIsReturned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mx(t, "x.test", 10, 2).Fail(faultymx.Rcpt, faultymx.Fault{Reply: "450 4.2.0 not now"})
	ids := w.put(t, New{From: from, Expire: 300 * time.Millisecond}, body, "a@x.test")
	w.run(t)
	w.awaitState(t, ids, Failed)
	n := w.returner.all()
	if len(n) != 1 || !strings.Contains(string(n[0].Message), "Status: 4.4.7") {
		t.Errorf("%d notices", len(n))
	}
}

func TestDelayIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.DelayNotice = time.Millisecond
	mx := w.mx(t, "x.test", 10, 2)
	mx.Fail(faultymx.Rcpt, faultymx.Fault{Reply: "450 4.2.0 not now", Times: 4})
	ids := w.put(t, New{From: from}, body, "a@x.test")
	w.run(t)
	w.awaitState(t, ids, Sent)
	n := w.returner.all()
	if len(n) != 1 || n[0].Fate != Waiting || !strings.Contains(string(n[0].Message), "Action: delayed") {
		t.Errorf("%d notices", len(n))
	}
}

func TestSmartHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	special, other := sink.Start(t), sink.Start(t)
	w.config.SmartHosts = map[string]string{"x.test": special.Addr, "*": other.Addr}
	pinned := sink.Start(t)
	ids := w.put(t, New{From: from, Intake: "A"}, body, "a@x.test", "b@y.test", "c@z.test")
	ids = append(ids, w.put(t, New{From: from, Intake: "B", Via: pinned.Addr}, body, "d@x.test")...)
	w.run(t)
	w.awaitState(t, ids, Sent)
	if m := other.Messages(); len(special.Messages()) != 1 || len(m) != 1 || len(m[0].To) != 2 || len(pinned.Messages()) != 1 {
		t.Errorf("special %v, other %v, pinned %v", special.Messages(), m, pinned.Messages())
	}
}

func TestDNSDownWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mx := w.mx(t, "x.test", 10, 2)
	w.dns.Silent(true)
	ids := w.put(t, New{From: from}, body, "a@x.test")
	w.run(t)
	w.await(t, ids, "tried", func(it Item) bool { return it.Attempts > 0 && it.State == Waiting })
	if it := w.item(t, ids[0]); !strings.Contains(it.LastReply, "cannot be looked up") {
		t.Errorf("last words %q", it.LastReply)
	}
	w.dns.Silent(false)
	w.awaitState(t, ids, Sent)
	if len(mx.Messages()) != 1 {
		t.Errorf("%d messages", len(mx.Messages()))
	}
}

func TestUTF8AddressToAHostWithoutSMTPUTF8(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mx(t, "x.test", 10, 2).Offer("8BITMIME")
	ids := w.put(t, New{From: from, UTF8: true}, body, "zoé@x.test", "bob@x.test")
	w.run(t)
	w.awaitState(t, ids[:1], Failed)
	w.awaitState(t, ids[1:], Sent)
	n := w.returner.all()
	if len(n) != 1 || !strings.Contains(string(n[0].Message), `utf-8; zo\x{E9}@x.test`) || !strings.Contains(string(n[0].Message), "Status: 5.6.7") {
		t.Errorf("notices %v", n)
	}
}

func TestAddressLiteral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mx := w.mx(t, "x.test", 10, 2)
	ids := w.put(t, New{From: from}, body, "bob@[127.0.0.2]")
	w.run(t)
	w.awaitState(t, ids, Sent)
	if len(mx.Messages()) != 1 {
		t.Errorf("%d messages", len(mx.Messages()))
	}
}

// A node that stops gives back what it did not begin, and ends what it began.
func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.PerDestination = 1
	w.config.Grace = 50 * time.Millisecond
	w.config.Dial.CommandTimeout = time.Minute
	w.mx(t, "x.test", 10, 2).Fail(faultymx.Mail, faultymx.Fault{Hang: true})
	var ids []mail.QueueID
	for i := range 5 {
		ids = append(ids, w.put(t, New{From: from, Intake: fmt.Sprint(i)}, body, "a@x.test")...)
	}
	stop := w.run(t)
	w.await(t, ids, "claimed", func(it Item) bool { return it.State == Sending })
	start := time.Now()
	stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	given := 0
	for _, id := range ids {
		if it := w.item(t, id); it.State == Waiting && it.Attempts == 0 {
			given++
		}
	}
	if given < 4 {
		t.Errorf("%d of 4 given back", given)
	}
}

func TestUnreachableHostRests(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Now()
	h.failed("h", "refused", now)
	if words, resting := h.resting("h", now.Add(firstRest-1)); !resting || words != "refused" {
		t.Error("not resting")
	}
	if _, resting := h.resting("h", now.Add(firstRest)); resting {
		t.Error("rests too long")
	}
	for range 50 {
		h.failed("h", "refused", now)
	}
	if _, resting := h.resting("h", now.Add(lastRest)); resting {
		t.Error("rests too long after many failures")
	}
	h.well("h")
	if _, resting := h.resting("h", now); resting {
		t.Error("rests though it is well")
	}
}

// An administrator who knows that a host is back need not wait for its rest to end.
func TestRetryByHandAsksARestingHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.FirstRetry, w.config.LastRetry = time.Hour, time.Hour
	mx := w.mx(t, "x.test", 10, 2)
	mx.Fail(faultymx.Connect, faultymx.Fault{Cut: true, Times: 1})
	ids := w.put(t, New{From: from}, body, "a@x.test")
	w.run(t)
	w.await(t, ids, "tried", func(it Item) bool { return it.State == Waiting && it.Attempts == 1 })
	do(t, w.store, func(tx *Tx) error { return tx.Retry(t.Context(), ids[0]) })
	w.awaitState(t, ids, Sent)
}

func TestBackOffGrowsToItsLimit(t *testing.T) {
	t.Parallel()
	c := Config{FirstRetry: time.Minute, LastRetry: time.Hour}
	for attempt, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 5: 16 * time.Minute, 7: time.Hour, 500: time.Hour} {
		for range 100 {
			if got := c.backOff(attempt); got < want*8/10 || got > want*12/10 {
				t.Fatalf("attempt %d: %v", attempt, got)
			}
		}
	}
}

func TestRoutesToBadSmartHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := NewRunner(w.config, w.store, w.resolver, w.returner)
	if _, err := r.hops(t.Context(), route{host: "no-port"}); !fault.Retryable(err) {
		t.Errorf("got %v: a mistake in the configuration must not return mail", err)
	}
	got, err := r.hops(t.Context(), route{host: net.JoinHostPort("localhost", "25")})
	if err != nil || len(got) != 1 || got[0].addr != "127.0.0.1:25" {
		t.Errorf("got %v, %v", got, err)
	}
}
