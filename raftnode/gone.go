package raftnode

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// A follower that finds its leader gone need not wait for raft's timer, which is random. It asks the other voters, and when a majority of all finds the same
// it has its own raft stand for election at once (peerTransport.begin). Two things count:
//
// Dead: the leader's connections have ended and its peer port refuses new ones. The kernel does that for a process that ends, however it does; and a port
// that a guard of that process holds too is refused only when the guard has let go. So others vote although they may have heard of that leader just now. A
// firewall between two nodes looks the same to one of them, not to a majority.
//
// Silent: nothing was heard for a heartbeat time-out. Each voter decides by what it has heard itself when the request for its vote comes
// (peerTransport.passVote). That is what raft does, without its random wait: there the second of two followers to lose patience decides, about two
// time-outs after the leader was heard of last.
//
// When several stand at once they split the votes, and raft's own timer has to mend that. So the one with the longer log goes, or that which comes first by its id, and
// the others give it their word not to stand themselves meanwhile (word). They ask again after a stagger, and when the one with more right gets nowhere another one claims.

// The outcomes of a challenge, for the metric.
const (
	challengeStood       = "stood"       // for election
	challengeAlive       = "alive"       // the leader answers
	challengeUnconfirmed = "unconfirmed" // no majority finds so
	challengeOvertaken   = "overtaken"   // another node was first, or the leader came back
)

// linksEnded is told that a peer has no connection to this node any more.
func (n *Node) linksEnded(id raft.ServerID) {
	r := n.raft.Load()
	if r == nil {
		return
	}
	if _, leader := r.LeaderWithID(); leader == id && r.State() == raft.Follower {
		n.challenge(causeDead, lost{id, r.CurrentTerm()})
	}
}

