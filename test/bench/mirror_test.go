package bench

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/test/dovecot"
	"relais/test/proc"
	"relais/test/story"
)

var history = flag.Int("history", 5000, "messages of the mailboxes that are mirrored and restored")

// atOnce is how many accounts mbsync does at a time, as many as Relais opens connections to a primary.
const atOnce = 8

// BenchmarkMirrorAndRestore lets mbsync and Relais fetch the same 20 accounts from the same Dovecot, and fill it
// again after it was wiped.
func BenchmarkMirrorAndRestore(b *testing.B) {
	mirror := row{name: "cold mirror", theirName: "mbsync"}
	restore := row{name: "restore", theirName: "mbsync"}
	for round := range *rounds {
		s := story.Open(b, story.Options{Size: story.Size{People: 20, History: *history}, Seed: uint64(round)})
		m := newMbsync(b, s)
		mirror.theirs = append(mirror.theirs, m.pull(b))

		began, cpu := time.Now(), s.Node.CPU()
		s.Node.Serve()
		s.Connect()
		s.Node.AwaitInStep(story.Domain, 10*time.Minute)
		mirror.ours = append(mirror.ours, run{s.Book.Messages(), time.Since(began), s.Node.CPU() - cpu})
		s.Node.Must("failover", story.Domain, "--wait", "1m")
		s.Node.Stop()

		empty(s)
		restore.theirs = append(restore.theirs, m.push(b))
		empty(s)
		s.Node.Serve()
		began, cpu = time.Now(), s.Node.CPU()
		s.Return(story.Wiped)
		restore.ours = append(restore.ours, run{s.Book.Messages(), time.Since(began), s.Node.CPU() - cpu})
		s.PrimaryIs(time.Minute)
	}
	b.ReportMetric(median(mirror.ours, run.rate)/median(mirror.theirs, run.rate), "mirror-ratio")
	b.ReportMetric(median(restore.ours, run.rate)/median(restore.theirs, run.rate), "restore-ratio")
	show(os.Stdout, []row{mirror, restore})
}

func empty(s *story.Stage) {
	s.Dovecot.Stop()
	s.Dovecot.Wipe()
	s.Dovecot.Run()
}

const mbsyncrc = `IMAPAccount a
Host %[1]s
Port %[2]s
User "%[3]s*%[4]s"
Pass "%[5]s"
SSLType None
AuthMechs LOGIN
PipelineDepth 50

IMAPStore far
Account a

MaildirStore near
Path %[6]s/
Inbox %[6]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
CopyArrivalDate yes
SyncState *
`

// mbsync keeps a Maildir for each account. Its FSync is on by default, so that it is as durable as Relais.
type mbsync struct {
	stage   *story.Stage
	dir     string
	program string
}

func newMbsync(b *testing.B, s *story.Stage) *mbsync {
	b.Helper()
	m := &mbsync{s, b.TempDir(), proc.Need(b, "mbsync")}
	host, port, _ := net.SplitHostPort(s.Dovecot.Addr)
	for _, p := range s.Company.Staff {
		maildir := filepath.Join(m.dir, p.Email)
		if err := os.Mkdir(maildir, 0o700); err != nil {
			b.Fatal(err)
		}
		rc := fmt.Sprintf(mbsyncrc, host, port, p.Email, dovecot.MasterUser, dovecot.MasterPassword, maildir)
		if err := os.WriteFile(maildir+".rc", []byte(rc), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

func (m *mbsync) pull(b *testing.B) run {
	b.Helper()
	r := m.run(b, "--pull")
	files, _ := filepath.Glob(filepath.Join(m.dir, "*", "*", "cur", "*"))
	deeper, _ := filepath.Glob(filepath.Join(m.dir, "*", "*", "*", "cur", "*"))
	if len(files)+len(deeper) == 0 {
		b.Fatal("mbsync fetched nothing")
	}
	return r
}

// push fills the wiped server from the Maildirs; without its state mbsync takes all of it for new.
func (m *mbsync) push(b *testing.B) run {
	b.Helper()
	err := filepath.WalkDir(m.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), ".mbsyncstate") {
			return os.Remove(path)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	r := m.run(b, "--push")
	p := m.stage.Company.Staff[0]
	got := story.Walk(b, m.stage.Dovecot.Addr, p.Email, p.Password)
	if want := m.stage.Book.Account(p.Email); len(got.Items) != len(want.Items) {
		b.Fatalf("mbsync restored %d messages of %d", len(got.Items), len(want.Items))
	}
	return r
}

func (m *mbsync) run(b *testing.B, direction string) run {
	b.Helper()
	began := time.Now()
	var mu sync.Mutex
	var cpu time.Duration
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, p := range m.stage.Company.Staff {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			cmd := exec.Command(m.program, "-q", "-c", filepath.Join(m.dir, p.Email+".rc"), direction, "all")
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Errorf("mbsync %s: %v\n%s", direction, err, out)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return run{m.stage.Book.Messages(), time.Since(began), cpu}
}
