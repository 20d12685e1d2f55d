package clients_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relais/internal/demo/walker"
	"relais/test/proc"
	"relais/test/story"
)

const muttrc = `set from = "%[1]s"
set realname = "Mutt"
set use_envelope_from = yes
set imap_user = "%[1]s"
set imap_pass = "%[2]s"
set folder = "imap://%[3]s/"
set spoolfile = "+INBOX"
set smtp_url = "smtp://%[4]s@%[5]s/"
set smtp_pass = "%[2]s"
set ssl_starttls = no
set ssl_force_tls = no
set copy = no
set header_cache = ""
set confirmappend = no
set confirmcreate = no
set mbox_type = mbox
set wait_key = no
set quit = yes
set mail_check_stats = no
set sleep_time = 0
`

// TestNeomutt sends a message with an attachment and copies a whole inbox out to a file.
func TestNeomutt(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 13)
	p, other := o.company.Staff[0], o.company.Staff[1]
	dir := t.TempDir()
	rc := write(t, dir, "muttrc", fmt.Sprintf(muttrc, p.Email, p.Password, o.node.IMAP(), url.QueryEscape(p.Email), o.node.Submission()))
	attachment := write(t, dir, "plan.txt", "étage 2\n")
	body := write(t, dir, "body", "Bonjour,\n\nvoici le plan.\n")
	proc.Need(t, "neomutt")
	run(t, dir, "sh", "-c", fmt.Sprintf("neomutt -F %s -s 'Plan de l’étage' -a %s -- %s <%s", rc, attachment, other.Email, body))

	inbox := func(login, password string) []walker.Item {
		var out []walker.Item
		for _, i := range story.Walk(t, o.node.IMAP(), login, password).Items {
			if strings.Contains(i.Title, "Plan") {
				out = append(out, i)
			}
		}
		return out
	}
	if got := inbox(other.Email, other.Password); len(got) != 1 || got[0].Folder != "INBOX" {
		t.Errorf("the recipient has %v, want it once in the inbox", got)
	}
	if got := inbox(p.Email, p.Password); len(got) != 1 || got[0].Folder != "Sent" {
		t.Errorf("the sender has %v, want it once in Sent", got)
	}
	copyOut(t, o.desk(0), dir, rc)
}

func TestNeomuttControl(t *testing.T) {
	t.Parallel()
	d, dir := control(t), t.TempDir()
	copyOut(t, d, dir, write(t, dir, "muttrc", fmt.Sprintf(muttrc, d.person.Email, d.person.Password, d.imap, "none", "none")))
}

// copyOut has neomutt copy the whole inbox to a file.
func copyOut(t *testing.T, d desk, dir, rc string) {
	t.Helper()
	var want int
	for _, i := range d.walk(t).Items {
		if i.Folder == "INBOX" {
			want++
		}
	}
	mbox := filepath.Join(dir, "copy.mbox")
	keys := "<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>" + mbox + "<enter><exit>"
	// It reads keys from a terminal only; script(1) lends it one.
	run(t, dir, "script", "-qec", fmt.Sprintf("neomutt -F %s -e 'push %s'", rc, keys), "/dev/null")
	raw, err := os.ReadFile(mbox)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count("\n"+string(raw), "\nFrom "); n != want || want == 0 {
		t.Errorf("neomutt copied %d messages out of %d", n, want)
	}
}
