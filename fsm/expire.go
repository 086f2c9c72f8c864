package fsm

import (
	"fmt"
	"math"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// defaultIdle is the idle time of sessions whose instance is configured no more, or with none.
const defaultIdle = 30 * time.Minute

// idleLimits says after how many milliseconds without a touch a session of an instance may go, by id-1.
type idleLimits []int64

// idleLimitsOf gives one and a half times the idle time-out of each instance's cluster. The half is for touches, which
// are coarse and come late (lb: at most one for each sixteenth of the time-out, and they may wait for a quorum): a session
// goes later than its time rather than before it.
func idleLimitsOf(n *names, c *config.Config) idleLimits {
	out := make(idleLimits, len(n.refs))
	for i := range out {
		out[i] = idleLimit(defaultIdle)
	}
	for i := range c.Clusters {
		limit := idleLimit(time.Duration(c.Clusters[i].Affinity.IdleTimeout))
		for j := range c.Clusters[i].Instances {
			ref := InstanceRef{c.Clusters[i].Name, c.Clusters[i].Instances[j].Name}
			out[n.ids[ref]-1] = limit
		}
	}
	return out
}

func idleLimit(idle time.Duration) int64 {
	if idle <= 0 {
		idle = defaultIdle
	}
	// Rounded up twice; cannot overflow, the unit has become a million times larger.
	ms := int64((idle-1)/time.Millisecond) + 1
	return ms + (ms+1)/2
}

// over tells whether s is free to go at now (replicated, Unix ms). A free slot never is.
func (l idleLimits) over(s *slot, now int64) bool {
	return s.instance != 0 && now >= (SeenEpoch+int64(s.seen))*1000+l[s.instance-1]
}

// seenNow is the replicated time as Assignment.Seen holds it, rounded down.
func seenNow(now int64) uint32 {
	return uint32(min(max(now/1000-SeenEpoch, 0), math.MaxUint32))
}

func (r *replica) expire(c *Expire) Result {
	if c.Shard >= Shards || c.Count > Shards-c.Shard {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("shards %d and %d after it: there are %d", c.Shard, c.Count, Shards)}
	}
	n, m := r.names.Load(), r.modules.Load()
	now := r.now.Load()
	dropped := func(s *slot) {
		n.count(s.instance, -1)
		m.count(s.meta.module(), -1)
	}
	for i := c.Shard; i < c.Shard+c.Count; i++ {
		r.table.expire(&r.table.shards[i], n.limits, now, dropped)
	}
	return Result{}
}
