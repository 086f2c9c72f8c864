package h2

import (
	"testing"
	"time"
)

// TestWindowsThatPay: DATA that a client's own windows have cut explain its WINDOW_UPDATE as far as they carry something, and its SETTINGS not at all.
func TestWindowsThatPay(t *testing.T) {
	at := time.Unix(1, 0)
	for name, c := range map[string]struct {
		kind          byte // of what the client sends
		length, times int  // of the DATA that each lets out
		most          int  // frames of the client; 0: any number
	}{
		"a byte of the connection's": {typeWindow, 1, 1, 1100},
		"a byte of all first ones":   {typeSettings, 1, 250, 1000},
		"some of all first ones":     {typeSettings, 200, 250, 1000},
		"much of all first ones":     {typeSettings, 16 << 10, 250, 1000},
		"a hundred bytes":            {typeWindow, 100, 1, 0},
		"much":                       {typeWindow, 16 << 10, 1, 0},
	} {
		w := NewWatch(func() time.Time { return at })
		n := 0
		for ; n < 20_000 && w.Take(c.kind, 0, 4, 1) == nil; n++ {
			for range c.times {
				w.Sent(typeData, 0, c.length, true)
			}
		}
		if c.most == 0 && n < 20_000 || c.most > 0 && n > c.most {
			t.Errorf("%s: %d frames", name, n)
		}
	}
}
