package h1

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestTheWheelIsNeverEarlyAndHardlyLate: many timers that are set, moved and cancelled, against a plain list.
func TestTheWheelIsNeverEarlyAndHardlyLate(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var w wheel
	now := time.Duration(12345678901)
	w.init(now)
	timers := make([]timer, 300)
	due := make([]time.Duration, len(timers))
	for i := range due {
		due[i] = never
		timers[i].conn = &Conn{}
		timers[i].conn.dropped = i
	}
	random := func() time.Duration {
		switch rnd.IntN(10) {
		case 0:
			return never
		case 1:
			return now + time.Duration(rnd.Int64N(int64(10*time.Minute))) // more than one round
		case 2:
			return now // over already
		}
		return now + time.Duration(rnd.Int64N(int64(20*time.Second)))
	}
	fired := 0
	for range 20_000 {
		for range rnd.IntN(4) {
			i := rnd.IntN(len(timers))
			if rnd.IntN(5) == 0 {
				due[i] = never
				w.cancel(&timers[i])
				continue
			}
			due[i] = random()
			w.set(&timers[i], due[i])
		}
		wait := w.wait(now)
		earliest := never
		for _, d := range due {
			earliest = min(earliest, d)
		}
		if earliest != never && (wait < 0 || now+wait > max(earliest, now)+2*tick) {
			t.Fatalf("waits %s, the next is due in %s", wait, earliest-now)
		}
		now += time.Duration(rnd.Int64N(int64(300 * time.Millisecond)))
		if rnd.IntN(1000) == 0 {
			now += 3 * time.Minute // the process stood still
		}
		w.expire(now, func(tm *timer) {
			i := tm.conn.dropped
			if due[i] > now {
				t.Fatalf("timer %d fired %s too early", i, due[i]-now)
			}
			due[i] = never
			fired++
			if rnd.IntN(3) == 0 {
				due[i] = now + time.Second
				w.set(tm, due[i])
			}
		})
		for i, d := range due {
			if d != never && d+2*tick < now {
				t.Fatalf("timer %d is %s late", i, now-d)
			}
		}
	}
	if fired < 1000 {
		t.Errorf("only %d timers fired", fired)
	}
}

// TestBuffersComeBack: what is given back is lent again, others are not, and what is kept is bounded.
func TestBuffersComeBack(t *testing.T) {
	p := buffers{most: 100 << 10}
	a := append(p.get(5000), "x"...)
	if cap(a) != 16<<10 {
		t.Fatalf("%d", cap(a))
	}
	p.put(a)
	if b := p.get(4097); &b[:1][0] != &a[0] || len(b) != 0 {
		t.Error("another buffer")
	}
	p.put(nil)
	p.put(make([]byte, 0, 5))
	for range 100 {
		p.put(make([]byte, 0, 16<<10))
	}
	if p.kept != 96<<10 {
		t.Errorf("%d bytes are kept", p.kept)
	}
	for range 10 {
		p.trim()
	}
	if p.kept != 0 {
		t.Errorf("%d bytes are kept after trims", p.kept)
	}
	if b := p.get(1 << 20); cap(b) < 1<<20 {
		t.Error("too small")
	}
}
