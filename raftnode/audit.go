package raftnode

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Self-audit. At each checkpoint, an entry that the leader adds every checkpointEvery while anything changes, every node notes the digest of its state. Then each asks the voters for theirs at the
// same entry, and judges itself: the majority is right, not the leader. So a leader whose own state is wrong finds out as well as a follower does. What a node says that has found itself wrong counts for
// nobody. A round costs each node one small request to each voter, and nothing while the group is idle.
//
// From a wrong change to the verdict: checkpointEvery, auditLook, and the answers of a majority, which take a round trip; memberWait when that majority does not answer at once.

const (
	// auditLook is how often a node looks for a new checkpoint.
	auditLook = 100 * time.Millisecond
	// auditWait bounds one round of questions.
	auditWait = time.Second
	// firstCheckpoint is how long a node that has just started waits for a checkpoint that it can compare before it asks the leader for one, firstTries how often it asks: an idle group
	// has none, and the others may have forgotten the last.
	firstCheckpoint, firstTries = 2 * time.Second, 3
)

// audit is what a node knows of its own soundness.
type audit struct {
	confined confinement
	images   images
	progress progress
	mending  sync.Mutex // one mending at a time
	record   auditRecord
	hold     holdings
}

// runAudit judges this node at each checkpoint until ctx ends.
func (n *Node) runAudit(ctx context.Context) {
	tick := time.NewTicker(auditLook)
	defer tick.Stop()
	var judged uint64
	sure, tries, asked := false, 0, time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch point := n.state.Checkpoint(); {
		case point.Index != 0 && point.Index != judged:
			judged = point.Index
			sure = n.auditAt(ctx, point) != verdictOpen || sure
		case !sure && tries < firstTries && time.Since(asked) > firstCheckpoint:
			asked = time.Now()
			if at, _ := n.watch.get(); at.known && n.state.Group() != nil {
				tries++
				if _, err := n.askCheckpoint(ctx, false); err != nil {
					n.log.Debug("ask for a checkpoint", "error", err)
				}
			}
		}
	}
}

// auditAt judges this node by the digests at one checkpoint.
func (n *Node) auditAt(ctx context.Context, point fsm.CheckpointRecord) auditVerdict {
	began := time.Now()
	ballot := n.collect(ctx, point)
	v := ballot.verdict()
	n.met.audits.WithLabelValues(string(v)).Inc()
	n.met.auditTime.Observe(time.Since(began).Seconds())
	if ctx.Err() != nil {
		return verdictOpen
	}
	switch v {
	case verdictEqual:
		n.free(CauseDiverged, "its state is that of the group again")
		n.free(CauseDiffers, "its state is that of the group")
		n.sound()
	case verdictDiverged:
		n.diverged(ballot)
	case verdictDiffers:
		if n.audit.confined.of(CauseDiverged) != nil {
			break // more is known already
		}
		n.confine(Quarantine{Cause: CauseDiffers, Index: point.Index, Text: fmt.Sprintf("its state is not the leader's as of log index %d, and no majority answers that could tell which is right: "+
			"bring the other nodes back, or have it take the leader's with 'holdfast node resync %s'", point.Index, n.opt.Name)})
	case verdictOpen:
		n.free(CauseDiffers, "it is not known any more to differ from the leader")
	}
	n.reportOthers(ballot)
	return v
}

// reportOthers has the leader's log say which other nodes are wrong, once for each time that it is found.
func (n *Node) reportOthers(b ballot) {
	right, _, ok := b.majority()
	if n.lead.Load() == nil || !ok {
		return
	}
	for _, a := range b.answers {
		if a.known && a.digest != right && n.audit.record.told(a.id) {
			n.log.Error("another node has a state that is not the group's: it takes itself out of service", "member", nameOf(a.id), "index", b.point.Index)
		}
		if a.known && a.digest == right {
			n.audit.record.untold(a.id)
		}
	}
}

// collect asks the other voters for their digests at a checkpoint, until a majority has said the same.
func (n *Node) collect(ctx context.Context, point fsm.CheckpointRecord) ballot {
	ctx, cancel := context.WithTimeout(ctx, auditWait)
	defer cancel()
	others, votes := n.otherVoters()
	b := ballot{point: point, voters: len(others)}
	if votes {
		b.voters++
		b.counts = n.audit.confined.of(CauseDiverged) == nil
	}
	at, _ := n.watch.get()
	b.leader, b.leads = at.id, at.self
	answers := make(chan ballotAnswer, len(others))
	for _, s := range others {
		go func() {
			a, err := n.askDigest(ctx, s, point.Index)
			answers <- ballotAnswer{server: s, id: s.ID, digest: a.Digest, known: err == nil && a.Known, counts: a.Counts}
		}()
	}
	for range others {
		select {
		case a := <-answers:
			b.answers = append(b.answers, a)
		case <-ctx.Done():
			return b
		}
		// A leader that is right hears everybody out, for its log.
		if right, _, ok := b.majority(); ok && (!b.leads || right != point.Digest) {
			return b
		}
	}
	return b
}

// digestAnswer is what a node says of its state at a checkpoint.
type digestAnswer struct {
	Digest fsm.Digest `json:"digest"`
	// Known: it has a digest for that checkpoint. Counts: it has not found itself wrong.
	Known  bool `json:"known"`
	Counts bool `json:"counts"`
	// Applied is up to where it has applied the log.
	Applied uint64 `json:"applied"`
}

func (n *Node) askDigest(ctx context.Context, s raft.Server, index uint64) (a digestAnswer, err error) {
	b, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callDigest, encodeIndex(index))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return digestAnswer{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	return a, nil
}

// handleDigest waits until this node has applied the checkpoint that is asked for. Index 0 asks for none.
func (n *Node) handleDigest(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	index, err := decodeIndex(payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	a := digestAnswer{Counts: n.audit.confined.of(CauseDiverged) == nil}
	if index > n.state.Applied() {
		wait, cancel := context.WithTimeout(ctx, auditWait/2)
		_ = waitApplied(wait, n.state, &n.applied, index) // what it has not applied it does not know
		cancel()
	}
	a.Digest, a.Known = n.state.CheckpointAt(index)
	a.Applied = n.state.Applied()
	return encodeJSON(a), nil
}
