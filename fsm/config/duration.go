package config

import (
	"fmt"
	"strings"
	"time"
)

// String gives the shortest usual form: "30m", "31m", "1h30m", "10s", "250ms", "0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText writes String's form, in JSON too.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration does, so a unit is needed.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %.40q: must be a number with a unit, as in 30s, 31m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}
