package raftnode

import (
	"testing"
	"time"
)

// silentThird gives a group that has just been started again, of which the third node takes connections and never says a word: nobody knows the group's time. off is
// how far each clock is off.
func silentThird(t *testing.T, off [3]time.Duration) (g group, w *wires) {
	t.Helper()
	g, clocks := skewedGroup(t)
	for i, m := range g {
		m.crash()
		clocks[m].set(off[i])
		m.mustOpen()
	}
	w = wire(g)
	w.isolate(g, g[2], true)
	for _, m := range g {
		m.run()
	}
	g[:2].ready()
	return g, w
}

// TestSilentNodeIsNotWaitedFor: a frozen voter keeps nobody from writing, and what it says later counts.
func TestSilentNodeIsNotWaitedFor(t *testing.T) {
	g, w := silentThird(t, [3]time.Duration{0, -time.Hour, 0})
	two := g[:2]
	leader := two.leader()
	two.write(leader)
	if off := time.Until(leader.node.GroupTime()); off > 0 {
		t.Errorf("two clocks that differ by an hour, and nobody knows the time: it is %v ahead", off)
	}
	shortest := time.Hour
	for range 5 {
		start := time.Now()
		if _, _, sure := leader.node.askClocks(ctxFor(t, 10*time.Second)); sure {
			t.Error("two of three nodes, whose clocks differ, are sure")
		}
		shortest = min(shortest, time.Since(start))
	}
	t.Logf("asked with one node silent: %v", shortest)
	if shortest > clockWait/3 {
		t.Errorf("%v for two nodes that answer and one that does not", shortest)
	}
	w.heal()
	within(t, 30*time.Second, "what the third node says does not count", func() bool { return time.Until(g.write(g.leader())).Abs() < 3*time.Second })
}
