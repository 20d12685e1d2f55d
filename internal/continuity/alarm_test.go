package continuity_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"relais/internal/continuity"
	"relais/internal/job"
	"relais/internal/mail"
	"relais/test/sink"
)

// runJobs runs the alarms of a bundle until the test ends.
func (b *bundle) runJobs() {
	runner := job.NewRunner(job.RunnerConfig{FirstRetry: 10 * time.Millisecond}, b.store, b.JobHandlers())
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	b.t.Cleanup(func() { cancel(); <-done })
	go func() { defer close(done); runner.Run(ctx) }()
}

func TestAlarmsReachOutsideAddressesInBothLanguages(t *testing.T) {
	t.Parallel()
	out := sink.Start(t)
	b := quiet(t)
	b.end()
	b.config.Alarm = continuity.Alarm{
		To: []mail.Address{{Local: "boss", Domain: "elsewhere.test"}}, From: mail.Address{Local: "relais", Domain: "relais.test"}, Hello: "relais.test",
		Sender: continuity.SmartHost{Address: out.Addr, Hello: "relais.test"},
	}
	out.Stop() // the alarm must survive it
	b.restart()
	b.failover()
	b.runJobs()
	out.Run()
	if !out.Await(1, time.Minute) {
		t.Fatal("no alarm arrives")
	}
	m, err := netmail.ReadMessage(bytes.NewReader(out.Messages()[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.Contains(subject, "Relais assure maintenant la messagerie de example.org") || !strings.Contains(subject, "carries the mail") {
		t.Errorf("subject %q %v", subject, err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	for _, want := range []string{"Prévenez les utilisateurs", "Tell people", "relais return example.org", "decided by a person", "root"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the text lacks %q:\n%s %v", want, text, err)
		}
	}
	if m.Header.Get("Auto-Submitted") == "" {
		t.Error("automatic answers may come back")
	}
}

func TestWebhookIsSignedAndRepeatedUntilItIsTaken(t *testing.T) {
	t.Parallel()
	type post struct {
		body      []byte
		signature string
	}
	posts := make(chan post, 10)
	tries := 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if tries++; tries < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		posts <- post{body, r.Header.Get(continuity.SignatureHeader)}
	}))
	t.Cleanup(hook.Close)
	b := quiet(t)
	b.end()
	b.config.Alarm = continuity.Alarm{Webhook: hook.URL, Secret: "between us"}
	b.restart()
	b.Frozen(t.Context(), continuity.Frozen{Tenant: b.domain.Tenant, Account: b.person.Account, Email: b.person.Email, Reason: "60 of 100 messages vanished"})
	b.runJobs()
	select {
	case p := <-posts:
		var n continuity.Notice
		if err := json.Unmarshal(p.body, &n); err != nil || n.Kind != continuity.NoticeFrozen || n.Domain != "example.org" || n.Account != "ann@example.org" || n.ID == "" {
			t.Errorf("%s %v", p.body, err)
		}
		stamp, hash, _ := strings.Cut(strings.TrimPrefix(p.signature, "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte("between us"))
		mac.Write([]byte(stamp + "."))
		mac.Write(p.body)
		if hash != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature %q does not fit", p.signature)
		}
	case <-time.After(time.Minute):
		t.Fatal("no alarm arrives")
	}
}
