package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// node is a Relais node in a process of its own, run from outside like any other: by its command line and its ports.
type node struct {
	dir    string
	base   int // --port-base
	master string
	token  string // the password of master

	binary string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process was waited for
}

// newNode makes a node in dir by "relais init". What leaves it goes to smartHost. Its host name must differ from other
// nodes': each takes the authentication results that bear its own name for forged (RFC 8601 §5).
func newNode(ctx context.Context, binary, dir string, base int, hostname, smartHost string) (*node, error) {
	n := &node{dir: dir, base: base, binary: binary}
	var made struct{ Config, Administrator, Token string }
	if err := n.json(ctx, &made, "init", "--loopback", "--hostname", hostname, "--port-base", fmt.Sprint(base)); err != nil {
		return nil, err
	}
	n.master, n.token = made.Administrator, made.Token
	f, err := os.OpenFile(made.Config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("configure a node: %w", err)
	}
	_, err = fmt.Fprintf(f, "\n[dns]\nservers = [%q]\n\n[outbound]\nsmart_host = %q\n", n.addr(dnsOffset), smartHost)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("configure a node: %w", err)
	}
	return n, nil
}

// Addresses of the listeners, 127.0.0.1:port.
func (n *node) mx() string         { return n.addr(25) }
func (n *node) submission() string { return n.addr(587) }
func (n *node) imap() string       { return n.addr(143) }

func (n *node) addr(offset int) string { return fmt.Sprintf("127.0.0.1:%d", n.base+offset) }

// readyWithin is how long a node may take to accept connections.
const readyWithin = 30 * time.Second

// serve starts the node and returns when it has said "ready".
func (n *node) serve(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start a node: %w", err)
	}
	defer func() { _ = log.Close() }() // the node has its own descriptor
	n.cmd = exec.Command(n.binary, "serve", "--data", n.dir)
	n.cmd.Stderr = log
	// A group of its own: Ctrl-C is for the demo, which then ends its nodes. Should the demo itself be killed, the
	// kernel kills them.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start a node: %w", err)
	}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start a node: %w", err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	n.ended = ended
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		_ = n.cmd.Wait() // how it ended says whoever waits for it
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	select {
	case <-ready:
		return nil
	case <-ended:
		return fmt.Errorf("a node ended at its start:\n%s", n.logEnd())
	case <-ctx.Done():
		n.kill()
		return fmt.Errorf("a node did not become ready: %w\n%s", ctx.Err(), n.logEnd())
	}
}

// kill sends SIGKILL and returns when the process is gone. A node that does not run is left alone.
func (n *node) kill() {
	if n == nil || n.cmd == nil || n.cmd.Process == nil {
		return
	}
	_ = n.cmd.Process.Kill() // fails only if it has ended already
	<-n.ended
}

// logEnd is the end of what the node logged.
func (n *node) logEnd() string {
	const lines = 12
	raw, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// statusError is a command that ended with another status than 0.
type statusError struct {
	command string
	status  int
	stderr  string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", e.command, e.status, strings.TrimSpace(e.stderr))
}

// run runs "relais ARGS" for this node and gives its standard output, also with a *statusError.
func (n *node) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, n.binary, args...)
	cmd.Env = append(os.Environ(), "RELAIS_DATA="+n.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return stdout.Bytes(), &statusError{"relais " + strings.Join(args, " "), cmd.ProcessState.ExitCode(), stderr.String()}
	}
	return stdout.Bytes(), err
}

// json runs a command with --json and decodes its answer; v also holds it when the error is a *statusError.
func (n *node) json(ctx context.Context, v any, args ...string) error {
	out, failed := n.run(ctx, append(args, "--json")...)
	if failed != nil && len(out) == 0 {
		return failed
	}
	if err := json.Unmarshal(out, v); err != nil && failed == nil {
		return fmt.Errorf("read the answer to %s: %w", args[0], err)
	}
	return failed
}

// domain is how a domain is, as "status --json" tells it.
type domain struct {
	Domain string    `json:"domain"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Mirror struct {
		InStep bool    `json:"in_step"`
		Lag    float64 `json:"lag_s"`
		Frozen bool    `json:"frozen"`
	} `json:"mirror"`
}

// askEvery is the time between two looks at the status.
const askEvery = 200 * time.Millisecond

// await waits until a domain is as ok wants.
func (n *node) await(ctx context.Context, name, what string, limit time.Duration, ok func(domain) bool) (domain, error) {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		var status struct{ Domains []domain }
		if err := n.json(ctx, &status, "status"); err != nil {
			return domain{}, err
		}
		var last domain
		for _, d := range status.Domains {
			if d.Domain == name {
				last = d
			}
		}
		if last.Domain == name && ok(last) {
			return last, nil
		}
		if time.Now().After(deadline) {
			return last, fmt.Errorf("%s is not %s after %s: state %q, mirror %+v", name, what, limit, last.State, last.Mirror)
		}
		select {
		case <-ctx.Done():
			return domain{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// inStep waits until the mirror of a domain has nothing left to do.
func (n *node) inStep(ctx context.Context, name string, limit time.Duration) error {
	_, err := n.await(ctx, name, "in step", limit, func(d domain) bool { return d.Mirror.InStep })
	return err
}
