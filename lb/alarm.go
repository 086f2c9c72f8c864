package lb

import (
	"sync"
	"time"
)

// ringer is what an alarm wakes.
type ringer interface {
	// ring is called from a goroutine of its own. When the alarm was ended just then, it may still come, even to the one who has the alarm next: so
	// ring finds out by itself whether it is due.
	ring()
}

// alarm is a time.AfterFunc that is used again: a request needs two, and would pay for each with a timer and a closure.
type alarm struct {
	timer *time.Timer

	mu    sync.Mutex
	owner ringer
}

var alarms = sync.Pool{New: func() any {
	a := &alarm{}
	a.timer = time.AfterFunc(time.Hour, a.fire)
	a.timer.Stop()
	return a
}}

// newAlarm gives one that rings once after d, unless it is stopped, set anew or ended. end must be called in the end.
func newAlarm(owner ringer, d time.Duration) *alarm {
	a := alarms.Get().(*alarm)
	a.own(owner)
	a.timer.Reset(d)
	return a
}

func (a *alarm) own(owner ringer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owner = owner
}

// end gives the alarm back; its owner must not use it any more.
func (a *alarm) end() {
	a.timer.Stop()
	a.own(nil)
	alarms.Put(a)
}

func (a *alarm) fire() {
	a.mu.Lock()
	owner := a.owner
	a.mu.Unlock()
	if owner != nil {
		owner.ring()
	}
}
