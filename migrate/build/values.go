package build

import (
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// Int reads a whole number from low to high; anything else fails the mark.
func Int(text string, m *report.Mark, low, high int) (int, bool) {
	text = strings.TrimSpace(text)
	v, err := strconv.ParseInt(strings.TrimPrefix(text, "+"), 10, 64)
	switch {
	case err != nil && !isNumber(text):
		m.Fail("%q is not a whole number", report.Clip(text))
		return 0, false
	case err != nil, v < int64(low), v > int64(high):
		m.Fail("%s is out of range, must be from %d to %d", report.Clip(text), low, high)
		return 0, false
	}
	return int(v), true
}

func isNumber(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return digits != "" && len(text)-len(digits) <= 1 && strings.Trim(digits, "0123456789") == ""
}

// Bool reads the words of the old definitions; anything else fails the mark.
func Bool(text string, m *report.Mark) (v, ok bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	m.Fail("%q must be true or false", report.Clip(text))
	return false, false
}

// Seconds and Minutes give spans of the configuration.
func Seconds(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }

// Minutes gives n minutes.
func Minutes(n int) config.Duration { return config.Duration(time.Duration(n) * time.Minute) }

// Bounds of the numbers that are read: what is larger than a year is a mistake.
const (
	MaxMinutes = 365 * 24 * 60
	MaxSeconds = MaxMinutes * 60
)

// maxWeight is the largest weight of the configuration; those of the old formats up to plainWeight are taken as they are.
const (
	maxWeight   = 1000
	plainWeight = 20
)

// Weights brings weights into 0 to 1000: up to 20 they stay as they are, larger ones are divided by what they have in common. exact is false when
// that was not enough and the ratios are only near (the largest becomes 1000, none but 0 becomes 0).
func Weights(in []int) (out []int, exact bool) {
	most, common := 0, 0
	for _, w := range in {
		most, common = max(most, w), gcd(common, w)
	}
	out = append([]int{}, in...)
	if most <= plainWeight {
		return out, true
	}
	exact = most/common <= maxWeight
	for i, w := range out {
		switch {
		case exact:
			out[i] = w / common
		case w > 0:
			out[i] = max(1, (w*maxWeight+most/2)/most)
		}
	}
	return out, exact
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
