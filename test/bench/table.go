package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// run is what one round of one side measured.
type run struct {
	messages int
	took     time.Duration
	cpu      time.Duration // of the server's processes
}

func (r run) rate() float64 { return float64(r.messages) / r.took.Seconds() }

// perThousand is CPU seconds for 1,000 messages.
func (r run) perThousand() float64 { return r.cpu.Seconds() * 1000 / float64(r.messages) }

// row is one line of the table: the same work on both sides.
type row struct {
	name             string
	theirs, ours     []run
	theirName        string
	generatorSeconds float64 // CPU of this process during the row, per 1,000 messages
}

// median of the rounds, by rate and by CPU each.
func median(runs []run, of func(run) float64) float64 {
	var v []float64
	for _, r := range runs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func show(w io.Writer, rows []row) {
	fmt.Fprintf(w, "\n%d CPUs, %s, %s; median of the rounds, which take turns\n\n", runtime.NumCPU(), kernel(), runtime.Version())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "work\tthe other\tmsg/s\tRelais msg/s\tratio\tCPU s/1000\tRelais CPU s/1000\tratio\tgenerator CPU s/1000\t")
	for _, r := range rows {
		theirs, ours := median(r.theirs, run.rate), median(r.ours, run.rate)
		theirCPU, ourCPU := median(r.theirs, run.perThousand), median(r.ours, run.perThousand)
		fmt.Fprintf(tw, "%s\t%s\t%.0f\t%.0f\t%.2fx\t%.2f\t%.2f\t1/%.2f\t%.2f\t\n",
			r.name, r.theirName, theirs, ours, ours/theirs, theirCPU, ourCPU, theirCPU/ourCPU, r.generatorSeconds)
	}
	_ = tw.Flush()
	fmt.Fprintln(w)
}

// ownCPU is what this process used so far, the load generator among it.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "Linux " + string(release[:len(release)-1])
}
