package raftnode

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// wrongGroup is a group of which one member loses what the returned function names, until that is changed.
func wrongGroup(t *testing.T, size int, wrong func(group) *member) (g group, bad *member, lose func(fsm.Key)) {
	t.Helper()
	g = expectGroup(t, size)
	losing := make([]atomic.Pointer[fsm.Key], size)
	for i, m := range g {
		state := m.state
		m.node.adapter.badly = func(index uint64, entry []byte) (fsm.Result, error) {
			return applyWithout(state, index, entry, func(op fsm.SessionOp) bool {
				k := losing[i].Load()
				return k != nil && op.Key == *k
			})
		}
		m.run()
	}
	g.ready()
	bad = wrong(g)
	for i, m := range g {
		if m == bad {
			return g, bad, func(k fsm.Key) { losing[i].Store(&k) }
		}
	}
	panic("BUG: not of the group")
}

func aFollower(g group) *member { return g.followers()[0] }

// quarantined waits until a member is, and gives why. inTime is how long it may take: 5 s are promised.
func (m *member) quarantined(cause Cause) *Quarantine {
	m.t.Helper()
	var q *Quarantine
	began := time.Now()
	within(m.t, 15*time.Second, m.opt.Name+" is not in quarantine", func() bool { q = m.node.audit.confined.of(cause); return q != nil })
	m.t.Logf("%s is in quarantine after %v: %s", m.opt.Name, time.Since(began).Round(time.Millisecond), q)
	return q
}

// named waits until it says what differs.
func (m *member) named(words ...string) {
	m.t.Helper()
	var text string
	within(m.t, 10*time.Second, m.opt.Name+" does not say what differs", func() bool {
		if q := m.node.audit.confined.of(CauseDiverged); q != nil {
			text = q.Difference
		}
		return text != ""
	})
	for _, w := range words {
		if !strings.Contains(text, w) {
			m.t.Errorf("what differs is %q, it lacks %q", text, w)
		}
	}
}

// mended waits until a member that has found itself wrong has taken a new copy, and votes.
func (m *member) mended() {
	m.t.Helper()
	if err := m.ends(); !errors.Is(err, ErrResync) {
		m.t.Fatalf("%s ended with %v", m.opt.Name, err)
	}
	m.halt()
	m.again()
	m.votes()
	m.sync()
	if err := m.node.Quarantined(); err != nil {
		m.t.Errorf("%s has a new copy, and is in quarantine: %v", m.opt.Name, err)
	}
}

// ordered has a member take a new copy, as an operator who asks again would: an election may come in between.
func (m *member) ordered() {
	m.t.Helper()
	within(m.t, 60*time.Second, m.opt.Name+" does not begin anew", func() bool {
		err := m.node.Resync(ctxFor(m.t, 20*time.Second))
		if err != nil && !TryAgain(err) && !errors.Is(err, ErrTimeout) && !strings.Contains(err.Error(), "outcome unknown") {
			m.t.Fatal(err)
		}
		return err == nil
	})
}

// equal waits until all members have one state at one index.
func (g group) equal() {
	g[0].t.Helper()
	within(g[0].t, 20*time.Second, "the states are not equal", func() bool {
		index, digest := g[0].state.DigestAt()
		for _, m := range g[1:] {
			if i, d := m.state.DigestAt(); i != index || d != digest {
				return false
			}
		}
		return true
	})
}

