package sim

import (
	"testing"
	"time"
)

// soon is how long a follower that has been started again may take until it has all that the group has.
const soon = time.Second

// TestRestartedFollowerIsBackSoon: for however long it was away, and whether its process or its machine was, a follower that comes back has caught up a moment after its start, and does not take
// itself for stuck meanwhile.
func TestRestartedFollowerIsBackSoon(t *testing.T) {
	for name, tc := range map[string]struct {
		away  time.Duration
		power bool
	}{
		"a moment": {away: 2 * time.Second}, "7 s": {away: 7 * time.Second}, "23 s": {away: 23 * time.Second}, "its machine, 40 s": {away: 40 * time.Second, power: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := live(t, Settings{Seed: 1, Nodes: 3, Timing: "lan", script: func(w *world) { w.restart(t, tc.away, tc.power) }})
			for _, v := range r.Violations {
				t.Error(v)
			}
		})
	}
}

// restart has a follower go away and come back.
func (w *world) restart(t *testing.T, away time.Duration, power bool) {
	w.pause(2 * time.Second)
	leader, m := w.machines[0], w.machines[1]
	for i, other := range w.machines {
		if other.name == w.holders.present() {
			leader, m = other, w.machines[(i+1)%len(w.machines)]
		}
	}
	m.crash(power)
	w.pause(away)
	if power {
		m.powerOn()
	}
	m.start()
	began, target := w.trace.at(), leader.running().state.Applied()
	p := m.running()
	for p.node.Ready() != nil || p.state.Applied() < target {
		if w.trace.at()-began > 15*time.Second {
			break
		}
		if err := p.node.Quarantined(); err != nil {
			w.violated("%v has been started %v ago: %v", p, w.trace.at()-began, err)
			return
		}
		w.pause(5 * time.Millisecond)
	}
	took := w.trace.at() - began
	t.Logf("away for %v, back after %v", away, took)
	if limit := soon; took > limit {
		w.violated("%v has caught up %v after its start, not within %v", p, took, limit)
	}
}
