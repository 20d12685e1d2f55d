package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"relais/test/port"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"relais": main})
}

// TestDialogs runs what people type, and compares what they are told.
//
// Beside testscript's own commands there are: serve DIR (runs a node and waits
// for "ready"), stop (ends it by SIGTERM and wants exit status 0), status N
// COMMAND … (wants that exit status). $BASE is a free port base.
func TestDialogs(t *testing.T) {
	t.Parallel()
	nodes := &nodes{running: map[*testscript.TestScript]*node{}}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("BASE", fmt.Sprint(port.Base(t)))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":  nodes.serve,
			"stop":   nodes.stop,
			"status": wantStatus,
		},
	})
}

// nodes are the nodes that run, one per script at most.
type nodes struct {
	mu      sync.Mutex
	running map[*testscript.TestScript]*node
}

type node struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan error
}

func (n *nodes) serve(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: serve DIR")
	}
	s := &node{done: make(chan error, 1)}
	s.cmd = exec.Command("relais", "serve", "--config", filepath.Join(ts.MkAbs(args[0]), "relais.toml"))
	// testscript puts the program on the path of this process, too.
	s.cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	s.cmd.Stderr = &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- line
		_, _ = io.Copy(io.Discard, out)
		s.done <- s.cmd.Wait()
	}()
	n.mu.Lock()
	n.running[ts] = s
	n.mu.Unlock()
	ts.Defer(func() { n.kill(ts) })
	select {
	case line := <-ready:
		if line != "ready\n" {
			<-s.done
			ts.Fatalf("serve printed %q, want ready:\n%s", line, s.log.String())
		}
	case <-time.After(time.Minute):
		ts.Fatalf("serve is not ready after a minute")
	}
}

func (n *nodes) take(ts *testscript.TestScript) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.running[ts]
	delete(n.running, ts)
	return s
}

func (n *nodes) kill(ts *testscript.TestScript) {
	if s := n.take(ts); s != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

func (n *nodes) stop(ts *testscript.TestScript, _ bool, _ []string) {
	s := n.take(ts)
	if s == nil {
		ts.Fatalf("no node runs")
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		if err != nil {
			ts.Fatalf("serve ended with %v:\n%s", err, s.log.String())
		}
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		ts.Fatalf("serve did not end within 10 s of SIGTERM:\n%s", s.log.String())
	}
}

// wantStatus runs a command and compares its exit status.
func wantStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND …")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		got = -1
		if _, after, ok := strings.Cut(err.Error(), "exit status "); ok {
			_, _ = fmt.Sscan(after, &got)
		}
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s (%v)", got, args[0], err)
	}
}
