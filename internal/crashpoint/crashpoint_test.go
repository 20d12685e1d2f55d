package crashpoint

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// passages is how often the helper process passes each of two points.
const passages = 3

func TestMain(m *testing.M) {
	if os.Getenv("CRASHPOINT_HELPER") != "" {
		if err := Err(); err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
		for i := range passages {
			Hit(BlobBeforeWrite)
			fmt.Println("before", i)
			Hit(BlobAfterSync)
			fmt.Println("after", i)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKillsAtTheNamedPassage(t *testing.T) {
	t.Parallel()
	whole := "before 0\nafter 0\nbefore 1\nafter 1\nbefore 2\nafter 2\n"
	for _, c := range []struct {
		value  string
		out    string
		killed bool
	}{
		{"", whole, false},
		{"blob.before-write", "", true},
		{"blob.after-sync", "before 0\n", true},
		{"blob.after-sync:2", "before 0\nafter 0\nbefore 1\n", true},
		{"blob.after-sync:9", whole, false},
		{"blob.after-write", whole, false},
	} {
		t.Run(c.value, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "CRASHPOINT_HELPER=1", Env+"="+c.value)
			out, err := cmd.Output()
			if string(out) != c.out {
				t.Errorf("printed %q, want %q", out, c.out)
			}
			var exit *exec.ExitError
			killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
			if killed != c.killed {
				t.Errorf("killed = %v (%v), want %v", killed, err, c.killed)
			}
		})
	}
}

func TestRefusesWhatWouldNeverKill(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"blob.aftersync", "blob.after-sync:0", "blob.after-sync:x", ":1"} {
		if tr, err := parse(value); err == nil || tr != nil {
			t.Errorf("parse(%q) = %v, %v; want an error", value, tr, err)
		}
	}
}

func TestNamesAreUniqueAndExplained(t *testing.T) {
	t.Parallel()
	seen := map[Point]bool{}
	for _, d := range Descriptions() {
		if seen[d.Point] || d.Meaning == "" || !strings.Contains(string(d.Point), ".") {
			t.Errorf("%q: repeated, unexplained or without a room", d.Point)
		}
		seen[d.Point] = true
	}
}

func BenchmarkHitDisarmed(b *testing.B) {
	for b.Loop() {
		Hit(BlobAfterSync)
	}
}
