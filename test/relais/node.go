// Package relais runs bin/relais from outside: its command line, its standard output, its ports.
package relais

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relais/test/port"
	"relais/test/proc"
)

// The exit statuses of the command line.
const (
	OK           = 0
	Failed       = 1
	Usage        = 2
	Differences  = 3
	Unreachable  = 4
	AwaitsPerson = 5
)

// build makes bin/relais once for this process, unless RELAIS_BIN names a binary.
var build = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("RELAIS_BIN"); bin != "" {
		return bin, nil
	}
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	bin := filepath.Join(root, "bin", "relais")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/relais")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build bin/relais: %w\n%s", err, out)
	}
	return bin, nil
})

// Binary is the path of bin/relais, built if need be.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// Config says how to make a node.
type Config struct {
	Store string // --store, SQLite in the data directory if empty
	TOML  string // put at the end of relais.toml: whole sections
}

// Node is a Relais node with its own data directory and ports.
type Node struct {
	Dir  string
	Base int // --port-base

	t     testing.TB
	bin   string
	group *proc.Group
	out   *output
	cpu   time.Duration // of the runs that ended
}

// New makes a node by "relais init"; it does not run yet. It ends and goes with the test.
func New(t testing.TB, cfg Config) *Node {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "relais")
	if err != nil {
		t.Fatalf("make a data directory: %v", err)
	}
	n := &Node{Dir: dir, Base: port.Base(t), t: t, bin: Binary(t)}
	t.Cleanup(n.remove)
	args := []string{"init", "--data", dir, "--loopback", "--port-base", fmt.Sprint(n.Base)}
	if cfg.Store != "" {
		args = append(args, "--store", cfg.Store)
	}
	n.Must(args...)
	f, err := os.OpenFile(filepath.Join(dir, "relais.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatalf("open the configuration that init wrote: %v", err)
	}
	_, err = f.WriteString("\n" + cfg.TOML)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatalf("add to the configuration: %v", err)
	}
	return n
}

// MX is the address that takes mail from outside, 127.0.0.1:port.
func (n *Node) MX() string { return n.addr(25) }

// Submission is the address for people's mail programs, with STARTTLS.
func (n *Node) Submission() string { return n.addr(587) }

// Submissions is the same with implicit TLS.
func (n *Node) Submissions() string { return n.addr(465) }

// IMAP is the address of the mailboxes, with STARTTLS.
func (n *Node) IMAP() string { return n.addr(143) }

// IMAPS is the same with implicit TLS.
func (n *Node) IMAPS() string { return n.addr(993) }

func (n *Node) addr(offset int) string { return fmt.Sprintf("127.0.0.1:%d", n.Base+offset) }

// Serve runs the node and returns when it has printed "ready".
func (n *Node) Serve() {
	n.t.Helper()
	if err := n.serve(""); err != nil {
		n.t.Fatal(err)
	}
}

// ServeUntil runs the node with a crash point armed ("name" or "name:n"). The point may be passed before the node
// is ready: that is no error. Wait tells when it struck.
func (n *Node) ServeUntil(crashPoint string) {
	n.t.Helper()
	if err := n.serve(crashPoint); err != nil && n.Alive() {
		n.t.Fatal(err)
	}
}

