package operate

import (
	"sync"
	"time"
)

// place names an instance.
type place struct{ cluster, instance string }

// Fate is what has been done to the instances so far, as far as it concerns their sessions.
type Fate struct {
	mu     sync.Mutex
	ousted map[place]time.Time // when a change last named it so that its sessions may leave
	out    map[place]time.Time // since when it takes no requests; absent while it does
}

// NewFate gives the fate of instances to which nothing has happened.
func NewFate() *Fate { return &Fate{ousted: map[place]time.Time{}, out: map[place]time.Time{}} }

// oust is called before a change is sent and again when it has been acknowledged: the instance's sessions may leave in between, and for grace after it.
func (f *Fate) oust(p place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ousted[p] = time.Now()
}

// gone notes, after the change has been acknowledged, that the instance takes no requests any more.
func (f *Fate) gone(p place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out[p] = time.Now()
}

// back notes, before the change is sent, that the instance may take requests again.
func (f *Fate) back(p place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.out, p)
}

// mayHaveLeft tells whether a session that the instance answered, in a request sent at the given time, may be elsewhere now.
func (f *Fate) mayHaveLeft(cluster, instance string, asked time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ever := f.ousted[place{cluster, instance}]
	return ever && last.Add(grace).After(asked)
}

// stoppedFor is for how long the instance had been out at the given time, 0 when it was not.
func (f *Fate) stoppedFor(cluster, instance string, at time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, ok := f.out[place{cluster, instance}]
	if !ok {
		return 0
	}
	return max(0, at.Sub(since))
}

// Ousted notes that the instance's sessions may leave from now on, without a change: its quiesce has ended.
func (f *Fate) Ousted(cluster, instance string) { f.oust(place{cluster, instance}) }