// watchSilence challenges a leader that has not been heard of for a heartbeat time-out.
func (n *Node) watchSilence(ctx context.Context) {
	for {
		wait := n.timing.heartbeat
		if r := n.raft.Load(); r != nil {
			silence := n.silence()
			if silence < wait {
				wait -= silence
			} else if _, leader := r.LeaderWithID(); leader != "" && r.State() == raft.Follower {
				n.challenge(causeSilent, lost{leader, r.CurrentTerm()})
				wait /= 2
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// challenge begins one, unless it is under way or this node has stood in that term already.
func (n *Node) challenge(c cause, l lost) {
	s := &n.challenges
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run[c] || l.term <= s.stood || !n.mayStand() {
		return
	}
	if s.run == nil {
		s.run = make(map[cause]bool)
	}
	s.run[c] = true
	n.goRun(func(ctx context.Context) {
		outcome := n.runChallenge(ctx, c, l)
		n.met.challenges.WithLabelValues(c.String(), outcome).Inc()
		n.log.Debug("the leader was challenged", "leader", nameOf(l.leader), "term", l.term, "cause", c.String(), "outcome", outcome)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.run, c)
	})
}

func (n *Node) runChallenge(ctx context.Context, c cause, l lost) (outcome string) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.heartbeat)
	defer cancel()
	r := n.raft.Load()
	n.warmVotes(l.leader)
	if !n.confirms(ctx, c, l) {
		return challengeAlive
	}
	self := *n.id.Load()
	var yielded time.Time // since when
	claim := false
	for {
		if !n.isLost(r, l) || r.State() != raft.Follower {
			return challengeOvertaken
		}
		wait := n.timing.stagger()
		if n.challenges.free(l.term, self) {
			switch n.askGone(ctx, r, goneRequest{cause: c, claim: claim, lost: l, last: n.lastPosition(r)}) {
			case adviceStand:
				if n.challenges.take(l.term, self, n.timing.keepWord()) {
					return n.stand(ctx, c, l)
				}
			case adviceClaim:
				claim = true
				continue
			case adviceYield:
				if yielded.IsZero() {
					yielded = time.Now()
				}
				claim = time.Since(yielded) >= n.timing.patience()
			case adviceWait:
				wait = askAgain
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return challengeUnconfirmed
		}
	}
}

// stand makes this node a candidate if it is still as it was. The challenge is taken.
func (n *Node) stand(ctx context.Context, c cause, l lost) string {
	still := func() bool { return n.links.none(l.leader) }
	if c == causeSilent {
		still = func() bool { return n.silence() >= n.timing.heartbeat }
	}
	if err := n.trans.stand(ctx, order{lost: l, still: still, silent: c == causeSilent}); err != nil {
		if errors.Is(err, errOvertaken) {
			n.challenges.untake(l.term)
		}
		return challengeOvertaken
	}
	n.log.Info("standing for election: the leader is gone", "leader", nameOf(l.leader), "term", l.term, "cause", c.String())
	return challengeStood
}

// askAgain is the pause before nodes are asked again that could not be reached, or do not find so yet.
const askAgain = 3 * time.Millisecond

// advice is what the answers of the others come to.
type advice int

const (
	adviceWait  advice = iota // too few find so
	adviceYield               // another one has more right to stand, or does
	adviceClaim               // a majority finds so, but not all have given their word
	adviceStand
)

// askGone asks the other voters. This node shall stand when a majority of all, with this one, finds the leader gone, and nobody has more right to.
func (n *Node) askGone(ctx context.Context, r *raft.Raft, g goneRequest) advice {
	ctx, cancel := context.WithTimeout(ctx, max(n.timing.heartbeat/4, 10*time.Millisecond))
	defer cancel()
	others, votes := n.otherVoters()
	self := *n.id.Load()
	if !votes || g.claim && !n.challenges.claim(g.lost.term, self, n.timing.keepWord()) {
		return adviceWait
	}
	answers, asked := n.sendGone(ctx, others, g)
	need := (len(others) + 1) / 2 // besides this node: a majority of them all
	if !g.claim {
		return gatherWill(ctx, answers, asked, need, n.timing.stagger()/2)
	}
	a := gatherClaim(ctx, answers, asked, need)
	if a != adviceStand {
		n.challenges.unclaim(g.lost.term, self)
	}
	return a
}

// gatherWill is what answers come to, of which one may be that another node has more right. After need of them the others, which may be down, have wait.
func gatherWill(ctx context.Context, answers <-chan verdict, asked, need int, wait time.Duration) advice {
	var grace <-chan time.Time
	confirmed := 0
	for left := asked; left > 0; left-- {
		if confirmed >= need && grace == nil {
			grace = time.After(wait)
		}
		select {
		case v := <-answers:
			switch v {
			case verdictGo:
				confirmed++
			case verdictLonger, verdictFirst, verdictTaken:
				return adviceYield
			}
		case <-grace:
			return adviceClaim
		case <-ctx.Done():
			left = 1
		}
	}
	switch {
	case confirmed < need:
		return adviceWait
	case confirmed < asked:
		return adviceClaim
	}
	return adviceStand
}

// gatherClaim is what answers come to that give this node, and no other one, a word.
func gatherClaim(ctx context.Context, answers <-chan verdict, asked, need int) advice {
	given, none := 0, adviceWait
	for ; asked > 0 && given < need; asked-- {
		select {
		case v := <-answers:
			switch v {
			case verdictGo:
				given++
			case verdictLonger, verdictFirst, verdictTaken:
				none = adviceYield
			}
		case <-ctx.Done():
			return none
		}
	}
	if given < need {
		return none
	}
	return adviceStand
}

// sendGone gives the answers as they come; one that does not come is a no.
func (n *Node) sendGone(ctx context.Context, others []raft.Server, g goneRequest) (<-chan verdict, int) {
	request := g.encode()
	answers := make(chan verdict, len(others))
	asked := 0
	for _, s := range others {
		if s.ID == g.lost.leader {
			continue
		}
		asked++
		go func() {
			b, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callGone, request)
			if err != nil {
				answers <- verdictNo
				return
			}
			v, err := decodeVerdict(b)
			if err != nil {
				v = verdictNo
			}
			answers <- v
		}()
	}
	return answers, asked
}
