package outbound

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mjl-/mox/dsn"
	"log/slog"

	ours "relais/internal/mail"
	"relais/internal/smtp"
)

var update = flag.Bool("update", false, "write the notices of testdata anew")

func notice() *Notice {
	item := func(to string) Item {
		return Item{From: "zoe@exemple.test", To: to, CreatedAt: noon.Add(-5 * time.Hour), ExpiresAt: noon.Add(24 * time.Hour)}
	}
	n := &Notice{To: ours.Address{Local: "zoe", Domain: "exemple.test"}, Fate: Failed, At: noon}
	n.Recipients = []Reported{
		{Item: item("bob@x.test"), Host: "mx.x.test", Reply: &smtp.Reply{Code: 550, Enhanced: "5.1.1", Lines: []string{"<bob@x.test>: no such user,", "really"}}, Words: "mx.x.test [192.0.2.1:25]: 550 5.1.1 no such user"},
		{Item: item("eve@nowhere.test"), Reply: smtp.NewReply(550, "5.1.2", "domain nowhere.test does not exist"), Words: "550 5.1.2 domain nowhere.test does not exist"},
		{Item: item("zoé@y.test"), Expired: true, Words: "mx.y.test [192.0.2.2:25]: connect: connection refused"},
	}
	n.Recipients[0].ORcpt, n.Recipients[0].EnvID = "rfc822;robert@x.test", "QQ1"
	return n
}

const original = "Received: from a\r\nFrom: zoe@exemple.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <42@exemple.test>\r\n\r\nthe body\r\n"

// mox's parser, which is not ours, reads what we write.
func TestNoticeIsReadByMox(t *testing.T) {
	t.Parallel()
	n := notice()
	n.Recipients[2].Words = ""        // its parser knows no diagnostics but those of SMTP,
	n.Recipients[2].To = "zoe@y.test" // and addresses of RFC 6533 only in the other media type
	n.compose("relais.test", []byte(original))
	m, _, err := dsn.Parse(slog.New(slog.DiscardHandler), bytes.NewReader(n.Message))
	if err != nil {
		t.Fatalf("%v\n%s", err, n.Message)
	}
	if m.ReportingMTA != "relais.test" || m.OriginalEnvelopeID != "QQ1" || len(m.Recipients) != 3 {
		t.Fatalf("got %+v", m)
	}
	for i, want := range []string{"5.1.1", "5.1.2", "4.4.7"} {
		if r := m.Recipients[i]; r.Status != want || r.Action != dsn.Failed {
			t.Errorf("recipient %d: %+v", i, r)
		}
	}
	if r := m.Recipients[0]; !strings.HasSuffix(r.RemoteMTA.Name, "mx.x.test") || r.DiagnosticCodeSMTP != "550 5.1.1 <bob@x.test>: no such user, / really" {
		t.Errorf("the server's words: %+v", r)
	}
}

// What people read, and the shape of the whole.
func TestNoticeForPeople(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		fate State
	}{{"testdata/failed.txt", Failed}, {"testdata/delayed.txt", Waiting}} {
		n := notice()
		n.Fate = c.fate
		n.compose("relais.test", []byte(original))
		m, err := mail.ReadMessage(bytes.NewReader(n.Message))
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Auto-Submitted") != "auto-replied" || m.Header.Get("In-Reply-To") != "<42@exemple.test>" || m.Header.Get("Message-ID") != "<"+n.MessageID+">" {
			t.Errorf("header %v", m.Header)
		}
		_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil || params["report-type"] != "delivery-status" {
			t.Fatal(params, err)
		}
		parts := multipart.NewReader(m.Body, params["boundary"])
		var got strings.Builder
		for {
			p, err := parts.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString("== " + p.Header.Get("Content-Type") + "\n" + strings.ReplaceAll(string(b), "\r\n", "\n"))
		}
		if *update {
			if err := os.WriteFile(c.file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(c.file)
		if err != nil || got.String() != string(want) {
			t.Errorf("%v\ngot\n%s\nwant\n%s", err, got.String(), want)
		}
	}
}

func TestNoticeReturnsTheWholeWhereAsked(t *testing.T) {
	t.Parallel()
	for ret, whole := range map[string]bool{"FULL": true, "HDRS": false, "": false} {
		n := notice()
		n.Recipients[0].Ret = ret
		n.compose("relais.test", []byte(original))
		if got := bytes.Contains(n.Message, []byte("the body")); got != whole {
			t.Errorf("RET=%s: whole %v", ret, got)
		}
	}
	n := notice()
	n.compose("relais.test", nil)
	n.compose("relais.test", []byte("Subject: "+strings.Repeat("x\r\n ", 50_000)+"\r\n\r\n"))
	if len(n.Message) > 2*maxReturnedHeader {
		t.Errorf("a notice of %d bytes", len(n.Message))
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	key := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)
	got := Publish("bücher.test", "mx.relais.test", "inpath", "relais20260302 "+key)
	want := []Record{
		{Name: "xn--bcher-kva.test.", Type: "MX", Value: "10 mx.relais.test."},
		{Name: "relais20260302._domainkey.xn--bcher-kva.test.", Type: "TXT", Value: `"` + key[:255] + `" "` + key[255:] + `"`},
		{Name: "xn--bcher-kva.test.", Type: "TXT", Value: `"v=spf1 mx a:mx.relais.test ~all"`},
		{Name: "_dmarc.xn--bcher-kva.test.", Type: "TXT", Value: `"v=DMARC1; p=none; rua=mailto:postmaster@xn--bcher-kva.test"`},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, r := range got {
		if r.Why == "" {
			t.Errorf("%s %s has no reason", r.Name, r.Type)
		}
		if r.Why = ""; r != want[i] {
			t.Errorf("got %+v, want %+v", r, want[i])
		}
	}
}
