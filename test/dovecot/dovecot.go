// Package dovecot starts a private Dovecot on loopback: own configuration, users, storage and sockets.
package dovecot

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"relais/test/cert"
	"relais/test/port"
	"relais/test/proc"
)

// The user who may sign in as "someone*master" with this password.
const (
	MasterUser     = "master"
	MasterPassword = "master secret"
)

// User is an account: Login is what it signs in with and what LMTP delivers to, usually its address.
type User struct{ Login, Password string }

// Config says what to start. The zero value is a server without users.
type Config struct {
	Users   []User
	Storage string // maildir (default), sdbox or mdbox
	Addr    string // IMAP, "127.0.0.1:port"; a free one if empty
	TLS     bool   // STARTTLS at Addr, implicit TLS at TLSAddr
	Fsync   string // mail_fsync: optimized (Dovecot's default), always or never
	// Separator of the names of folders, "/" if empty; Prefix is that of the personal namespace.
	Separator, Prefix string
	// Capability, if set, is announced instead of what the server can do.
	Capability string
	// Extra is configuration text put at the end.
	Extra string
}

// Server is a started Dovecot. Its mail, users and ports outlive Stop and Kill, so that Run brings it back.
type Server struct {
	Addr    string // IMAP without TLS at first, 127.0.0.1:port
	TLSAddr string // IMAP over TLS, set with Config.TLS
	LMTP    string // path of the LMTP socket, which Postfix may use
	Dir     string // configuration, mail/, dovecot.log
	Cert    cert.Pair

	t       testing.TB
	cfg     Config
	program string
	group   *proc.Group
	cpu     time.Duration // of the runs that ended
}

// Start configures and runs a server, and ends and removes it with the test.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	program := proc.Need(t, "dovecot")
	proc.Need(t, "lmtp")
	// A Unix socket's path may hold 107 bytes and a test's own directory is closed to other users.
	dir, err := os.MkdirTemp("/tmp", "dc")
	if err != nil {
		t.Fatalf("make Dovecot's directory: %v", err)
	}
	s := &Server{Addr: cfg.Addr, Dir: dir, LMTP: filepath.Join(dir, "lmtp"), t: t, cfg: cfg, program: program}
	t.Cleanup(s.remove)
	if s.Addr == "" {
		s.Addr = port.Addr(t)
	}
	if cfg.TLS {
		s.TLSAddr = port.Addr(t)
		s.Cert = cert.Make(t, dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open Dovecot's directory: %v", err)
	}
	s.makeMailDir()
	s.write("users", usersFile(cfg.Users, s.mailDir()))
	s.write("masters", MasterUser+":{PLAIN}"+MasterPassword+"\n")
	s.write("dovecot.conf", s.config())
	s.Run()
	return s
}

// Run starts the server again after Stop or Kill, and returns when it greets.
func (s *Server) Run() {
	s.t.Helper()
	cmd := exec.Command(s.program, "-F", "-c", filepath.Join(s.Dir, "dovecot.conf"))
	out, err := os.OpenFile(filepath.Join(s.Dir, "stderr.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatalf("open a log: %v", err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	// A killed master leaves its pid file; should the number be in use again, Dovecot would refuse to start.
	_ = os.Remove(filepath.Join(s.Dir, "run", "master.pid"))
	if s.group, err = proc.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	if !proc.Poll(20*time.Second, s.greets) {
		s.t.Fatalf("Dovecot does not greet:\n%s\n%s", proc.Tail(filepath.Join(s.Dir, "stderr.log"), 20), s.Log(20))
	}
}

func (s *Server) greets() bool {
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	hello := make([]byte, 4)
	n, _ := c.Read(hello)
	return string(hello[:n]) == "* OK"
}

// Stop ends the server in an orderly way.
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

// Freeze makes it half-dead: connections are accepted by the kernel, nobody answers.
func (s *Server) Freeze() { s.group.Freeze() }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.group.Thaw() }

// Wipe empties the mail storage; the server must be stopped. The users stay, as after a reinstallation.
func (s *Server) Wipe() {
	s.t.Helper()
	if s.group != nil {
		s.t.Fatal("wipe of a running Dovecot")
	}
	if err := os.RemoveAll(s.mailDir()); err != nil {
		s.t.Fatalf("wipe Dovecot: %v", err)
	}
	s.makeMailDir()
}

// CPU is what all its processes used so far, user and system time.
func (s *Server) CPU() time.Duration {
	if s.group == nil {
		return s.cpu
	}
	return s.cpu + s.group.CPU()
}

// Log gives the last lines of Dovecot's log.
func (s *Server) Log(lines int) string { return proc.Tail(filepath.Join(s.Dir, "dovecot.log"), lines) }

// Client signs in with go-imap's client; login may be "someone*master". The connection ends with the test.
func (s *Server) Client(t testing.TB, login, password string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(s.Addr, nil)
	if err != nil {
		t.Fatalf("connect to Dovecot: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(login, password).Wait(); err != nil {
		t.Fatalf("sign in to Dovecot as %s: %v", login, err)
	}
	return c
}

// TLSConfig trusts the server's own certificate.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{RootCAs: s.Cert.Pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func (s *Server) mailDir() string { return filepath.Join(s.Dir, "mail") }

func (s *Server) makeMailDir() {
	s.t.Helper()
	if err := os.MkdirAll(s.mailDir(), 0o755); err != nil {
		s.t.Fatalf("make the mail directory: %v", err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(s.mailDir(), mailUID, mailGID); err != nil {
			s.t.Fatalf("give the mail directory away: %v", err)
		}
	}
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatalf("write %s: %v", name, err)
	}
}

func (s *Server) remove() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("Dovecot's log:\n%s", s.Log(15))
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		s.t.Errorf("remove Dovecot: %v", err)
	}
}

func usersFile(users []User, mailDir string) string {
	uid, gid := owner()
	text := ""
	for _, u := range users {
		text += fmt.Sprintf("%s:{PLAIN}%s:%d:%d::%s::\n", u.Login, u.Password, uid, gid, filepath.Join(mailDir, u.Login))
	}
	return text
}
