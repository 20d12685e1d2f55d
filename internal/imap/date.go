package imap

import (
	"fmt"
	"strings"
	"time"
)

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// AppendDateTime appends date-time with its quotes: "17-Jul-1996 02:44:25 -0700" (RFC 9051 §9).
func AppendDateTime(b []byte, t time.Time) []byte {
	return t.AppendFormat(b, `"_2-Jan-2006 15:04:05 -0700"`)
}

// ParseDateTime reads date-time without its quotes. One or two digits for the
// day are taken, with or without the leading space.
func ParseDateTime(s string) (time.Time, bool) {
	s = strings.TrimLeft(s, " ")
	day, s, ok1 := digits(s, 2)
	month, year, s, ok2 := monthYear(s)
	if !ok1 || !ok2 || len(s) != 15 || s[0] != ' ' || s[3] != ':' || s[6] != ':' || s[9] != ' ' {
		return time.Time{}, false
	}
	hour, _, ok1 := digits(s[1:3], 2)
	minute, _, ok2 := digits(s[4:6], 2)
	second, _, ok3 := digits(s[7:9], 2)
	zoneHour, _, ok4 := digits(s[11:13], 2)
	zoneMinute, _, ok5 := digits(s[13:15], 2)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || (s[10] != '+' && s[10] != '-') || hour > 23 || minute > 59 || second > 60 || zoneMinute > 59 {
		return time.Time{}, false
	}
	offset := zoneHour*3600 + zoneMinute*60
	if s[10] == '-' {
		offset = -offset
	}
	zone := time.UTC
	if offset != 0 {
		zone = time.FixedZone("", offset)
	}
	t := time.Date(year, month, day, hour, minute, second, 0, zone)
	return t, t.Day() == day || second == 60
}

// monthYear reads "-Jul-1996" off the start of s.
func monthYear(s string) (time.Month, int, string, bool) {
	if len(s) < 9 || s[0] != '-' || s[4] != '-' {
		return 0, 0, s, false
	}
	for m := range 12 {
		if strings.EqualFold(s[1:4], months[3*m:3*m+3]) {
			year, rest, ok := digits(s[5:], 4)
			return time.Month(m + 1), year, rest, ok && len(s)-len(rest) == 9
		}
	}
	return 0, 0, s, false
}

// digits reads up to most digits off the start of s.
func digits(s string, most int) (n int, rest string, ok bool) {
	i := 0
	for ; i < len(s) && i < most && s[i] >= '0' && s[i] <= '9'; i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n, s[i:], i > 0
}

// ParseDate reads date without quotes, "1-Feb-1994", as midnight UTC.
func ParseDate(s string) (time.Time, bool) {
	day, s, ok1 := digits(s, 2)
	month, year, rest, ok2 := monthYear(s)
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	return t, ok1 && ok2 && rest == "" && t.Day() == day
}

// FormatDate is ParseDate's inverse.
func FormatDate(t time.Time) string {
	return fmt.Sprintf("%d-%s-%04d", t.Day(), months[3*int(t.Month())-3:3*int(t.Month())], t.Year())
}

// DateTime is date-time with its quotes: an INTERNALDATE.
func (d *Decoder) DateTime() time.Time {
	t, ok := ParseDateTime(string(d.quoted()))
	if !ok {
		d.Want("a date and time")
	}
	return t
}

// Date is a SEARCH key's date, quoted or not: midnight UTC of that day.
func (d *Decoder) Date() time.Time {
	t, ok := ParseDate(d.AString())
	if !ok {
		d.Want("a date")
	}
	return t
}