// TestFollowerFindsThatItIsWrong: it lacks one assignment of many. It takes itself out within 5 s, says which session it is, takes a new copy and votes again. TIP-10, TIP-11.
func TestFollowerFindsThatItIsWrong(t *testing.T) {
	g, bad, lose := wrongGroup(t, 3, aFollower)
	a, b := g.configure()
	lose(testKey(77))
	for i := range 100 {
		g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a, Reason: fsm.ReasonPolicy})
	}
	q := bad.quarantined(CauseDiverged)
	if !strings.Contains(q.Text, "its state is not the group's") || !errors.Is(bad.node.Quarantined(), ErrQuarantined) {
		t.Errorf("%+v", q)
	}
	if bad.node.mayStand() {
		t.Error("it may stand for election")
	}
	if _, err := bad.node.Propose(ctxFor(t, 5*time.Second), &fsm.TokenDrop{ID: "none"}); !errors.Is(err, ErrQuarantined) {
		t.Errorf("it proposes: %v", err)
	}
	if _, err := bad.node.Image(ctxFor(t, 5*time.Second)); !errors.Is(err, ErrQuarantined) {
		t.Errorf("it gives a copy of its state: %v", err)
	}
	bad.named(testKey(77).String(), "here it has no assignment", "goes to instance id 1 (c/a)")
	for _, m := range g {
		if err := m.node.Quarantined(); m != bad && err != nil {
			t.Errorf("%s is in quarantine: %v", m.opt.Name, err)
		}
	}
	if r := g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(77), Instance: b, Reason: fsm.ReasonPolicy}); r.Code != fsm.CodeExists || r.Instance != a {
		t.Errorf("the group answers %+v for that session", r)
	}
	bad.mended()
	if got, ok := bad.state.Lookup(testKey(77)); !ok || got.Instance != a {
		t.Errorf("after that %+v, %v", got, ok)
	}
	g.equal()
}

// TestLeaderFindsThatItIsWrong: two followers agree, so it is the leader that goes. It holds nothing by a lease from then on.
func TestLeaderFindsThatItIsWrong(t *testing.T) {
	g, bad, lose := wrongGroup(t, 3, group.leader)
	a, _ := g.configure()
	term := bad.node.currentTerm()
	if _, err := bad.node.Lease(ctxFor(t, 5*time.Second), term); err != nil {
		t.Fatal(err)
	}
	lose(testKey(3))
	for i := range 10 {
		g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a, Reason: fsm.ReasonPolicy})
	}
	bad.quarantined(CauseDiverged)
	if _, err := bad.node.Lease(ctxFor(t, 5*time.Second), term); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("it has a lease: %v", err)
	}
	var others group
	for _, m := range g {
		if m != bad {
			others = append(others, m)
		}
	}
	next := others.leader()
	bad.named(testKey(3).String(), "here it has no assignment")
	for _, m := range others {
		if err := m.node.Quarantined(); err != nil {
			t.Errorf("%s is in quarantine: %v", m.opt.Name, err)
		}
	}
	if r := next.record(fsm.SessionOp{Kind: fsm.OpTouch, Key: testKey(3)}); r.Code != fsm.CodeOK || r.Instance != a {
		t.Errorf("the group answers %+v for that session", r)
	}
	bad.mended()
	g.equal()
}

// TestIdleGroupFindsWhatIsWrong: the wrong change is the last one of all.
func TestIdleGroupFindsWhatIsWrong(t *testing.T) {
	g, bad, lose := wrongGroup(t, 3, aFollower)
	a, _ := g.configure()
	within(t, 20*time.Second, "the group is not idle", func() bool {
		index := g[0].state.Applied()
		return g[0].state.Checkpoint().Index == index && g.leader().state.Applied() == index
	})
	lose(testKey(1))
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a, Reason: fsm.ReasonPolicy})
	bad.quarantined(CauseDiverged)
	bad.mended()
	g.equal()
}

// TestTwoNodesCannotTellWhoIsRight: the one that does not lead is out of service, and does not mend itself: its copy may be the right one. An operator decides.
func TestTwoNodesCannotTellWhoIsRight(t *testing.T) {
	g, bad, lose := wrongGroup(t, 2, aFollower)
	a, _ := g.configure()
	lose(testKey(1))
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a, Reason: fsm.ReasonPolicy})
	q := bad.quarantined(CauseDiffers)
	if !strings.Contains(q.Text, "no majority answers") || !strings.Contains(q.Text, "holdfast node resync "+bad.opt.Name) {
		t.Error(q.Text)
	}
	if bad.node.barred() != nil || g.leader().node.Quarantined() != nil {
		t.Error("nobody could lead any more")
	}
	bad.ordered()
	bad.mended()
	g.equal()
}

