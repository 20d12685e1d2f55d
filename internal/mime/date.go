package mime

import (
	"strings"
	"time"
)

// ParseDate reads a Date field tolerantly (RFC 5322 §3.3 and §4.3): the day of
// the week, seconds and zone may be missing, years may have two digits. The
// result keeps the zone that was written.
func ParseDate(value string) (time.Time, bool) {
	d := dateReader{l: lexer{s: value}}
	t, ok := d.read()
	return t, ok && t.Year() > 0 && t.Year() < 10_000
}

type dateReader struct {
	l   lexer
	buf []byte
}

// word reads an atom; "" if there is none.
func (d *dateReader) word() string {
	d.buf = d.buf[:0]
	d.l.skip()
	if d.l.atom(&d.buf) == broken && len(d.buf) == 0 {
		return ""
	}
	return string(d.buf)
}

func (d *dateReader) read() (time.Time, bool) {
	none := time.Time{}
	w := d.word()
	if w == "" {
		return none, false
	}
	if w[0] > '9' { // day of the week
		if d.l.at('.') {
			d.l.i++
		}
		if d.l.skip(); d.l.at(',') {
			d.l.i++
		}
		w = d.word()
	}
	// 02-Jan-2026 is one atom.
	parts := strings.Split(w, "-")
	if len(parts) != 3 {
		month := strings.TrimSuffix(d.word(), ".")
		if d.l.at('.') {
			d.l.i++
		}
		parts = []string{w, month, d.word()}
	}
	day, ok1 := number(parts[0], 2)
	month, ok2 := monthOf(parts[1])
	year, ok3 := number(parts[2], 4)
	if !ok1 || !ok2 || !ok3 || day < 1 || day > 31 {
		return none, false
	}
	switch len(parts[2]) {
	case 1, 2:
		if year < 50 {
			year += 2000
		} else {
			year += 1900
		}
	case 3:
		year += 1900
	}
	hour, minute, second, ok := d.clock()
	if !ok {
		return none, false
	}
	if time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() != day {
		return none, false // 31 February
	}
	return time.Date(year, month, day, hour, minute, second, 0, zone(d.word())), true
}

// clock reads hh ":" mm [":" ss]; dots are taken for colons.
func (d *dateReader) clock() (hour, minute, second int, ok bool) {
	if hour, ok = number(d.word(), 2); !ok || hour > 23 || !d.colon() {
		return 0, 0, 0, false
	}
	if minute, ok = number(d.word(), 2); !ok || minute > 59 {
		return 0, 0, 0, false
	}
	if d.colon() {
		if second, ok = number(d.word(), 2); !ok || second > 60 {
			return 0, 0, 0, false
		}
	}
	return hour, minute, second, true
}

func (d *dateReader) colon() bool {
	d.l.skip()
	if d.l.at(':') || d.l.at('.') {
		d.l.i++
		return true
	}
	return false
}

func number(s string, digits int) (int, bool) {
	if s == "" || len(s) > digits {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func monthOf(s string) (time.Month, bool) {
	if len(s) < 3 {
		return 0, false
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(s[:3]))
	return time.Month(i/3 + 1), i >= 0 && i%3 == 0
}

// zone reads "+0100", or a name of RFC 5322 §4.3; anything else is UTC.
func zone(s string) *time.Location {
	if len(s) == 5 && (s[0] == '+' || s[0] == '-') {
		if n, ok := number(s[1:], 4); ok {
			offset := (n/100*60 + n%100) * 60
			if s[0] == '-' {
				offset = -offset
			}
			return fixed(offset)
		}
	}
	if i := strings.Index("EDTESTCDTCSTMDTMSTPDTPST", strings.ToUpper(s)); len(s) == 3 && i >= 0 && i%3 == 0 {
		// EDT is -4, EST -5, CDT -5 and so on.
		return fixed(-(4 + (i/3+1)/2) * 3600)
	}
	return time.UTC
}

func fixed(seconds int) *time.Location {
	if seconds == 0 {
		return time.UTC
	}
	return time.FixedZone("", seconds)
}
