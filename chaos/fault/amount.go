package fault

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Measure is what an amount is counted in.
type Measure string

// The measures.
const (
	None     Measure = ""
	Duration Measure = "a time such as 200ms"                       // amounts in seconds
	Offset   Measure = "a time such as +1h or -24h"                 // amounts in seconds
	Share    Measure = "a share such as 20%"                        // amounts from 0 to 1
	Rate     Measure = "bytes in a second, such as 32KiB or 100000" // amounts in bytes per second
	Count    Measure = "a number such as 8"
)

// Amount is how much of a fault, in its measure.
type Amount float64

// Time is an amount of seconds as a duration.
func (a Amount) Time() time.Duration {
	return time.Duration(math.Round(float64(a) * float64(time.Second)))
}

// maxTime bounds amounts of time.
const maxTime = 30 * 24 * time.Hour

// Parse reads an amount as people write it.
func (m Measure) Parse(text string) (Amount, error) {
	a, ok := m.parse(strings.TrimSpace(text))
	switch {
	case m == None:
		return 0, fmt.Errorf("there is no amount of it")
	case !ok || math.IsNaN(float64(a)):
		return 0, fmt.Errorf("%.40q is not %s", text, m)
	}
	return a, nil
}

func (m Measure) parse(text string) (Amount, bool) {
	switch m {
	case Duration, Offset:
		d, err := time.ParseDuration(text)
		return Amount(d.Seconds()), err == nil && d.Abs() <= maxTime && (m == Offset || d > 0)
	case Share:
		number, percent := strings.CutSuffix(text, "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if percent {
			v /= 100
		}
		return Amount(v), err == nil && v > 0 && v <= 1
	case Rate:
		unit := 1.0
		for suffix, factor := range map[string]float64{"KiB": 1 << 10, "MiB": 1 << 20} {
			if number, found := strings.CutSuffix(text, suffix); found {
				text, unit = number, factor
			}
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return Amount(v * unit), err == nil && v*unit >= 1 && v*unit <= 1<<40
	case Count:
		v, err := strconv.ParseUint(text, 10, 16)
		return Amount(v), err == nil && v > 0
	}
	return 0, false
}

// Format writes an amount as Parse reads it.
func (m Measure) Format(a Amount) string {
	switch m {
	case Duration:
		return a.Time().String()
	case Offset:
		if a > 0 {
			return "+" + a.Time().String()
		}
		return a.Time().String()
	case Share:
		return strconv.FormatFloat(float64(a)*100, 'g', 6, 64) + "%"
	case Rate:
		return strconv.FormatFloat(math.Round(float64(a)), 'f', -1, 64)
	case Count:
		return strconv.Itoa(int(a))
	}
	return ""
}
