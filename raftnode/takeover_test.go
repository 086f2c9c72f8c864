package raftnode

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/calm"
)

// vanish is what the others see when the node's process is killed: the kernel closes its connections and its port. In this process the node goes on, but
// nobody reaches it any more, nor it anybody.
func (m *member) vanish() {
	n := m.node
	if l := n.port.Load(); l != nil {
		l.close()
	}
	_ = n.stream.Close()
	n.server.mu.Lock()
	for c := range n.server.conns {
		_ = c.Close()
	}
	n.server.mu.Unlock()
	n.pool.close()
}

// watched is a group whose OnElected is watched. before, if any, runs on the open nodes.
func watched(t testing.TB, size int, timing string, before func(g group)) (group, <-chan Succession) {
	t.Helper()
	g := expectTimed(t, size, timing)
	out := make(chan Succession, 64)
	for _, m := range g {
		m.node.OnElected(func(_ context.Context, s Succession) { out <- s })
	}
	if before != nil {
		before(g)
	}
	for _, m := range g {
		m.run()
	}
	g.ready()
	return g, out
}

func next(t testing.TB, c <-chan Succession) Succession {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is elected")
	}
	return Succession{}
}

// figure gives the median and the worst of some repeats.
func figure(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("median %v, worst %v of %d", took[len(took)/2].Round(time.Millisecond/10), took[len(took)-1].Round(time.Millisecond/10), len(took))
}

// judged are the profiles that a test can try on this build.
func judged(profiles ...string) []string {
	if slowed {
		return slices.DeleteFunc(profiles, func(p string) bool { return p == "fast" })
	}
	return profiles
}

// TestDeadLeaderIsSucceededAtOnce measures from the end of the leader's connections and port to the successor's OnElected. No time-out of a profile is in it.
func TestDeadLeaderIsSucceededAtOnce(t *testing.T) {
	for _, timing := range judged("lan", "wan", "fast") {
		t.Run(timing, func(t *testing.T) {
			var took []time.Duration
			for range 7 {
				g, elected := watched(t, 3, timing, nil)
				g.configure()
				first := next(t, elected)
				for len(elected) > 0 { // a busy machine
					first = <-elected
				}
				old := g.leader()
				start := time.Now()
				old.vanish()
				s := next(t, elected)
				took = append(took, time.Since(start))
				if s.Previous != old.opt.Name || s.PreviousTerm != first.Term || s.Term <= first.Term || s.Planned || s.LastContact.IsZero() || s.Index == 0 {
					t.Errorf("succession %+v of %s in term %d", s, old.opt.Name, first.Term)
				}
				for _, m := range g {
					m.halt()
				}
			}
			t.Logf("%s: from the leader's death to the successor's OnElected: %s", timing, figure(took))
			if wan := timings["wan"].heartbeat; !slowed && timing == "wan" && took[len(took)/2] > wan/2 {
				t.Errorf("%v for a leader that is known to be dead, with a time-out of %v", took[len(took)/2], wan)
			}
		})
	}
}

// TestSilentLeaderIsSucceeded cuts the leader off without a word. Raft's own timer, which is random, would need two time-outs on average.
func TestSilentLeaderIsSucceeded(t *testing.T) {
	for _, timing := range judged("lan", "fast") {
		t.Run(timing, func(t *testing.T) {
			var took []time.Duration
			for range 7 {
				var w *wires
				g, elected := watched(t, 3, timing, func(g group) { w = wire(g) })
				next(t, elected)
				for len(elected) > 0 {
					<-elected
				}
				old := g.leader()
				start := time.Now()
				w.isolate(g, old, true)
				s := next(t, elected)
				took = append(took, time.Since(start))
				if s.Previous != old.opt.Name || s.LastContact.IsZero() || time.Since(s.LastContact) < timings[timing].heartbeat {
					t.Errorf("succession %+v of %s", s, old.opt.Name)
				}
				w.heal()
				for _, m := range g {
					m.halt()
				}
			}
			t.Logf("%s: from the cut to the successor's OnElected: %s, time-out %v", timing, figure(took), timings[timing].heartbeat)
			if !slowed && timing == "lan" && took[len(took)/2] > timings[timing].heartbeat*3/2 {
				t.Errorf("median %v", took[len(took)/2])
			}
		})
	}
}

// challengesOf counts how challenges have ended, on all nodes of g.
func challengesOf(t testing.TB, g group, c cause, outcome string) (n float64) {
	t.Helper()
	for _, m := range g {
		families, err := m.node.opt.Registerer.(*prometheus.Registry).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, one := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range one.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if f.GetName() == "holdfast_raft_challenges_total" && labels["cause"] == c.String() && labels["outcome"] == outcome {
					n += one.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// dropLinks closes every connection that the other has opened to this node.
func (m *member) dropLinks() {
	n := m.node
	n.server.mu.Lock()
	for c := range n.server.conns {
		_ = c.Close()
	}
	n.server.mu.Unlock()
	n.stream.mu.Lock()
	for c := range n.stream.conns {
		_ = c.Close()
	}
	n.stream.mu.Unlock()
}

// TestResetConnectionsAreNoDeath: a leader whose connections were only reset goes on.
func TestResetConnectionsAreNoDeath(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g := startGroup(t, 3)
		a, _ := g.configure()
		leader, term := g.leader(), g.leader().node.currentTerm()
		for range 3 {
			for _, m := range g.followers() {
				m.dropLinks()
			}
		}
		g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
		if now := leader.node.currentTerm(); now != term || g.leader() != leader {
			t.Errorf("term %d after %d, for connections that were reset", now, term)
		}
		if n := challengesOf(t, g, causeDead, challengeStood); n != 0 {
			t.Errorf("%v nodes stood for election", n)
		}
	})
}

// TestRefusalBetweenTwoNodesIsNoDeath: a firewall that rejects between the leader and one follower looks like a death to that one alone.
func TestRefusalBetweenTwoNodesIsNoDeath(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g := startGroup(t, 3)
		leader, term := g.leader(), g.leader().node.currentTerm()
		victim := g.followers()[0]
		victim.node.probes.dial = func(context.Context, string) (*tls.Conn, error) {
			return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
		}
		within(t, 20*time.Second, "the follower does not doubt", func() bool {
			victim.dropLinks()
			victim.node.challenge(causeDead, lost{raft.ServerID(leader.node.ID()), term})
			return challengesOf(t, g, causeDead, challengeUnconfirmed)+challengesOf(t, g, causeDead, challengeAlive)+challengesOf(t, g, causeDead, challengeOvertaken) > 0
		})
		if now := leader.node.currentTerm(); now != term || challengesOf(t, g, causeDead, challengeStood) != 0 {
			t.Errorf("term %d after %d", now, term)
		}
	})
}

