package raftnode

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestTimings: each set of intervals is consistent in itself, raft takes it, and a slower network means longer ones all along. Heartbeats are sent five to ten
// times per time-out, so at least every 500 ms.
func TestTimings(t *testing.T) { // TC-31, TC-37
	order := []string{"fast", "lan", "wan"}
	if len(timings) != len(order) {
		t.Fatalf("timings %v", timings)
	}
	for i, name := range order {
		tm, err := timingByName(name)
		if err != nil {
			t.Fatal(err)
		}
		c := tm.raftConfig("n1")
		if err := raft.ValidateConfig(c); err != nil {
			t.Errorf("%s: raft refuses it: %v", name, err)
		}
		if tm.lease >= tm.election || tm.lease > tm.heartbeat {
			t.Errorf("%s: a leader that is cut off leads for %v, another one may be elected after %v", name, tm.lease, tm.election)
		}
		if tm.commit >= tm.heartbeat || tm.poll() >= tm.lease || tm.rpc <= tm.election || tm.noLeader() <= tm.election || tm.attempt() < tm.noLeader() {
			t.Errorf("%s: %+v", name, tm)
		}
		if beat := 2 * tm.heartbeat / 10; beat > 500*time.Millisecond {
			t.Errorf("%s: a heartbeat every %v", name, beat)
		}
		if i == 0 {
			continue
		}
		before := timings[order[i-1]]
		for _, pair := range [][2]time.Duration{{before.heartbeat, tm.heartbeat}, {before.election, tm.election}, {before.lease, tm.lease}, {before.commit, tm.commit}, {before.rpc, tm.rpc}} {
			if pair[0] >= pair[1] {
				t.Errorf("%s: %v is not longer than %v of %s", name, pair[1], pair[0], order[i-1])
			}
		}
	}
	lan, err := timingByName("")
	if err != nil || lan != timings["lan"] {
		t.Errorf("the default is %+v, %v", lan, err)
	}
	for _, name := range []string{"LAN", "custom", "slow", " "} {
		if _, err := timingByName(name); err == nil {
			t.Errorf("%q is a timing", name)
		}
	}
	if !slices.IsSorted([]time.Duration{timings["fast"].noLeader(), timings["lan"].noLeader(), timings["wan"].noLeader()}) {
		t.Error("writes give up sooner on a slower network")
	}
}
