// Package postgres starts a private PostgreSQL cluster on loopback.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"relais/test/port"
	"relais/test/proc"
)

// Server is a started cluster.
type Server struct {
	Port int
	Dir  string // data/, postgres.log

	t        testing.TB
	postgres string
	account  *syscall.Credential // PostgreSQL refuses to run as root
	group    *proc.Group
	cpu      time.Duration
	made     atomic.Int64 // databases
}

// Start makes and runs a cluster, and ends and removes it with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	initdb := exec.Command(proc.Need(t, "initdb"))
	dir, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		t.Fatalf("make PostgreSQL's directory: %v", err)
	}
	s := &Server{Port: port.Free(t), Dir: dir, t: t, postgres: proc.Need(t, "postgres")}
	t.Cleanup(s.remove)
	s.own()
	initdb.Args = append(initdb.Args, "-D", filepath.Join(dir, "data"), "-U", "relais", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Run()
	return s
}

// own gives the directory to the user who will run the server.
func (s *Server) own() {
	s.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		s.t.Fatal("no user postgres: run make test-deps")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(s.Dir, uid, gid); err != nil {
		s.t.Fatalf("give the directory to PostgreSQL: %v", err)
	}
	s.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Run starts the server again after Stop or Kill, and returns when it accepts connections.
func (s *Server) Run() {
	s.t.Helper()
	cmd := exec.Command(s.postgres, "-D", filepath.Join(s.Dir, "data"), "-p", strconv.Itoa(s.Port), "-h", "127.0.0.1", "-k", s.Dir, "-c", "max_connections=200")
	log, err := os.OpenFile(filepath.Join(s.Dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatalf("open PostgreSQL's log: %v", err)
	}
	defer func() { _ = log.Close() }()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	if s.group, err = proc.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if !proc.Poll(30*time.Second, func() bool { return db.PingContext(context.Background()) == nil }) {
		s.t.Fatalf("PostgreSQL does not answer:\n%s", s.Log(20))
	}
}

// Database makes an empty database and gives its URL, postgres://relais@127.0.0.1:port/name.
func (s *Server) Database() string {
	s.t.Helper()
	name := fmt.Sprintf("test%d", s.made.Add(1))
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		s.t.Fatalf("make a database: %v", err)
	}
	return s.url(name)
}

func (s *Server) url(name string) string {
	return fmt.Sprintf("postgres://relais@127.0.0.1:%d/%s?sslmode=disable", s.Port, name)
}

// Stop ends the server by a fast shutdown.
func (s *Server) Stop() {
	if s.group == nil {
		return
	}
	s.cpu += s.group.CPU()
	_ = syscall.Kill(s.group.Pid(), syscall.SIGINT)
	s.group.Stop(20 * time.Second)
	s.group = nil
}

// Kill sends SIGKILL to all its processes.
func (s *Server) Kill() {
	if s.group != nil {
		s.cpu += s.group.CPU()
		s.group.Kill()
		s.group = nil
	}
}

// CPU is what all its processes used so far, user and system time.
func (s *Server) CPU() time.Duration {
	if s.group == nil {
		return s.cpu
	}
	return s.cpu + s.group.CPU()
}

// Log gives the last lines of the server's log.
func (s *Server) Log(lines int) string { return proc.Tail(filepath.Join(s.Dir, "postgres.log"), lines) }

func (s *Server) remove() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("PostgreSQL's log:\n%s", s.Log(10))
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		s.t.Errorf("remove PostgreSQL: %v", err)
	}
}
