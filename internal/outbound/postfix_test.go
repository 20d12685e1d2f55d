package outbound

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"relais/internal/mail"
	"relais/test/postfix"
	"relais/test/sink"
)

// A real Postfix takes what we send: several recipients, dots, eight bits, SMTPUTF8, and refuses in its own words.
func TestThroughPostfix(t *testing.T) {
	t.Parallel()
	outside := sink.Start(t)
	server := postfix.Start(t, postfix.Config{Domain: "corp.test", Recipients: []string{"bob@corp.test"}, LMTP: "/nonexistent", Sink: outside.Addr})
	w := newWorld(t)
	w.config.SmartHosts = map[string]string{"*": server.Addr}
	w.config.Dial.CommandTimeout, w.config.Dial.FinalTimeout = 20*time.Second, 20*time.Second
	const odd = "From: ann@exemple.test\r\nSubject: d\r\nDate: Mon, 02 Mar 2026 12:00:00 +0000\r\nMessage-ID: <1@exemple.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.dot\r\n..\r\n.\r\ncafé\r\n"
	var ids []mail.QueueID
	for i := range 5 {
		ids = append(ids, w.put(t, New{From: from, Intake: fmt.Sprint(i), Bit8: true}, odd, "x@out.test", "y@out.test", "nobody@corp.test")...)
	}
	ids = append(ids, w.put(t, New{From: from, Intake: "utf8", UTF8: true, Bit8: true}, odd, "zoé@out.test")...)
	w.run(t)
	w.await(t, ids, "closed", func(it Item) bool { return it.State == Sent || it.State == Failed })
	for _, id := range ids {
		it := w.item(t, id)
		if (it.To == "nobody@corp.test") != (it.State == Failed) {
			t.Errorf("%s is %s: %s", it.To, it.State, it.LastReply)
		}
		if it.State == Failed && !strings.Contains(it.LastReply, "550 5.1.1") {
			t.Errorf("Postfix's words are not kept: %q", it.LastReply)
		}
	}
	if !outside.Await(6, 20*time.Second) {
		t.Fatalf("%d messages arrived outside", len(outside.Messages()))
	}
	for _, m := range outside.Messages() {
		if !strings.HasSuffix(string(m.Data), odd) {
			t.Errorf("arrived changed:\n%s", m.Data)
		}
	}
	if n := len(w.returner.all()); n != 5 {
		t.Errorf("%d notices, want 5", n)
	}
}
