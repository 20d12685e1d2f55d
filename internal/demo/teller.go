package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// text is a sentence in both languages of the demo.
type text struct{ en, fr string }

// teller tells the story as it happens: on a terminal the step under way is drawn again and again, elsewhere each
// step is one plain line when it is done.
type teller struct {
	w        io.Writer
	terminal bool
	width    int // columns of the terminal
	french   bool
	began    time.Time
}

// in is the sentence in the teller's language.
func (t *teller) in(s text) string {
	if t.french {
		return s.fr
	}
	return s.en
}

// seconds writes a duration the way that the language writes numbers.
func (t *teller) seconds(d time.Duration) string {
	s := fmt.Sprintf("%.1f s", d.Seconds())
	if t.french {
		return strings.Replace(s, ".", ",", 1)
	}
	return s
}

// The terminal's words (ECMA-48 §8.3.117).
const (
	bold, dim, green, red, plain = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"
	clearLine                    = "\r\x1b[K"
)

func (t *teller) paint(colour, s string) string {
	if !t.terminal {
		return s
	}
	return colour + s + plain
}

// heading begins a part of the story.
func (t *teller) heading(s text) {
	fmt.Fprintf(t.w, "\n%s\n", t.paint(bold, t.in(s)))
}

// line writes a line of its own.
func (t *teller) line(format string, args ...any) {
	fmt.Fprintf(t.w, format+"\n", args...)
}

// detail writes a line below a step.
func (t *teller) detail(s text, args ...any) {
	t.line("              %s", t.paint(dim, fmt.Sprintf(t.in(s), args...)))
}

// step is something that takes a while.
type step struct {
	t       *teller
	what    string
	began   time.Time
	far     func() (done, of int) // nil: nobody knows how far it is
	stop    chan struct{}
	stopped chan struct{}
}

// redraw is how often a step is drawn.
const redraw = 120 * time.Millisecond

// begin begins a step. far, if not nil, tells how far it is; it is called from another goroutine.
func (t *teller) begin(what text, far func() (done, of int)) *step {
	s := &step{t: t, what: t.in(what), began: time.Now(), far: far, stop: make(chan struct{}), stopped: make(chan struct{})}
	go s.live()
	return s
}

// live draws the step until it ends.
func (s *step) live() {
	defer close(s.stopped)
	if !s.t.terminal {
		return
	}
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for frame := 0; ; frame++ {
		fmt.Fprint(s.t.w, clearLine+s.draw(frame))
		select {
		case <-s.stop:
			fmt.Fprint(s.t.w, clearLine)
			return
		case <-tick.C:
		}
	}
}

const barWidth = 24

func (s *step) draw(frame int) string {
	out := fmt.Sprintf("  %c %s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[frame%10], s.what)
	if s.far != nil {
		if done, of := s.far(); of > 0 {
			full := barWidth * min(done, of) / of
			out += fmt.Sprintf("  %s%s %d/%d", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), done, of)
		}
	}
	out += "  " + s.t.seconds(time.Since(s.began))
	if n := utf8.RuneCountInString(out); s.t.width > 1 && n >= s.t.width { // a longer line would not be cleared whole
		out = string([]rune(out)[:s.t.width-1])
	}
	return out
}

// done ends the step with what came of it.
func (s *step) done(result text, args ...any) {
	s.quit()
	t := s.t
	at := fmt.Sprintf("%8s", t.seconds(time.Since(t.began)))
	fmt.Fprintf(t.w, "  %s %s  %s\n", t.paint(green, "✓"), t.paint(dim, at), fmt.Sprintf(t.in(result), args...))
}

// quit ends the step without a word; it may be called again.
func (s *step) quit() {
	select {
	case <-s.stopped:
		return
	default:
	}
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	<-s.stopped
}
