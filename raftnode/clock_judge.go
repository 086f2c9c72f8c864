package raftnode

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// clockWait bounds the question for the other nodes' clocks when a term begins: entries wait for the answer.
	clockWait = 300 * time.Millisecond
	// clockPause is the shortest time between two such questions of a term.
	clockPause = time.Second
)

// GroupTime is the group's time (replicated time) as this node knows it: on a node that leads, what its next entry gets. The state's own stands
// still while nothing is written.
func (n *Node) GroupTime() time.Time {
	now, _ := n.clock.now()
	if state := n.state.Now(); state.After(now) {
		return state
	}
	return now
}

// settleClock has the group's clock judged if this node's wall clock contradicts it, or nothing is known of it yet.
func (n *Node) settleClock(ctx context.Context) {
	was, sure := n.clock.now()
	if sure {
		return
	}
	offset := n.askClocks(ctx)
	if ctx.Err() != nil {
		return
	}
	n.clock.adopt(offset)
	if off := n.clock.correction(); off != 0 {
		n.log.Warn("the clock of this node is not the group's time, which goes on as it was: synchronise the clocks of all nodes (NTP)",
			"difference", (-off).Round(time.Millisecond), "group time", n.GroupTime().UTC())
	} else if step := n.GroupTime().Sub(was); step > maxStep {
		n.log.Warn("the group's time moves on to what the clocks of most nodes say", "step", step.Round(time.Millisecond))
	}
}

// watchClock does so again during the term, whenever an entry found the clock wrong.
func (n *Node) watchClock(l *leadership) {
	for {
		select {
		case <-n.doubt:
			n.settleClock(l.ctx)
		case <-l.ctx.Done():
			return
		}
		if !l.until(clockPause) {
			return
		}
	}
}

// askClocks asks the other voters until their answers decide, or for clockWait.
func (n *Node) askClocks(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, clockWait)
	defer cancel()
	servers := n.membership().Servers
	answers := make(chan *clockVote, len(servers))
	voters, asked := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == *n.id.Load() {
			continue
		}
		asked++
		go func() { answers <- n.askClock(ctx, s) }()
	}
	votes := []clockVote{clockVoteOf(n.opt.Now(), n.clock.said(), n.opt.Now())}
	for {
		offset, sure := judge(votes, voters)
		if sure || asked == 0 {
			return offset
		}
		if v := <-answers; v != nil {
			votes = append(votes, *v)
		}
		asked--
	}
}

// askClock gives nil for a node that does not answer.
func (n *Node) askClock(ctx context.Context, s raft.Server) *clockVote {
	start := time.Now()
	info, err := n.askInfo(ctx, string(s.Address), nameOf(s.ID))
	if err != nil {
		return nil
	}
	// The answer was made somewhere between; the node's clock then is compared with this one's at half time.
	v := clockVoteOf(info.Now, info.GroupTime, n.opt.Now().Round(0).Add(-time.Since(start)/2))
	return &v
}

func clockVoteOf(wall, group, own time.Time) clockVote {
	own = own.Round(0)
	v := clockVote{wall: wall.Round(0).Sub(own), heard: !group.IsZero()}
	if v.heard {
		v.group = group.Sub(own)
	}
	return v
}
