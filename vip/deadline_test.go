package vip

import (
	"testing"
	"time"
)

// TestDeadlinesAreOfAClockThatOnlyGoesOn: now is never 0, which is no deadline, and goes on as monotonic time does.
func TestDeadlinesAreOfAClockThatOnlyGoesOn(t *testing.T) {
	begin, before := time.Now(), Now()
	if before <= 0 {
		t.Fatalf("now is %d", before)
	}
	last := before
	for time.Since(begin) < 20*time.Millisecond {
		now := Now()
		if now < last {
			t.Fatalf("it went back from %d to %d", last, now)
		}
		last = now
	}
	if d := last.Sub(before); d < 15*time.Millisecond || d > time.Since(begin)+time.Millisecond {
		t.Errorf("%v went by on it in %v", d, time.Since(begin))
	}
	if d := before.After(time.Second).Sub(before); d != time.Second {
		t.Errorf("a second later is %v later", d)
	}
}
