package cli

import (
	"fmt"
	"io"
	"strings"
)

// bar shows how far long work is, on standard error, when that is a terminal.
type bar struct {
	w     io.Writer // nil: shows nothing
	label string
	total int
	width int
	drawn bool
}

// barWidth is the bar's own width; the label and the numbers stand beside it.
const barWidth = 30

// progress begins a bar for total steps.
func (s *session) progress(label string, total int) *bar {
	b := &bar{label: label, total: total, width: s.Width}
	if s.Terminal && !s.root.JSON && total > 0 {
		b.w = s.Stderr
	}
	return b
}

// at draws the bar at done steps.
func (b *bar) at(done int) {
	if b.w == nil {
		return
	}
	done = min(done, b.total)
	full := barWidth * done / b.total
	text := fmt.Sprintf("%s [%s%s] %d/%d", b.label, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, b.total)
	if b.width > 1 && len(text) >= b.width {
		text = text[:b.width-1]
	}
	fmt.Fprint(b.w, "\r\x1b[K"+text)
	b.drawn = true
}

// end takes the bar away.
func (b *bar) end() {
	if b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.drawn = false
	}
}
