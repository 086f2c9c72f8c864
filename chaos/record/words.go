package record

import (
	"fmt"
	"strconv"
	"time"
)

// Short gives a duration as people write it: 840 µs, 14 ms, 2.35 s, 3 min 20 s.
func Short(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Short(-d)
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Second && d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		d = d.Round(time.Second)
		if d < time.Hour {
			return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
		}
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// Number gives a number as people write it: 1,234,567.
func Number(n int) string {
	text := strconv.Itoa(n)
	first := 1 // the first digit stays without a comma
	if n < 0 {
		first = 2
	}
	for at := len(text) - 3; at >= first; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func on(target string) string {
	if target == "" {
		return ""
	}
	return " on " + target
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func whoIs(name, does, nobody string) string {
	if name == "" {
		return nobody
	}
	return name + " " + does
}
