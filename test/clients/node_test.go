// Package clients_test lets the mail programs that people use work against Relais's IMAP and submission.
package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
	"relais/test/dovecot"
	"relais/test/proc"
	"relais/test/relais"
	"relais/test/sink"
	"relais/test/story"
)

// office is a small company whose mail Relais carries.
type office struct {
	node    *relais.Node
	company traffic.Company
	writer  *traffic.Writer
}

func newOffice(t *testing.T, seed uint64) office {
	t.Helper()
	company := traffic.NewCompany(story.Domain, 3)
	node := story.Carry(t, company, relais.Config{TOML: fmt.Sprintf("[outbound]\nsmart_host = %q\n", sink.Start(t).Addr)})
	w := traffic.NewWriter(company, seed, "office")
	if err := traffic.Load(traffic.NewBook(), node.IMAP(), w.History(60, time.Now())); err != nil {
		t.Fatal(err)
	}
	return office{node, company, w}
}

// desk is that of one of the staff.
func (o office) desk(i int) desk { return desk{o.node.IMAP(), o.company.Staff[i], o.writer} }

// run runs a program in a directory of its own and gives what it printed.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(proc.Need(t, program), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=xterm", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// desk is one person's account on some server.
type desk struct {
	imap   string // address
	person traffic.Person
	writer *traffic.Writer
}

// control is the same account on Dovecot. What a test asks of a mail program must work there first.
func control(t *testing.T) desk {
	t.Helper()
	company := traffic.NewCompany(story.Domain, 1)
	p := company.Staff[0]
	server := dovecot.Start(t, dovecot.Config{Users: []dovecot.User{{Login: p.Email, Password: p.Password}}})
	w := traffic.NewWriter(company, 10, "control")
	if err := traffic.Load(traffic.NewBook(), server.Addr, w.History(30, time.Now())); err != nil {
		t.Fatal(err)
	}
	return desk{server.Addr, p, w}
}

func (d desk) walk(t *testing.T) walker.Account {
	t.Helper()
	return story.Walk(t, d.imap, d.person.Email, d.person.Password)
}

// holds tells how many copies of a message a folder has.
func (d desk) holds(t *testing.T, folder, title string) int {
	t.Helper()
	n := 0
	for _, i := range d.walk(t).Items {
		if i.Folder == folder && i.Title == title {
			n++
		}
	}
	return n
}

func client(t *testing.T, d desk, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(d.imap, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(d.person.Email, d.person.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}
