package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestStepsAreDrawnOnTerminalsAlone(t *testing.T) {
	t.Parallel()
	work, result := text{"working", "au travail"}, text{"%d done", "%d faits"}
	var paper bytes.Buffer
	plain := &teller{w: &paper, began: time.Now()}
	plain.begin(work, func() (int, int) { return 1, 2 }).done(result, 2)
	if got := paper.String(); !strings.HasSuffix(got, "0.0 s  2 done\n") || strings.Contains(got, "\x1b") || strings.Contains(got, "working") {
		t.Errorf("on paper: %q", got)
	}

	var screen bytes.Buffer
	drawn := make(chan struct{}, 1000)
	terminal := &teller{w: &screen, terminal: true, width: 30, french: true, began: time.Now()}
	s := terminal.begin(work, func() (int, int) {
		drawn <- struct{}{}
		return 1, 2
	})
	<-drawn
	s.done(result, 2)
	s.quit() // as the deferred one does
	got := screen.String()
	if !strings.Contains(got, "au travail  ████") || !strings.HasSuffix(got, "2 faits\n") || !strings.Contains(got, "0,0 s") {
		t.Errorf("on a terminal: %q", got)
	}
	for frame := range strings.SplitSeq(got, clearLine) {
		if frame, _, cut := strings.Cut(frame, "\n"); !cut && len([]rune(frame)) >= 30 {
			t.Errorf("a frame wider than the terminal: %q", frame)
		}
	}
}
