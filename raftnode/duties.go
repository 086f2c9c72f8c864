package raftnode

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

const (
	// checkpointEvery bounds how long a wrong state goes unnoticed (audit.go): it costs an entry of about a hundred bytes each time, while anything changes.
	checkpointEvery = time.Second
	sweepEvery      = time.Minute
	sweepSlice      = 256 // shards in one command; divides fsm.Shards
	// defaultIdle is the idle time of sessions whose cluster is configured no more (see fsm).
	defaultIdle = 30 * time.Minute
)

// until waits d and tells whether the term still lasts.
func (l *leadership) until(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// command proposes a leader's own command, in this term only.
func (n *Node) command(l *leadership, c fsm.Command) (fsm.Result, error) {
	if l.ctx.Err() != nil {
		return fsm.Result{}, n.notLeader()
	}
	r, err := n.apply(func(now time.Time) ([]byte, error) { return fsm.Encode(now, c) })
	if err == nil {
		n.met.commits.WithLabelValues("rare").Inc()
	}
	return r, err
}

// foundState gives a new group its secret and its authority. The first leader has the authority's key from its init string.
func (n *Node) foundState(l *leadership) {
	wait := backoff{base: 50 * time.Millisecond, limit: 2 * time.Second}
	for n.state.Group() == nil {
		ca, err := n.creds.Load().CA()
		if err != nil || ca == nil {
			n.log.Error("the group has no state yet and this node has not its authority's key; it waits for another leader", "error", err)
			return
		}
		if r, err := n.command(l, n.newGroup(ca)); err != nil {
			n.log.Debug("found the group", "error", err)
		} else if r.Code == fsm.CodeOK {
			n.log.Info("group founded", "group", ca.GroupName, "id", ca.GroupID)
		}
		if n.state.Group() == nil && !l.until(wait.next()) {
			return
		}
	}
}

func (n *Node) newGroup(ca *pki.CA) *fsm.GroupInit {
	c := &fsm.GroupInit{Group: fsm.Group{
		ID: ca.GroupID, Name: ca.GroupName, Epoch: 1, Secret: make([]byte, 32), CACert: ca.CertDER, CAKey: ca.KeyDER,
		Created: n.opt.Now().UTC().Truncate(time.Millisecond),
	}}
	if n.knows() > fsm.BaseSchema { // all founders know it
		c.Schema = n.knows()
	}
	rand.Read(c.RequestID[:])
	rand.Read(c.Group.Secret)
	return c
}

// checkpoints has all nodes compare their digests. A checkpoint carries the digest at the one before too, so that a node which reaches nobody else can hold its own against the leader's; for that
// two are needed after the last change. Then there is silence until the next change. (The digest itself does not tell a change: it covers the replicated time, which each entry moves.)
func (n *Node) checkpoints(l *leadership) {
	var index uint64 // of the last checkpoint of this term
	streak := 0      // checkpoints with nothing between them
	for l.until(checkpointEvery) {
		if n.state.Applied() != index {
			streak = 0
		} else if streak >= 2 {
			continue
		}
		at, err := n.checkpoint(l, false)
		if err != nil {
			n.log.Debug("checkpoint", "error", err)
			continue
		}
		index = at
		streak++
	}
}

// checkpoint adds one, and gives its index. It sees in the state that it is there, and does not wait for raft's answer: there is one each second, so that one may well be under way when a disk hangs for
// ever, and then that answer never comes.
func (n *Node) checkpoint(l *leadership, hold bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(l.ctx, n.timing.attempt())
	defer cancel()
	if ctx.Err() != nil {
		return 0, n.notLeader()
	}
	last := n.state.Checkpoint()
	c := &fsm.Checkpoint{PrevIndex: last.Index, PrevDigest: last.Digest, Hold: hold}
	if _, err := n.hand(func(now time.Time) ([]byte, error) { return fsm.Encode(now, c) }); err != nil {
		return 0, err
	}
	for {
		changed := n.applied.wait()
		if now := n.state.Checkpoint(); now.Index > last.Index && (now.Hold || !hold) {
			n.met.commits.WithLabelValues("rare").Inc()
			return now.Index, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, timeout(ctx)
		}
	}
}

// expireIdle drops the sessions that have been idle for too long, a slice of the table at a time.
func (n *Node) expireIdle(l *leadership) {
	for l.until(sweepEvery) {
		if !n.anyIdle() {
			continue
		}
		for shard := uint32(0); shard < fsm.Shards; shard += sweepSlice {
			if _, err := n.command(l, &fsm.Expire{Shard: shard, Count: sweepSlice}); err != nil {
				n.log.Debug("sweep idle sessions", "error", err)
				break
			}
		}
	}
}

// anyIdle looks for a session that a sweep could drop, so that a table in use costs no log entries. It may say yes too
// early; whether a session goes is decided when the command is applied.
func (n *Node) anyIdle() bool {
	if n.state.Len() == 0 {
		return false
	}
	idle := make(map[fsm.InstanceID]time.Duration)
	now := n.GroupTime()
	found, _ := n.state.Scan(0, 1, func(_ fsm.Key, a fsm.Assignment) bool {
		limit, ok := idle[a.Instance]
		if !ok {
			limit = defaultIdle
			if ref, known := n.state.InstanceRef(a.Instance); known {
				limit = clusterIdle(n.state.Revision().Config, ref.Cluster)
			}
			idle[a.Instance] = limit
		}
		return now.Sub(a.SeenAt()) >= limit
	})
	return len(found) > 0
}

func clusterIdle(c *config.Config, cluster string) time.Duration {
	for i := range c.Clusters {
		if idle := time.Duration(c.Clusters[i].Affinity.IdleTimeout); c.Clusters[i].Name == cluster && idle > 0 {
			return idle
		}
	}
	return defaultIdle
}
