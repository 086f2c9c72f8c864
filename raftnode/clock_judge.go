package raftnode

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// clockWait bounds the question for the other nodes' clocks: when a term begins, entries wait for the answer.
	clockWait = 300 * time.Millisecond
	// clockGrace is what nodes get at least that do not answer when a majority has.
	clockGrace = 5 * time.Millisecond
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

// settleClock has the group's clock judged before anything is written in a term, if this node's wall clock contradicts it, or nothing is known of it yet. What is known
// may be behind, on a node that has just been started: what is written by it would expire too early when the time moves on. judged is false when another answer
// could change the judgement.
func (n *Node) settleClock(ctx context.Context) (judged bool) {
	if _, sure := n.clock.now(); sure {
		return true
	}
	return n.judgeClock(ctx, false)
}

// doubtClock has the clock judged soon.
func (n *Node) doubtClock() {
	select {
	case n.doubt <- struct{}{}:
	default:
	}
}

// judgeClock has the group's clock judged. onlySure takes no judgement that another answer could change: each of those may be a little too far.
func (n *Node) judgeClock(ctx context.Context, onlySure bool) (judged bool) {
	said, offset, judged := n.askClocks(ctx)
	if ctx.Err() == nil && (judged || !onlySure) {
		n.adoptClock(said, offset)
	}
	return judged
}

// adoptClock takes a judgement of what the voters have said.
func (n *Node) adoptClock(said []clockVote, offset time.Duration) {
	own := n.opt.Now().Round(0)
	was, _ := n.clock.now()
	// What this node knows may be behind: it has been started again, and what it has applied since is old. It is the group's time that moves on, or does not, and not this node's knowledge.
	for _, v := range said {
		if group := own.Add(v.group); v.heard && group.After(was) {
			was = group
		}
	}
	before := n.clock.correction()
	n.clock.adopt(offset)
	if off := n.clock.correction(); off != 0 {
		if off != before {
			n.log.Warn("the clock of this node is not the group's time, which goes on as it was: synchronise the clocks of all nodes (NTP)",
				"difference", (-off).Round(time.Millisecond), "group time", n.GroupTime().UTC())
		}
	} else if step := n.GroupTime().Sub(was); step > maxStep {
		n.log.Warn("the group's time moves on to what the clocks of most nodes say", "step", step.Round(time.Millisecond))
	}
}

// watchClock judges again during the term: whenever an entry found the clock wrong, and, after a judgement that a node which did not answer could change,
// when that may have come back.
func (n *Node) watchClock(l *leadership, judged bool) {
	pause := backoff{base: clockPause, limit: time.Minute}
	for {
		var again <-chan time.Time
		if !judged {
			again = time.After(pause.next())
		}
		select {
		case <-n.doubt:
			if _, sure := n.clock.now(); !sure {
				judged = n.judgeClock(l.ctx, false)
			}
		case <-again:
			judged = n.judgeClock(l.ctx, true)
		case <-l.ctx.Done():
			return
		}
		if judged {
			pause.reset()
		}
		if !l.until(clockPause) {
			return
		}
	}
}

// askClocks asks the other voters until their answers decide, or for clockWait. Once a majority has answered, this node among it, the others have as long again, and
// clockGrace at least: entries may wait, and one of them may be frozen.
func (n *Node) askClocks(ctx context.Context) (said []clockVote, offset time.Duration, sure bool) {
	ctx, cancel := context.WithTimeout(ctx, clockWait)
	defer cancel()
	others, votes := n.otherVoters()
	voters := len(others)
	if votes {
		voters++
	}
	answers := make(chan *clockVote, len(others))
	for _, s := range others {
		go func() { answers <- n.askClock(ctx, s) }()
	}
	start := time.Now()
	var late <-chan time.Time
	said = []clockVote{clockVoteOf(n.opt.Now(), n.clock.said(), n.opt.Now())}
	for asked := len(others); ; {
		offset, sure = judge(said, voters)
		if sure || asked == 0 {
			return said, offset, sure
		}
		if late == nil && 2*len(said) > voters {
			late = time.After(max(time.Since(start), clockGrace))
		}
		select {
		case v := <-answers:
			if v != nil {
				said = append(said, *v)
			}
			asked--
		case <-late:
			return said, offset, false
		}
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
