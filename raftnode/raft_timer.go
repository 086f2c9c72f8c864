package raftnode

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// ownTimer keeps raft's own timer out of the way of challenges. It is random, and has a follower that would stand, or give another its word, ask whether it may
// stand when nobody says yes yet; then it counts for nothing until its next try. So on a follower it has slack: it mends what no challenge could. A candidate
// tries again, and a leader sends heartbeats, by the profile's intervals.
func (n *Node) ownTimer(ctx context.Context, r *raft.Raft) {
	seen := make(chan raft.Observation, 16)
	obs := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	r.RegisterObserver(obs)
	defer r.DeregisterObserver(obs)
	tick := time.NewTicker(n.timing.poll()) // some changes are not observed, and observations may be lost
	defer tick.Stop()
	for {
		n.setOwnTimer(r)
		select {
		case <-seen:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// slack is how many time-outs a follower's raft waits before it acts by itself.
const slack = 2

func (n *Node) setOwnTimer(r *raft.Raft) {
	times := time.Duration(slack)
	if r.State() == raft.Follower {
		// raft looks at a shorter time-out at once, and would ask when it knows no leader. So that is for when it does.
		if _, leader := r.LeaderWithID(); leader == "" || n.silence() >= n.timing.heartbeat {
			return
		}
	} else {
		times = 1
	}
	c := r.ReloadableConfig()
	if c.HeartbeatTimeout == times*n.timing.heartbeat {
		return
	}
	if _, err := n.reload(r, func(c *raft.ReloadableConfig) {
		c.HeartbeatTimeout, c.ElectionTimeout = times*n.timing.heartbeat, times*n.timing.election
	}); err != nil {
		n.log.Error("BUG: raft does not take its time-outs", "error", err)
	}
}
