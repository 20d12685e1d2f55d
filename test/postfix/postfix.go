// Package postfix starts a private Postfix on loopback that takes a company's mail, hands it to Dovecot by LMTP
// and sends everything else to one given server.
package postfix

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"relais/test/port"
	"relais/test/proc"
)

// Config says what to start.
type Config struct {
	Domain     string            // the company's
	Recipients []string          // addresses with a mailbox; others of the domain get 550
	Aliases    map[string]string // address to one or more recipients, comma between
	LMTP       string            // path of Dovecot's LMTP socket
	Sink       string            // host:port that takes mail for every other domain
	Addr       string            // "127.0.0.1:port"; a free one if empty
	Milters    []string          // smtpd_milters, for the benchmark's checkers
	Extra      string            // lines put at the end of main.cf
	Services   string            // lines put at the end of master.cf
}

// Server is a started Postfix. Its queue and port outlive Stop and Kill, so that Run brings it back.
type Server struct {
	Addr string
	Dir  string // conf/, queue/, data/, maillog

	t      testing.TB
	cfg    Config
	master string
	group  *proc.Group
	cpu    time.Duration // of the runs that ended
}

// Start configures and runs a server, and ends and removes it with the test.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	program := proc.Need(t, "postfix")
	proc.NeedRoot(t, "Postfix changes its user")
	dir, err := os.MkdirTemp("/tmp", "pf")
	if err != nil {
		t.Fatalf("make Postfix's directory: %v", err)
	}
	s := &Server{Addr: cfg.Addr, Dir: dir, t: t, cfg: cfg, master: proc.Need(t, "master")}
	t.Cleanup(s.remove)
	if s.Addr == "" {
		s.Addr = port.Addr(t)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open Postfix's directory: %v", err)
	}
	for _, sub := range []string{"conf", "queue", "data"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatalf("make Postfix's directory: %v", err)
		}
	}
	s.giveToPostfix("data")
	s.write("conf/main.cf", s.mainCf())
	s.write("conf/master.cf", s.masterCf())
	s.write("conf/recipients", s.recipients())
	s.write("conf/aliases", s.aliases())
	// "check" also makes the directories of an empty queue.
	if out, err := exec.Command(program, "-c", filepath.Join(dir, "conf"), "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	s.Run()
	return s
}

// Run starts the server again after Stop or Kill, and returns when it greets.
func (s *Server) Run() {
	s.t.Helper()
	// "postfix start-fg" would put a shell between; -d keeps the master in the foreground. It changes its user, so the
	// kernel forgets to tell it of our death: -e ends it after three hours at the latest.
	cmd := exec.Command(s.master, "-d", "-e", "10800", "-c", filepath.Join(s.Dir, "conf"))
	var err error
	if s.group, err = proc.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	if !proc.Poll(20*time.Second, s.greets) {
		s.t.Fatalf("Postfix does not greet:\n%s", s.Log(20))
	}
}

func (s *Server) greets() bool {
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	hello := make([]byte, 3)
	n, _ := c.Read(hello)
	return string(hello[:n]) == "220"
}

// Stop ends the server; mail in its queue stays there.
func (s *Server) Stop() {
	if s.group != nil {
		s.cpu += s.group.CPU()
		s.group.Stop(20 * time.Second)
		s.group = nil
	}
}

// Kill sends SIGKILL to all its processes.
func (s *Server) Kill() {
	if s.group != nil {
		s.cpu += s.group.CPU()
		s.group.Kill()
		s.group = nil
	}
}

// KillIdle kills the server at an instant at which its queue is empty. A Postfix killed after Dovecot took a message,
// and before it noted so, delivers it again after its restart (RFC 1047): a double of the primary's own making.
func (s *Server) KillIdle(limit time.Duration) {
	s.t.Helper()
	idle := proc.Poll(limit, func() bool {
		if s.Queued() > 0 {
			return false
		}
		s.group.Freeze()
		if s.Queued() == 0 {
			return true
		}
		s.group.Thaw()
		return false
	})
	if !idle {
		s.t.Fatalf("Postfix's queue was not empty at any instant of %s", limit)
	}
	s.Kill()
}

// Freeze makes it half-dead: connections are accepted by the kernel, nobody answers.
func (s *Server) Freeze() { s.group.Freeze() }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.group.Thaw() }