func (n *Node) serve(crashPoint string) error {
	log, err := os.OpenFile(filepath.Join(n.Dir, "stderr.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(n.bin, "serve", "--config", filepath.Join(n.Dir, "relais.toml"))
	cmd.Env = append(os.Environ(), "RELAIS_CRASHPOINT="+crashPoint)
	n.out = newOutput()
	cmd.Stdout, cmd.Stderr = n.out, log
	if n.group, err = proc.Start(cmd); err != nil {
		return err
	}
	select {
	case <-n.out.ready:
		return nil
	case <-n.group.Done():
		return fmt.Errorf("relais serve ended with %d before it was ready:\n%s", n.group.ExitCode(), n.Log(20))
	case <-time.After(60 * time.Second):
		return fmt.Errorf("relais serve is not ready after 60 s:\n%s", n.Log(20))
	}
}

// Alive tells whether the node's process runs.
func (n *Node) Alive() bool {
	if n.group == nil {
		return false
	}
	select {
	case <-n.group.Done():
		return false
	default:
		return true
	}
}

// Wait waits until the process has ended by itself, at most for limit, and tells whether it has.
func (n *Node) Wait(limit time.Duration) bool {
	select {
	case <-n.group.Done():
		return true
	case <-time.After(limit):
		return false
	}
}

// Kill sends SIGKILL to the node.
func (n *Node) Kill() {
	if n.group != nil {
		n.cpu += n.group.CPU()
		n.group.Kill()
		n.group = nil
	}
}

// Stop sends SIGTERM and fails the test unless the node ends with 0 within 10 s.
func (n *Node) Stop() {
	n.t.Helper()
	n.cpu += n.group.CPU()
	if clean := n.group.Stop(10 * time.Second); !clean {
		n.t.Errorf("relais serve did not end within 10 s of SIGTERM:\n%s", n.Log(20))
	} else if code := n.group.ExitCode(); code != 0 {
		n.t.Errorf("relais serve ended with %d after SIGTERM, want 0:\n%s", code, n.Log(20))
	}
	n.group = nil
}

// CPU is what the node used so far, user and system time.
func (n *Node) CPU() time.Duration {
	if n.group == nil {
		return n.cpu
	}
	return n.cpu + n.group.CPU()
}

// Log gives the last lines that the node logged.
func (n *Node) Log(lines int) string { return proc.Tail(filepath.Join(n.Dir, "stderr.log"), lines) }

// Answer is what a command printed and its exit status.
type Answer struct {
	Command        string
	Stdout, Stderr string
	Status         int
}

// Decode reads the JSON on standard output.
func (a Answer) Decode(v any) error {
	if err := json.Unmarshal([]byte(a.Stdout), v); err != nil {
		return fmt.Errorf("%s: read the answer: %w\n%s", a.Command, err, a.Stdout)
	}
	return nil
}

func (a Answer) String() string {
	return fmt.Sprintf("%s: exit status %d\n%s%s", a.Command, a.Status, a.Stdout, a.Stderr)
}

// commandLimit bounds every command; the longest waits (return --wait) are below it.
const commandLimit = 20 * time.Minute

// Run runs "relais ARGS" for this node with RELAIS_DATA set, standard input closed.
func (n *Node) Run(args ...string) Answer {
	n.t.Helper()
	cmd := exec.Command(n.bin, args...)
	cmd.Env = append(os.Environ(), "RELAIS_DATA="+n.Dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	a := Answer{Command: "relais " + strings.Join(args, " "), Status: -1}
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("%s: %v", a.Command, err)
	}
	timer := time.AfterFunc(commandLimit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // the exit status says it
	a.Stdout, a.Stderr, a.Status = stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	return a
}

// Must runs a command that must end with 0, and gives its standard output.
func (n *Node) Must(args ...string) string {
	n.t.Helper()
	a := n.Run(args...)
	if a.Status != OK {
		n.t.Fatalf("%s%s", a, n.hint())
	}
	return a.Stdout
}

// JSON runs a command with --json, decodes the answer into v and gives the exit status, which must be among want.
func (n *Node) JSON(v any, want []int, args ...string) int {
	n.t.Helper()
	a := n.Run(append(args, "--json")...)
	for _, status := range want {
		if a.Status == status {
			if err := a.Decode(v); err != nil {
				n.t.Fatal(err)
			}
			return status
		}
	}
	n.t.Fatalf("%swant status %v%s", a, want, n.hint())
	return a.Status
}

func (n *Node) hint() string {
	if n.group == nil {
		return ""
	}
	return "\nthe node's log ends with:\n" + n.Log(10)
}

func (n *Node) remove() {
	n.Kill()
	if n.t.Failed() {
		n.t.Logf("relais in %s logged:\n%s", n.Dir, n.Log(40))
		if os.Getenv("RELAIS_KEEP") != "" {
			return
		}
	}
	if err := os.RemoveAll(n.Dir); err != nil {
		n.t.Errorf("remove the data directory: %v", err)
	}
}

// output reads standard output for the line "ready".
type output struct {
	io.Writer
	ready chan struct{}
}

func newOutput() *output {
	r, w := io.Pipe()
	o := &output{Writer: w, ready: make(chan struct{})}
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(o.ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, r) // a full pipe would stop the node
	}()
	return o
}
