package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relais/internal/demo"
	"relais/internal/demo/tamper"
)

// small is a demo for a test.
var small = demo.Size{People: 4, History: 80, Outside: 20, Sent: 8, Work: 3}

// build makes the binary that the demo's nodes run.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "relais")
	cmd := exec.Command("go", "build", "-o", bin, "relais/cmd/relais")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the binary: %v\n%s", err, out)
	}
	return bin
}

func TestDemo(t *testing.T) {
	bin := build(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Run("gives everything back and finds sabotage", func(t *testing.T) { testStory(t, bin, temp) })
	t.Run("leaves nothing when interrupted", func(t *testing.T) { testInterrupt(t, bin, temp) })
}

func testStory(t *testing.T, bin, temp string) {
	for name, c := range map[string]struct {
		sabotage tamper.Kinds
		stays    bool
		lang     string
		tells    string
		err      error
	}{
		"once":     {lang: "en_GB.UTF-8", tells: "Everything is back"},
		"sabotage": {sabotage: tamper.Kinds{Lost: 3, Doubled: 2, Flags: 4}, stays: true, lang: "fr_FR.UTF-8", tells: "nomme exactement", err: demo.ErrDifferences},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var story, data bytes.Buffer
			stayed := false
			hear := writerFunc(func(p []byte) {
				story.Write(p)
				if bytes.Contains(p, []byte("Ctrl-C")) {
					stayed = true
					interrupt()
				}
			})
			r, err := demo.Run(ctx, demo.Options{Binary: bin, Size: small, Once: !c.stays, Sabotage: c.sabotage, Lang: c.lang, Story: hear, Data: &data})
			if !errors.Is(err, c.err) {
				t.Fatalf("ended with %v, want %v:\n%s", err, c.err, &story)
			}
			if stayed != c.stays || c.stays && !strings.Contains(story.String(), "relais-00-poste") {
				t.Errorf("stayed up: %v, want %v, with addresses and passwords:\n%s", stayed, c.stays, &story)
			}
			if r.Lost != c.sabotage.Lost || r.Doubled != c.sabotage.Doubled || r.Differences != c.sabotage.Flags {
				t.Errorf("%d lost, %d doubled, %d differ, want %+v", r.Lost, r.Doubled, r.Differences, c.sabotage)
			}
			if r.Returned != r.Messages-c.sabotage.Lost || r.Messages < small.History+small.Outside+small.Sent {
				t.Errorf("%d of %d messages returned", r.Returned, r.Messages)
			}
			if r.Detected <= 0 || r.FirstMail < r.Detected || r.Total < r.FirstMail || r.Received <= small.Outside || r.Sent <= small.Sent {
				t.Errorf("odd figures: %+v", r)
			}
			if !strings.Contains(story.String(), c.tells) || strings.Contains(story.String(), "\x1b") {
				t.Errorf("the story is not as plain or not in the language asked for:\n%s", &story)
			}
			var line demo.Result
			if err := json.Unmarshal(data.Bytes(), &line); err != nil || line != r || bytes.Count(data.Bytes(), []byte("\n")) != 1 {
				t.Errorf("data is no line with the result: %v\n%s", err, &data)
			}
			nothingLeft(t, temp)
		})
	}
}

func testInterrupt(t *testing.T, bin, temp string) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	story := writerFunc(func(p []byte) {
		if bytes.Contains(p, []byte("is dead")) {
			interrupt()
		}
	})
	if _, err := demo.Run(ctx, demo.Options{Binary: bin, Size: small, Story: story}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	nothingLeft(t, temp)
}

// nothingLeft checks that neither a directory nor a process of the demo's is there any more.
func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(temp, "relais-demo-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(temp+"/relais-demo-")) {
			t.Errorf("still runs: %q", line)
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