// WipeQueue throws away what is queued; the server must be stopped.
func (s *Server) WipeQueue() {
	s.t.Helper()
	if s.group != nil {
		s.t.Fatal("wipe of a running Postfix")
	}
	for _, q := range queues {
		files, _ := filepath.Glob(filepath.Join(s.Dir, "queue", q, "*"))
		for _, f := range files {
			if err := os.RemoveAll(f); err != nil {
				s.t.Fatalf("wipe Postfix's queue: %v", err)
			}
		}
	}
}

var queues = []string{"incoming", "active", "deferred", "maildrop", "hold"}

// Queued counts the messages that Postfix has accepted and not yet handed over.
func (s *Server) Queued() int {
	n := 0
	for _, q := range queues {
		// Deferred mail lies one hashed directory deeper.
		_ = filepath.WalkDir(filepath.Join(s.Dir, "queue", q), func(_ string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				n++
			}
			return nil
		})
	}
	return n
}

// Drained waits until nothing is queued.
func (s *Server) Drained(limit time.Duration) {
	s.t.Helper()
	if !proc.Poll(limit, func() bool { return s.Queued() == 0 }) {
		s.t.Fatalf("Postfix still holds %d messages after %s:\n%s", s.Queued(), limit, s.Log(20))
	}
}

// CPU is what all its processes used so far, user and system time.
func (s *Server) CPU() time.Duration {
	if s.group == nil {
		return s.cpu
	}
	return s.cpu + s.group.CPU()
}

// Log gives the last lines of the mail log.
func (s *Server) Log(lines int) string { return proc.Tail(filepath.Join(s.Dir, "maillog"), lines) }

func (s *Server) mainCf() string {
	sink := s.cfg.Sink
	if host, p, err := net.SplitHostPort(sink); err == nil {
		sink = fmt.Sprintf("[%s]:%s", host, p)
	}
	milters := ""
	if len(s.cfg.Milters) > 0 {
		milters = "smtpd_milters = " + strings.Join(s.cfg.Milters, ", ") + "\nmilter_default_action = tempfail\n"
	}
	return fmt.Sprintf(`# Postfix for one test.
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[1]s
myhostname = mail.%[2]s
myorigin = %[2]s
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
# No client is "local": Postfix must leave every header as it came.
local_header_rewrite_clients =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
biff = no

virtual_mailbox_domains = %[2]s
virtual_mailbox_maps = texthash:%[1]s/conf/recipients
virtual_alias_maps = texthash:%[1]s/conf/aliases
virtual_transport = lmtp:unix:%[3]s
relayhost = %[4]s
smtp_tls_security_level = none
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0

# Everything here is on loopback: no name lookups, and a server that was away is asked again at once.
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 3s
smtp_connection_cache_on_demand = no
%[5]s%[6]s
`, s.Dir, s.cfg.Domain, s.cfg.LMTP, sink, milters, s.cfg.Extra)
}

// masterCf leaves out chroot: the private queue has no etc/ of its own.
func (s *Server) masterCf() string {
	return s.Addr + ` inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
` + s.cfg.Services
}

func (s *Server) recipients() string {
	var b strings.Builder
	for _, r := range s.cfg.Recipients {
		fmt.Fprintf(&b, "%s ok\n", r)
	}
	return b.String()
}

func (s *Server) aliases() string {
	lines := make([]string, 0, len(s.cfg.Aliases))
	for from, to := range s.cfg.Aliases {
		lines = append(lines, from+" "+to+"\n")
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatalf("write %s: %v", name, err)
	}
}

func (s *Server) giveToPostfix(sub string) {
	s.t.Helper()
	u, err := user.Lookup("postfix")
	if err != nil {
		s.t.Fatalf("no user postfix: run make test-deps")
	}
	uid, _ := strconv.Atoi(u.Uid)
	if err := syscall.Chown(filepath.Join(s.Dir, sub), uid, -1); err != nil {
		s.t.Fatalf("give %s to Postfix: %v", sub, err)
	}
}

func (s *Server) remove() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("Postfix's log:\n%s", s.Log(15))
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		s.t.Errorf("remove Postfix: %v", err)
	}
}
