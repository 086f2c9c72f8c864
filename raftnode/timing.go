package raftnode

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/raft"
)

// timing is one of the three sets of intervals. The lease is always shorter than the election time-out, so that a leader
// that is cut off has stepped down before another one can be elected.
type timing struct {
	heartbeat time.Duration // a follower waits 1 to 2 of these before it stands for election
	election  time.Duration
	lease     time.Duration // a leader without a majority for so long steps down
	commit    time.Duration // at most 2 of these until an idle follower learns of the last commit
	rpc       time.Duration // dial and answer of one Raft message
}

var timings = map[string]timing{
	"lan":  {heartbeat: 250 * time.Millisecond, election: 250 * time.Millisecond, lease: 200 * time.Millisecond, commit: 5 * time.Millisecond, rpc: 1500 * time.Millisecond},
	"wan":  {heartbeat: time.Second, election: time.Second, lease: 500 * time.Millisecond, commit: 20 * time.Millisecond, rpc: 5 * time.Second},
	"fast": {heartbeat: 60 * time.Millisecond, election: 60 * time.Millisecond, lease: 50 * time.Millisecond, commit: 4 * time.Millisecond, rpc: time.Second},
}

func timingByName(name string) (timing, error) {
	if name == "" {
		name = "lan"
	}
	t, ok := timings[name]
	if !ok {
		return timing{}, fmt.Errorf("timing %q is none of lan, wan, fast", name)
	}
	return t, nil
}

// noLeader is how long a group may be without a leader before writes are refused.
func (t timing) noLeader() time.Duration { return 3 * t.election }

// poll is how often the leader is looked at between Raft's own notices, some of which it does not give.
func (t timing) poll() time.Duration { return max(t.election/8, 5*time.Millisecond) }

// attempt bounds one request to a leader that does not answer although it sends heartbeats.
func (t timing) attempt() time.Duration { return max(3*time.Second, 6*t.election) }

const (
	// A catch-up message holds at most so many entries: of the largest (4,096 operations of 28 bytes) it is 29 MB.
	maxAppendEntries = 256
	logCacheEntries  = 256
)

// raftConfig leaves log and channel to the caller.
func (t timing) raftConfig(id raft.ServerID) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = id
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = t.heartbeat, t.election, t.lease, t.commit
	c.MaxAppendEntries = maxAppendEntries
	c.BatchApplyCh = true
	c.SnapshotThreshold = 65536
	c.SnapshotInterval = 30 * time.Second
	c.TrailingLogs = 20480
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	// Restores are done by replay (see there): raft's own ways lose the membership and can lock up.
	c.NoSnapshotRestoreOnStart = true
	c.RestoreCommittedLogs = true // makes raft stage the commit index, which replay reads
	return c
}

// jitter spreads d over 0.5 to 1.5 of itself, so that nodes that failed together do not retry together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}

// backoff doubles from base to limit and is reset by a success. Not safe for use by two goroutines.
type backoff struct {
	base, limit, cur time.Duration
}

func (b *backoff) next() time.Duration {
	b.cur = min(max(2*b.cur, b.base), b.limit)
	return jitter(b.cur)
}

func (b *backoff) reset() { b.cur = 0 }
