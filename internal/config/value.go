package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as Go does ("1h30m") or in days ("5d").
type Duration time.Duration

const wantDuration = `a length of time such as "10s", "1h30m" or "5d"`

const day = 24 * time.Hour

// UnmarshalText reads a duration that is not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days >= 0 && days <= 100_000 {
			*d = Duration(time.Duration(days) * day)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return errors.New(wantDuration)
	}
	*d = Duration(v)
	return nil
}

// String is the form that is written: whole days as "5d", without idle zeros.
func (d Duration) String() string {
	v := time.Duration(d)
	if v >= day && v%day == 0 {
		return fmt.Sprintf("%dd", v/day)
	}
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes, written with KiB, MiB or GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalText reads a size.
func (z *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(string(text), u.suffix); ok {
			v, err := strconv.ParseInt(strings.TrimSpace(n), 10, 32)
			if err == nil && v > 0 {
				*z = Size(v * u.bytes)
				return nil
			}
		}
	}
	return errors.New(`a size such as "50MiB" (KiB, MiB, GiB, or a number of bytes)`)
}

// String is the form that is written.
func (z Size) String() string {
	for _, u := range sizeUnits {
		if int64(z)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(z)/u.bytes, u.suffix)
		}
	}
	return strconv.FormatInt(int64(z), 10)
}
