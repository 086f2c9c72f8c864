package lb

import (
	"testing"
	"time"
)

// TestStatusGoesByTheClockOfNow: an instance came back while the node's clock was a day ahead. Once the clock is right, that was a moment ago, and not in a day: the leader would leave the node
// out of the verdict until then.
func TestStatusGoesByTheClockOfNow(t *testing.T) {
	now := time.Date(2026, 11, 26, 23, 43, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		at   time.Time
		ago  time.Duration
		want time.Time
	}{
		"nothing has jumped":            {now.Add(-time.Minute), time.Minute, now.Add(-time.Minute)},
		"the clock is set as usual":     {now.Add(-time.Minute + 20*time.Millisecond), time.Minute, now.Add(-time.Minute + 20*time.Millisecond)},
		"it was ahead, and is right":    {now.Add(24 * time.Hour), 10 * time.Second, now.Add(-10 * time.Second)},
		"it was right, and is ahead":    {now.Add(-24 * time.Hour), 10 * time.Second, now.Add(-10 * time.Second)},
		"it was a little behind before": {now.Add(-11 * time.Second), 10 * time.Second, now.Add(-10 * time.Second)},
	} {
		if got := byClock(c.at, c.ago, now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