// TestMendingStops: a node that was wrong three times today stays in quarantine, over a restart too, does not lead, and says what to do. A new copy that an operator orders brings it back.
func TestMendingStops(t *testing.T) {
	g, bad, lose := wrongGroup(t, 3, aFollower)
	a, _ := g.configure()
	now := time.Now()
	bad.node.rememberAudit(func(p *auditPast) {
		p.Mends = []time.Time{now.Add(-2 * mendWindow), now.Add(-time.Hour), now.Add(time.Hour), now.Add(-time.Minute)}
	})
	lose(testKey(1))
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a, Reason: fsm.ReasonPolicy})
	bad.quarantined(CauseDiverged)
	tired := func() bool {
		q := bad.node.audit.confined.of(CauseDiverged)
		return q != nil && strings.Contains(q.Text, "tries no more") && strings.Contains(q.Text, "holdfast node remove "+bad.opt.Name)
	}
	within(t, 15*time.Second, "it does not stop", tired)
	bad.named(testKey(1).String())
	bad.crash()
	bad.mustOpen()
	if err := bad.node.Quarantined(); !errors.Is(err, ErrQuarantined) || !strings.Contains(err.Error(), testKey(1).String()) {
		t.Errorf("after a restart: %v", err)
	}
	bad.crash()
	// Its log is right, so that what it makes of it from the beginning is; here it is made wrong again.
	bad.mustOpen()
	state := bad.state
	bad.node.adapter.badly = func(index uint64, entry []byte) (fsm.Result, error) {
		return applyWithout(state, index, entry, func(op fsm.SessionOp) bool { return op.Key == testKey(2) })
	}
	bad.run()
	within(t, 20*time.Second, "it is not free though its state is right again", func() bool { return bad.node.Quarantined() == nil })
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a, Reason: fsm.ReasonPolicy})
	bad.quarantined(CauseDiverged)
	within(t, 15*time.Second, "it does not stop the second time", tired)
	bad.ordered()
	bad.mended()
	g.equal()
}

// TestIdleGroupJudgesWhoComesBack: nothing changes, and the others have no checkpoint that the one which was restored from a snapshot could be held against; so it asks for one.
func TestIdleGroupJudgesWhoComesBack(t *testing.T) {
	g, bad, lose := wrongGroup(t, 3, aFollower)
	a, _ := g.configure()
	bad.node.rememberAudit(func(p *auditPast) {
		for range maxMends {
			p.Mends = append(p.Mends, time.Now())
		}
	})
	lose(testKey(1))
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a, Reason: fsm.ReasonPolicy})
	bad.quarantined(CauseDiverged)
	bad.named(testKey(1).String())
	idle := func() bool {
		for _, m := range g {
			if m.state.Checkpoint().Index != m.state.Applied() {
				return false
			}
		}
		return true
	}
	within(t, 10*time.Second, "the group is not idle", idle)
	if err := bad.node.raft.Load().Snapshot().Error(); err != nil { // with what is wrong in it
		t.Fatal(err)
	}
	bad.node.rememberAudit(func(p *auditPast) { p.Wrong = nil }) // as if it had not found out yet
	bad.crash()
	bad.again()
	if _, found := bad.state.Lookup(testKey(1)); found {
		t.Error("its snapshot is right")
	}
	within(t, 15*time.Second, "it does not find that it is wrong", func() bool { return bad.node.audit.confined.of(CauseDiverged) != nil })
	// A leader that stops does not wait for it to take over.
	leader := g.leader()
	if err := leader.node.TransferLeadership(ctxFor(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	within(t, 10*time.Second, "the third node does not lead", func() bool { l := bad.node.Leader(); return l != "" && l != leader.opt.Name && l != bad.opt.Name })
}
