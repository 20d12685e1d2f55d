// Package proc runs a server and everything it forks as one group that can be stopped, frozen, killed and timed.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Need finds a program on the path or in Debian's sbin, or fails the test with the line that mends it.
func Need(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/lib/postgresql/*/bin/", "/usr/lib/dovecot/", "/usr/lib/postfix/sbin/"} {
		if found, _ := filepath.Glob(pattern + program); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatalf("%s is not installed: run make test-deps", program)
	return ""
}

// NeedRoot fails the test if it does not run as root, with why root is needed.
func NeedRoot(t testing.TB, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatalf("%s: run the tests as root", why)
	}
}

// Group is a started server and its descendants.
type Group struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the leader was waited for
	err  error         // of Wait; read after done
}

// Start runs cmd as the leader of a new session and process group. If this process dies the leader gets SIGTERM,
// so that a test that was interrupted leaves nothing behind.
func Start(cmd *exec.Cmd) (*Group, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	g := &Group{cmd: cmd, done: make(chan struct{})}
	go func() {
		g.err = cmd.Wait()
		close(g.done)
	}()
	return g, nil
}

// Pid is the leader's process id.
func (g *Group) Pid() int { return g.cmd.Process.Pid }

// Done is closed when the leader has ended.
func (g *Group) Done() <-chan struct{} { return g.done }

// ExitCode waits for the leader and gives its exit status, -1 if a signal ended it.
func (g *Group) ExitCode() int {
	<-g.done
	return g.cmd.ProcessState.ExitCode()
}

// Stop sends SIGTERM to the leader and waits, then to what the leader left behind; what is still there after grace
// is killed. It tells whether the leader ended by itself.
func (g *Group) Stop(grace time.Duration) bool {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.done:
	case <-time.After(grace):
		g.Kill()
		return false
	}
	g.signal(syscall.SIGTERM)
	if !Poll(min(grace, 2*time.Second), func() bool { return len(g.members()) == 0 }) {
		g.Kill()
	}
	return true
}

// Kill sends SIGKILL to every process of the group and returns when none is left.
// It tells whether there was any.
func (g *Group) Kill() bool {
	any := false
	for {
		alive := g.signal(syscall.SIGKILL)
		if alive == 0 {
			break
		}
		any = true
		Poll(50*time.Millisecond, func() bool { return len(g.members()) == 0 })
	}
	<-g.done
	return any
}

// Freeze sends SIGSTOP to every process of the group: the kernel goes on accepting connections for it, nobody answers.
func (g *Group) Freeze() { g.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (g *Group) Thaw() { g.signal(syscall.SIGCONT) }

func (g *Group) signal(s syscall.Signal) int {
	pids := g.members()
	for _, p := range pids {
		_ = syscall.Kill(p.pid, s)
	}
	return len(pids)
}

// CPU is the user and system time that the group has used since its start, children that ended included.
func (g *Group) CPU() time.Duration {
	var ticks int64
	for _, p := range g.members() {
		// A parent's share of children counts those it has waited for, so nothing is counted twice.
		ticks += p.ticks
	}
	return time.Duration(ticks) * time.Second / clockTicks
}

// clockTicks is USER_HZ, 100 on every Linux that Go supports.
const clockTicks = 100

type process struct {
	pid, parent, group, session int
	state                       byte
	ticks                       int64
}

// members lists the living processes that are in the leader's process group or session, or descend from it.
func (g *Group) members() []process {
	all := processes()
	leader := g.Pid()
	var out []process
	for _, p := range all {
		if p.state == 'Z' || p.state == 'X' {
			continue
		}
		if p.group == leader || p.session == leader || descends(all, p, leader) {
			out = append(out, p)
		}
	}
	return out
}

func descends(all map[int]process, p process, leader int) bool {
	for p.pid > 1 {
		if p.pid == leader || p.group == leader || p.session == leader {
			return true
		}
		parent, ok := all[p.parent]
		if !ok {
			return false
		}
		p = parent
	}
	return false
}

func processes() map[int]process {
	all := map[int]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if p, err := readStat(path); err == nil {
			all[p.pid] = p
		}
	}
	return all
}

// readStat reads proc(5)'s stat line; the second field, the program's name, may itself hold spaces and brackets.
func readStat(path string) (process, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return process{}, err
	}
	line := string(raw)
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, errors.New("odd stat line")
	}
	f := strings.Fields(line[end+1:]) // f[0] is field 3
	if len(f) < 15 {
		return process{}, errors.New("short stat line")
	}
	n := func(i int) int64 {
		v, _ := strconv.ParseInt(f[i], 10, 64)
		return v
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(line[:open]))
	return process{
		pid: pid, state: f[0][0], parent: int(n(1)), group: int(n(2)), session: int(n(3)),
		ticks: n(11) + n(12) + n(13) + n(14),
	}, nil
}

// Poll asks until ok says yes or the time is up, and gives the last answer.
func Poll(limit time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
}

// Tail gives the last lines of a log file, for the message of a failed test.
func Tail(path string, lines int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
