// Package bench is "relais bench": it puts a node of its own under load on this machine and measures it from outside.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"relais/internal/cli"
	"relais/internal/demo/traffic"
)

const (
	domainName = "bench.example"
	people     = 16
	readers    = 8 // connections that read at once
	patience   = time.Minute
)

// senders are how many connections send at once, run by run.
var senders = []int{1, 8, 32}

// Run measures and takes away what it made.
func Run(ctx context.Context, c cli.BenchChoices) (_ *cli.BenchReport, err error) {
	under, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(under, "relais-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	report := &cli.BenchReport{Version: c.Version, CPUs: runtime.GOMAXPROCS(0), Dir: under}
	if report.Sync, err = probeSyncs(ctx, dir, c.Progress); err != nil {
		return nil, err
	}
	company := traffic.NewCompany(domainName, people)
	c.Progress("Starting a node", 0, 1)
	n, err := start(ctx, filepath.Join(dir, "node"), company)
	if err != nil {
		return nil, err
	}
	defer n.kill()
	// When the bench is interrupted the node goes at once, and with it every connection.
	defer context.AfterFunc(ctx, n.kill)()
	if err := n.load(ctx, c, company, report); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return report, nil
}

// load runs the measured loads.
func (n *node) load(ctx context.Context, c cli.BenchChoices, company traffic.Company, report *cli.BenchReport) error {
	sent := 0
	writer := traffic.NewWriter(company, 1, "bench")
	write := func(count int) []traffic.Message {
		out := make([]traffic.Message, count)
		for i := range out {
			to := company.Staff[i%len(company.Staff)]
			out[i] = writer.Write(company.Outside[i%len(company.Outside)], []traffic.Person{to}, time.Now())
		}
		sent += count
		return out
	}
	// What happens only once (first statements, first pack) is no part of the measurement.
	if _, err := n.measure(func() error { return n.send(write(people), 1, func(int) {}) }); err != nil {
		return err
	}
	for _, connections := range senders {
		mail := write(c.Messages) // before the clock runs
		step := fmt.Sprintf("Sending over %d", connections)
		run, err := n.measure(func() error {
			return n.send(mail, connections, func(done int) { c.Progress(step, done, len(mail)) })
		})
		if err != nil {
			return err
		}
		report.Intake = append(report.Intake, rates(run, connections, len(mail), size(mail)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	boxes, err := n.open(company)
	defer boxes.close()
	if err != nil {
		return err
	}
	c.Progress("Reading", 0, sent)
	var messages int
	var bytes int64
	run, err := n.measure(func() (err error) {
		messages, bytes, err = boxes.read(readers)
		return err
	})
	if err == nil && messages != sent {
		err = fmt.Errorf("%d messages were acknowledged and %d can be read", sent, messages)
	}
	report.Read = rates(run, readers, messages, bytes)
	return err
}

func size(mail []traffic.Message) (bytes int64) {
	for _, m := range mail {
		bytes += int64(len(m.Raw))
	}
	return bytes
}

// send hands the messages over by so many connections; every one must get its
// 250. progress is called by one at a time.
func (n *node) send(mail []traffic.Message, connections int, progress func(done int)) error {
	var next atomic.Int64
	var telling sync.Mutex
	done := 0
	tell := func() {
		telling.Lock()
		defer telling.Unlock()
		done++
		progress(done)
	}
	return together(connections, func(int) error {
		c, err := traffic.Dial(n.mx(), "sender.example", patience)
		if err != nil {
			return err
		}
		defer c.Close()
		for {
			i := int(next.Add(1)) - 1
			if i >= len(mail) {
				return nil
			}
			m := &mail[i]
			if err := c.Send(m.From.Email, []string{m.To[0].Email}, m.Raw); err != nil {
				return fmt.Errorf("send: %w", err)
			}
			tell()
		}
	})
}

// together runs do(0) to do(n-1) at once and gives all their errors.
func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// spent is what a run took.
type spent struct{ wall, cpu time.Duration }

// measure runs do and tells how long it took, and the CPU time that the node used meanwhile.
func (n *node) measure(do func() error) (s spent, err error) {
	before, err := n.cpu()
	if err != nil {
		return s, err
	}
	began := time.Now()
	err = do()
	s.wall = time.Since(began)
	after, cpuErr := n.cpu()
	s.cpu = after - before
	return s, errors.Join(err, cpuErr)
}

func rates(s spent, connections, messages int, bytes int64) cli.BenchRun {
	r := cli.BenchRun{Connections: connections, Messages: messages, Bytes: bytes, Seconds: s.wall.Seconds()}
	if messages > 0 {
		r.PerSecond = float64(messages) / s.wall.Seconds()
		r.CPUPer1000 = s.cpu.Seconds() * 1000 / float64(messages)
	}
	return r
}
