package clients_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
)

// TestCurl lists, fetches, searches and appends over IMAP and submits by each way, with and without TLS.
func TestCurl(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 12)
	p, other := o.company.Staff[0], o.company.Staff[1]
	dir := t.TempDir()
	ca := filepath.Join(o.node.Dir, "keys", "cert.pem")
	curl := func(args ...string) string {
		t.Helper()
		return run(t, dir, "curl", append([]string{"-sS", "--max-time", "30", "--cacert", ca, "-u", p.Email + ":" + p.Password}, args...)...)
	}
	imap, imaps := "imap://"+o.node.IMAP(), "imaps://localhost:"+strings.Split(o.node.IMAPS(), ":")[1]

	for _, base := range []string{imap, imaps} {
		if out := curl(base + "/"); !strings.Contains(out, "INBOX") {
			t.Errorf("LIST at %s gives %q", base, out)
		}
	}
	w := o.writer
	m := w.Write(o.company.Outside[0], []traffic.Person{p}, time.Now())
	file := write(t, dir, "message", string(m.Raw))
	curl(imap+"/Junk", "-T", file)
	if n := o.desk(0).holds(t, "Junk", walker.Title(m.Raw)); n != 1 {
		t.Errorf("%d copies after an APPEND, want 1", n)
	}
	if out := curl(imap+"/Junk", "-X", `SEARCH HEADER Message-ID "`+m.ID+`"`); !strings.Contains(out, "* SEARCH 1") {
		t.Errorf("SEARCH gives %q", out)
	}
	if out := curl(imap + "/Junk;MAILINDEX=1"); out != string(m.Raw) {
		t.Errorf("FETCH gives %d bytes, want the %d that were appended", len(out), len(m.Raw))
	}

	for name, base := range map[string][]string{
		"plain":    {"smtp://" + o.node.Submission()},
		"starttls": {"smtp://localhost:" + strings.Split(o.node.Submission(), ":")[1], "--ssl-reqd"},
		"implicit": {"smtps://localhost:" + strings.Split(o.node.Submissions(), ":")[1]},
	} {
		m := w.Write(p, []traffic.Person{other}, time.Now())
		args := append([]string{"--mail-from", p.Email, "--mail-rcpt", other.Email, "-T", write(t, dir, name, string(m.Raw))}, base...)
		curl(args...)
		recipient := o.desk(1)
		if sent, got := o.desk(0).holds(t, "Sent", walker.Title(m.Raw)), recipient.holds(t, "INBOX", walker.Title(m.Raw)); sent != 1 || got != 1 {
			t.Errorf("%s: %d copies in Sent and %d at the recipient, want 1 and 1", name, sent, got)
		}
	}
}
