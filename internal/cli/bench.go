package cli

import "fmt"

type benchCmd struct {
	Messages int    `help:"Messages of each run." default:"2000" placeholder:"N"`
	Dir      string `help:"Directory on the disk to judge; a node is made below it and removed." default:"." placeholder:"DIR"`
}

// Help is the long help.
func (benchCmd) Help() string {
	return `Judges this machine: makes a node of its own below --dir, sends it mail by SMTP over
1, 8 and 32 connections, reads all of it by IMAP, and measures the disk's syncs alone.
A message counts once it would survive a power cut. The sender is checked as on every
node, but no name server is asked. The load comes from this machine too: messages/s
would be more with a sender elsewhere; the CPU is that of the node alone.

Example:
  relais bench --dir /var/lib --messages 5000`
}

// BenchChoices are what the bench is asked for.
type BenchChoices struct {
	Dir      string
	Messages int // of each run
	Version  string
	Progress func(step string, done, total int)
}

// BenchReport is what the bench measured.
type BenchReport struct {
	Version string     `json:"version"`
	CPUs    int        `json:"cpus"` // that the program may use
	Dir     string     `json:"dir"`
	Sync    SyncReport `json:"sync"`
	Intake  []BenchRun `json:"intake"`
	Read    BenchRun   `json:"read"`
}

// SyncReport is how long the disk takes to make 4 KiB durable, in microseconds.
type SyncReport struct {
	Syncs    int     `json:"syncs"`
	MedianUS float64 `json:"median_us"`
	P99US    float64 `json:"p99_us"`
}

// BenchRun is one measured run.
type BenchRun struct {
	Connections int     `json:"connections"`
	Messages    int     `json:"messages"`
	Bytes       int64   `json:"bytes"` // of the messages
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"per_second"`     // messages
	CPUPer1000  float64 `json:"cpu_s_per_1000"` // CPU seconds of the node, per 1,000 messages
}

// maxBench is how many messages a run may have.
const maxBench = 1_000_000

// Run measures.
func (c *benchCmd) Run(s *session) error {
	if c.Messages < 1 || c.Messages > maxBench {
		return usagef("--messages %d: want 1 to %d", c.Messages, maxBench)
	}
	bar := s.progress("Measuring", 1)
	r, err := s.Local.Bench(s.ctx, BenchChoices{Dir: c.Dir, Messages: c.Messages, Version: s.Version, Progress: func(step string, done, total int) {
		bar.label, bar.total = step, max(total, 1)
		bar.at(done)
	}})
	bar.end()
	if err != nil {
		return err
	}
	s.answer(r, func(t *table) {
		t.line("Syncs of 4 KiB in %s: %.0f µs at the median, %.0f µs at the 99th percentile.", oneLine(r.Dir), r.Sync.MedianUS, r.Sync.P99US)
		t.line("")
		t.row("", "CONNECTIONS", "MESSAGES", "MESSAGES/S", "CPU S PER 1,000")
		for _, run := range r.Intake {
			t.row("SMTP in", run.Connections, run.Messages, fmt.Sprintf("%.0f", run.PerSecond), fmt.Sprintf("%.2f", run.CPUPer1000))
		}
		t.row("IMAP out", r.Read.Connections, r.Read.Messages, fmt.Sprintf("%.0f", r.Read.PerSecond), fmt.Sprintf("%.2f", r.Read.CPUPer1000))
	})
	return nil
}
