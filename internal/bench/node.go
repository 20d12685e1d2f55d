package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"relais/internal/demo"
	"relais/internal/demo/traffic"
)

// node is the Relais under load: a process of its own, so that its CPU time is nobody else's.
type node struct {
	ports *demo.Ports
	cmd   *exec.Cmd // nil: never started
	once  sync.Once
	ended chan struct{} // closed when the process was waited for
}

func (n *node) mx() string   { return fmt.Sprintf("127.0.0.1:%d", n.ports.Base+25) }
func (n *node) imap() string { return fmt.Sprintf("127.0.0.1:%d", n.ports.Base+143) }

// noDNS is the offset of a port on which nobody listens.
const noDNS = 53

// readyWithin is how long the node may take to accept connections.
const readyWithin = 30 * time.Second

// start makes a node in dir, runs it and gives it a company's people.
func start(ctx context.Context, dir string, company traffic.Company) (*node, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	ports, err := demo.TakePorts()
	if err != nil {
		return nil, err
	}
	n := &node{ports: ports, ended: make(chan struct{})}
	if err := n.make(ctx, binary, dir, company); err != nil {
		n.kill()
		return nil, err
	}
	return n, nil
}

// make is the rest of start.
func (n *node) make(ctx context.Context, binary, dir string, company traffic.Company) error {
	relais := func(args ...string) error {
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, binary, append(args, "--data", dir)...)
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("relais %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
		}
		return nil
	}
	if err := relais("init", "--loopback", "--hostname", "node."+domainName, "--port-base", fmt.Sprint(n.ports.Base)); err != nil {
		return err
	}
	if err := n.configure(filepath.Join(dir, "relais.toml")); err != nil {
		return fmt.Errorf("configure the node: %w", err)
	}
	if err := n.serve(ctx, binary, dir); err != nil {
		return err
	}
	file := filepath.Join(dir, "people.csv")
	if err := writePeople(file, company); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"org", "add", "bench"},
		{"domain", "add", domainName, "--org", "bench", "--topology", "inpath"},
		{"people", "import", file, "--org", "bench"},
	} {
		if err := relais(args...); err != nil {
			return err
		}
	}
	return nil
}

// configure keeps the node from asking the machine's name servers.
func (n *node) configure(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\n[dns]\nservers = [\"127.0.0.1:%d\"]\n", n.ports.Base+noDNS)
	return errors.Join(err, f.Close())
}

// serve starts the process and returns when it has said "ready".
func (n *node) serve(ctx context.Context, binary, dir string) error {
	var log bytes.Buffer // read only once the process has ended
	n.cmd = exec.Command(binary, "serve", "--data", dir)
	n.cmd.Stderr = &log
	// A group of its own: Ctrl-C is for the bench, which then ends its node. Should
	// the bench itself be killed, the kernel kills the node.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	ready := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		_ = n.cmd.Wait() // how it ended says whoever waits for it
		close(n.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	select {
	case <-ready:
		return nil
	case <-n.ended:
		return fmt.Errorf("the node ended at its start:\n%s", bytes.TrimSpace(log.Bytes()))
	case <-ctx.Done():
		n.kill()
		return fmt.Errorf("the node did not become ready: %w\n%s", ctx.Err(), bytes.TrimSpace(log.Bytes()))
	}
}

// kill ends the process, returns when it is gone and gives its ports back. It may be called again.
func (n *node) kill() {
	n.once.Do(func() {
		if n.cmd != nil && n.cmd.Process != nil {
			_ = n.cmd.Process.Kill() // fails only if it has ended already
			<-n.ended
		}
		n.ports.GiveBack()
	})
}

// cpu is the user and system time that the process has used.
func (n *node) cpu() (time.Duration, error) {
	// clock_getcpuclockid(3): the scheduler's clock (2) of the process, in nanoseconds.
	clock := int32(^n.cmd.Process.Pid<<3 | 2)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("read the node's CPU time: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// writePeople writes the file that "people import" reads.
func writePeople(path string, company traffic.Company) error {
	var b bytes.Buffer
	rows := [][]string{{"email", "name", "password"}}
	for _, p := range company.Staff {
		rows = append(rows, []string{p.Email, p.Name, p.Password})
	}
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil { // to memory
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