// TestOneElectionForALostLeader: what has led to an election in a term does not lead to another one.
func TestOneElectionForALostLeader(t *testing.T) {
	g := startGroup(t, 3)
	old := g.leader()
	l := lost{raft.ServerID(old.node.ID()), old.node.currentTerm()}
	rest := g.followers()
	old.vanish()
	within(t, 20*time.Second, "nobody leads", func() bool { return rest[0].node.lead.Load() != nil || rest[1].node.lead.Load() != nil })
	now := rest.leader()
	term := now.node.currentTerm()
	for range 20 {
		for _, m := range rest {
			m.node.challenge(causeDead, l)
			m.node.challenge(causeSilent, l)
			err := m.node.trans.stand(ctxFor(t, 5*time.Second), order{lost: l, still: func() bool { return true }})
			if !errors.Is(err, errOvertaken) {
				t.Errorf("%s stands for a leader of term %d in term %d: %v", m.opt.Name, l.term, m.node.currentTerm(), err)
			}
		}
	}
	if rest.leader().node.currentTerm() != term {
		t.Errorf("term %d after %d", rest.leader().node.currentTerm(), term)
	}
}

// TestLeadersWord: what the one that is asked says of itself. A process that was started again at the same address does not lead.
func TestLeadersWord(t *testing.T) {
	g := startGroup(t, 3)
	leader, other := g.leader(), g.followers()[0]
	term := leader.node.currentTerm()
	ask := func(m *member, l lost) verdict {
		t.Helper()
		b, err := m.node.handleGone(ctxFor(t, 5*time.Second), caller{other.opt.Name, raft.ServerID(other.node.ID())}, goneRequest{cause: causeDead, lost: l}.encode())
		v, derr := decodeVerdict(b)
		if err != nil || derr != nil {
			t.Fatalf("%v, %v", err, derr)
		}
		return v
	}
	if v := ask(leader, lost{raft.ServerID(leader.node.ID()), term}); v != verdictNo {
		t.Errorf("the leader says %d of itself", v)
	}
	follower := g.followers()[1]
	self := raft.ServerID(follower.node.ID())
	if v := ask(follower, lost{self, term}); v != verdictGo {
		t.Errorf("a node that does not lead says %d of itself", v)
	}
	now, err := bootTime()
	if err != nil {
		t.Fatal(err)
	}
	follower.node.trans.ownLease.Store(now + int64(time.Minute))
	if v := ask(follower, lost{self, term}); v != verdictNo {
		t.Errorf("a node that stepped down and holds still says %d of itself", v)
	}
}

// TestRestartedNodeKeepsItsWord: before its restart it may have vouched for a leader.
func TestRestartedNodeKeepsItsWord(t *testing.T) {
	var r *raft.Raft
	tm := timings["wan"]
	fresh := newPeerTransport(nil, tm, 0, func() *raft.Raft { return r }, nil)
	again := newPeerTransport(nil, tm, tm.heartbeat, func() *raft.Raft { return r }, nil)
	if fresh.bound() || !again.bound() {
		t.Errorf("bound: a new node %v, one that comes back %v", fresh.bound(), again.bound())
	}
	again.started = again.started.Add(-tm.heartbeat)
	if again.bound() {
		t.Error("bound for longer than a time-out")
	}
	answer := make(chan raft.RPCResponse, 1)
	fresh.ownLease.Store(1 << 62)
	fresh.pass(t.Context(), raft.RPC{Command: &raft.RequestVoteRequest{Term: 9}, RespChan: answer})
	if a := <-answer; !errors.Is(a.Error, errBound) { // raft, that would answer otherwise, does not run
		t.Errorf("a vote while this node holds: %+v", a)
	}
	fresh.pass(t.Context(), raft.RPC{Command: &raft.RequestPreVoteRequest{Term: 9}, RespChan: answer})
	if a := <-answer; !errors.Is(a.Error, errBound) {
		t.Errorf("a pre-vote while this node holds: %+v", a)
	}
	go fresh.pass(t.Context(), raft.RPC{Command: &raft.RequestVoteRequest{Term: 9, LeadershipTransfer: true}, RespChan: answer})
	rpc := <-fresh.rpcs
	if fresh.mayHold(1 << 62) {
		t.Error("a lease while a vote may be under way")
	}
	rpc.Respond(nil, nil)
	<-answer
	within(t, 5*time.Second, "no lease after a vote", func() bool { return fresh.mayHold(1 << 62) })
}
