package lb

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLatencyRisesAtOnceAndSinksWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l latency
		within := func(what string, want time.Duration) {
			t.Helper()
			if got := l.value(); got < want*99/100 || got > want*101/100 {
				t.Errorf("%s: %v, want about %v", what, got, want)
			}
		}
		if l.value() != 0 {
			t.Error("something was seen before anything was")
		}
		l.observe(100 * time.Millisecond)
		within("first", 100*time.Millisecond)
		l.observe(2 * time.Second)
		within("a peak counts whole", 2*time.Second)
		l.observe(0)
		within("a short one does not hide it", 2*time.Second)
		<-time.After(10 * time.Second)
		within("after the time constant", 735759*time.Microsecond) // 2 s / e
		l.observe(100 * time.Millisecond)
		within("mixed", 798971*time.Microsecond) // 2/e + 0.1 (1 - 1/e)
		<-time.After(time.Hour)
		if got := l.value(); got != 0 {
			t.Errorf("an old peak still counts: %v", got)
		}
		l.observe(-time.Second)
		if got := l.value(); got != 0 {
			t.Errorf("a negative time counts: %v", got)
		}
	})
}

func TestLatencyFromManyGoroutines(t *testing.T) {
	var l latency
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				l.observe(time.Duration(i*500+j) * time.Microsecond)
				if v := l.value(); v < 0 || v > 4*time.Millisecond {
					t.Errorf("value %v", v)
				}
			}
		})
	}
	all.Wait()
}
