package raftnode

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// timing is one of the three sets of intervals. What they have to do with each other is in timing_sum.go.
type timing struct {
	heartbeat time.Duration // a follower that has not heard of its leader for so long may vote for another one, or stand for election itself
	election  time.Duration
	lease     time.Duration // a leader without a majority for so long steps down; what is held by Lease goes then too
	roundTrip time.Duration // reserve between the two: clocks that drift, timers that are late
	drop      time.Duration // reserve: to take off what is held by Lease
	renew     time.Duration // between two calls of Lease
	commit    time.Duration // at most 2 of these until an idle follower learns of the last commit
	rpc       time.Duration // dial and answer of one Raft message
	stall     time.Duration // a write to the disk that takes longer has stalled, unless it is slow anyway: see stallBound
	hung      time.Duration // one that takes longer will never end
}

var timings = map[string]timing{
	"lan": {heartbeat: 400 * time.Millisecond, election: 400 * time.Millisecond, lease: 320 * time.Millisecond, roundTrip: 20 * time.Millisecond,
		drop: 60 * time.Millisecond, renew: 20 * time.Millisecond, commit: 5 * time.Millisecond, rpc: 1500 * time.Millisecond,
		stall: time.Second, hung: 30 * time.Second},
	"wan": {heartbeat: time.Second, election: time.Second, lease: 750 * time.Millisecond, roundTrip: 100 * time.Millisecond,
		drop: 150 * time.Millisecond, renew: 100 * time.Millisecond, commit: 20 * time.Millisecond, rpc: 5 * time.Second,
		stall: 2 * time.Second, hung: 30 * time.Second},
	"fast": {heartbeat: 80 * time.Millisecond, election: 80 * time.Millisecond, lease: 60 * time.Millisecond, roundTrip: 4 * time.Millisecond,
		drop: 16 * time.Millisecond, renew: 5 * time.Millisecond, commit: 4 * time.Millisecond, rpc: time.Second,
		stall: 250 * time.Millisecond, hung: 30 * time.Second},
}

func timingByName(name string) (timing, error) {
	if name == "" {
		name = "lan"
	}
	t, ok := timings[name]
	if !ok {
		return timing{}, fmt.Errorf("timing %q is none of lan, wan, fast", name)
	}
	return t, t.sum().check()
}

// leaseBy is how long after its last contact a voter's word lets this node hold, when that voter votes for another one so long after that contact. 0: the lease would
// be over before a second question for it. One that waits longer than this node's own profile says does not lengthen it.
func (t timing) leaseBy(takeover time.Duration) time.Duration {
	if d := min(t.lease, takeover-t.roundTrip-t.drop); d > 2*t.renew {
		return d
	}
	return 0
}

// longestTakeover is that of all profiles.
func longestTakeover() (longest time.Duration) {
	for _, t := range timings {
		longest = max(longest, t.heartbeat)
	}
	return longest
}

// profileOf names the profile with that take-over time.
func profileOf(takeover time.Duration) string {
	for name, t := range timings {
		if t.heartbeat == takeover {
			return name
		}
	}
	return fmt.Sprintf("take-over after %v", takeover)
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

// stagger is what a node that may stand for election gives one that has more right to.
func (t timing) stagger() time.Duration { return max(t.heartbeat/20, 5*time.Millisecond) }

// keepWord is for how long a node that finds the leader gone keeps its word to another one: as long as it would wait for a sign of life of that one as the leader.
func (t timing) keepWord() time.Duration { return t.heartbeat }

// patience is how long a node waits for one that has more right to stand and does not.
func (t timing) patience() time.Duration { return max(t.heartbeat/4, 10*time.Millisecond) }

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
	if failpoint.Built { // so that a short test compacts the log
		c.TrailingLogs = 64
	}
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
