package raftnode

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// hangs makes a group in which one member stops applying at a key, until the returned function is called.
func hangs(t *testing.T, which func(group) *member) (g group, bad *member, goOn func()) {
	t.Helper()
	g = expectGroup(t, 3)
	var victim atomic.Pointer[member]
	gate := make(chan struct{})
	for _, m := range g {
		state := m.state
		m.node.adapter.badly = func(index uint64, entry []byte) (fsm.Result, error) {
			if ops, _, err := fsm.EntryOps(entry); err == nil && len(ops) > 0 && ops[0].Key == testKey(1) && victim.Load() == m {
				<-gate
			}
			return state.Apply(index, entry)
		}
		m.run()
	}
	g.ready()
	bad = which(g).inService()
	victim.Store(bad)
	goOn = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(goOn)
	return g, bad, goOn
}

// inService waits until the node has seen that it has caught up since its start: before that it is not stuck, whatever happens.
func (m *member) inService() *member {
	m.t.Helper()
	within(m.t, 15*time.Second, m.opt.Name+" does not find that it has caught up", m.node.audit.progress.caught.Load)
	return m
}

// freed waits for the end of a quarantine.
func (m *member) freed() {
	m.t.Helper()
	within(m.t, 15*time.Second, m.opt.Name+" stays in quarantine", func() bool { return m.node.Quarantined() == nil })
}

// TestFollowerThatDoesNotApply is in quarantine while the group goes on without it, and back when it has caught up. TIP-10, TIP-11.
func TestFollowerThatDoesNotApply(t *testing.T) {
	g, bad, goOn := hangs(t, aFollower)
	a, _ := g.configure()
	good := g.leader()
	for i := range 20 {
		good.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	within(t, stuckAfter+5*time.Second, "it is not in quarantine", func() bool { return bad.node.audit.confined.of(CauseStuck) != nil })
	q := bad.node.audit.confined.of(CauseStuck)
	if !strings.Contains(q.Text, "it has been applying") || !strings.Contains(q.Text, "restart it") || !strings.Contains(q.Text, "holdfast node remove "+bad.opt.Name) || bad.node.mayStand() {
		t.Errorf("%+v", q)
	}
	if err := good.node.Quarantined(); err != nil {
		t.Error(err)
	}
	goOn()
	bad.freed()
	g.equal()
}

// TestLeaderThatDoesNotApply commits, and answers nobody: another node leads.
func TestLeaderThatDoesNotApply(t *testing.T) {
	g, bad, goOn := hangs(t, group.leader)
	a, _ := g.configure()
	other := g.followers()[0]
	done := make(chan error, 1)
	go func() {
		_, err := other.node.Record(ctxFor(t, 25*time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
		done <- err
	}()
	within(t, stuckAfter+5*time.Second, "it is not in quarantine", func() bool { return bad.node.audit.confined.of(CauseStuck) != nil })
	within(t, 15*time.Second, "nobody else leads", func() bool { l := other.node.Leader(); return l != "" && l != bad.opt.Name })
	if err := <-done; err != nil {
		t.Errorf("what was under way: %v", err)
	}
	goOn()
	bad.freed()
	g.equal()
}

// TestFollowerThatCanHaveNothingRecorded hears its leader, and cannot reach it: known sessions would go on there, new ones would fail.
func TestFollowerThatCanHaveNothingRecorded(t *testing.T) {
	g := expectGroup(t, 3)
	var cut [3]atomic.Bool
	for i, m := range g {
		n := m.node
		dial := n.pool.dial
		n.pool.close()
		n.pool = newCallPool(func(ctx context.Context, addr, name string) (net.Conn, error) {
			if cut[i].Load() {
				return nil, errors.New("no route")
			}
			return dial(ctx, addr, name)
		})
		m.run()
	}
	g.ready()
	bad := aFollower(g).inService()
	leader := g.leader()
	for i, m := range g {
		if m == bad {
			cut[i].Store(true)
		}
	}
	bad.node.pool.drop(leader.node.Addr(), leader.opt.Name, errors.New("cut"))
	within(t, unheardAfter+5*time.Second, "it is not in quarantine", func() bool { return bad.node.audit.confined.of(CauseStuck) != nil })
	if q := bad.node.audit.confined.of(CauseStuck); !strings.Contains(q.Text, "nothing can be recorded here") {
		t.Errorf("%+v", q)
	}
	for i := range cut {
		cut[i].Store(false)
	}
	bad.freed()
}
