package raftnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/calm"
)

// hungDisk is a disk whose writes can be made to wait, as those of a device that has stopped to answer do: nothing ends them but the device.
type hungDisk struct {
	mu      sync.Mutex
	answers chan struct{} // closed when it does; nil while it does
	waiting int
}

func (d *hungDisk) hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = make(chan struct{})
}

func (d *hungDisk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answers != nil {
		close(d.answers)
		d.answers = nil
	}
}

func (d *hungDisk) pass() {
	d.mu.Lock()
	answers := d.answers
	d.waiting++
	d.mu.Unlock()
	if answers != nil {
		<-answers
	}
	d.mu.Lock()
	d.waiting--
	d.mu.Unlock()
}

func (d *hungDisk) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting > 0
}

type hungLog struct {
	raft.CommitTrackingLogStore
	disk *hungDisk
}

func (l hungLog) StoreLogs(logs []*raft.Log) error {
	l.disk.pass()
	return l.CommitTrackingLogStore.StoreLogs(logs)
}

func (l hungLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

func (l hungLog) DeleteRange(lo, hi uint64) error {
	l.disk.pass()
	return l.CommitTrackingLogStore.DeleteRange(lo, hi)
}

type hungStable struct {
	raft.StableStore
	disk *hungDisk
}

func (s hungStable) Set(k, v []byte) error {
	s.disk.pass()
	return s.StableStore.Set(k, v)
}

func (s hungStable) SetUint64(k []byte, v uint64) error {
	s.disk.pass()
	return s.StableStore.SetUint64(k, v)
}

// onHungDisk puts a node that has not been run on a disk that can be made to hang. Of its timing change may set stall and hung.
func (m *member) onHungDisk(change func(*timing)) *hungDisk {
	m.t.Helper()
	n, d := m.node, &hungDisk{}
	var err error
	if n.store, err = newNodeLog(guardedLog{hungLog{m.dir.Log(), d}, n.disk}, m.dir.Snapshots()); err != nil {
		m.t.Fatal(err)
	}
	n.stable = hungStable{m.dir.Stable(), d}
	if change != nil {
		change(&n.timing)
	}
	m.t.Cleanup(d.release)
	return d
}

// groupOnHungDisks is a group that serves.
func groupOnHungDisks(t testing.TB, profile string, change func(*timing)) (group, map[*member]*hungDisk, <-chan Succession) {
	t.Helper()
	g := expectGroup(t, 3, func(o *Options) { o.Timing = profile })
	disks := map[*member]*hungDisk{}
	for _, m := range g {
		disks[m] = m.onHungDisk(change)
	}
	out := make(chan Succession, 64)
	for _, m := range g {
		m.node.OnElected(func(_ context.Context, s Succession) { out <- s })
	}
	for _, m := range g {
		m.run()
	}
	g.ready()
	return g, disks, out
}

// TestLeaderOnAHungDiskIsSucceeded: raft's main goroutine hangs in the write, its heartbeats would go on for ever. The leader gives up, another is elected within
// the bound and what a silent leader costs, nothing acknowledged is lost, and the old one follows when its disk answers.
func TestLeaderOnAHungDiskIsSucceeded(t *testing.T) {
	for _, profile := range []string{"fast", "lan", "wan"} {
		t.Run(profile, func(t *testing.T) {
			g, disks, elected := groupOnHungDisks(t, profile, nil)
			a, _ := g.configure()
			for i := range 20 {
				g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
			}
			old, term, start := hangLeader(t, g, disks, a)
			gaveUp := time.Since(start)
			if _, err := old.node.Lease(ctxFor(t, time.Second), term); !errors.Is(err, ErrNoQuorum) {
				t.Errorf("lease on a hung disk: %v", err)
			}
			s := next(t, elected)
			for s.Term <= term {
				s = next(t, elected)
			}
			took := time.Since(start)
			tm := timings[profile]
			var followers group
			for _, m := range g {
				if m != old {
					followers = append(followers, m)
				}
			}
			t.Logf("%s: gave up after %v, the successor leads after %v", profile, gaveUp.Round(time.Millisecond), took.Round(time.Millisecond))
			if gaveUp < tm.stall {
				t.Errorf("gave up after %v", gaveUp)
			}
			if limit := tm.stall + tm.hung/10; took > limit { // generous: the machine may be busy
				t.Errorf("no successor before %v", took)
			}
			if err := old.node.Ready(); !errors.Is(err, ErrDiskStalled) {
				t.Errorf("ready on a hung disk: %v", err)
			}
			if role := old.node.Info().Role; role == "leader" {
				t.Error("it says that it leads")
			}
			within(t, 20*time.Second, "the old leader still sees a quorum", func() bool { return !old.node.Quorum() })
			for i := range 20 {
				followers[i%2].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(100 + i), Instance: a})
			}
			disks[old].release()
			within(t, 20*time.Second, "the old leader does not come back", func() bool { return old.node.Ready() == nil && old.node.Info().Role == "follower" })
			old.sync()
			for i := range 120 {
				if i >= 20 && i < 100 {
					continue
				}
				if got, ok := old.state.Lookup(testKey(i)); !ok || got.Instance != a {
					t.Fatalf("session %d: %v %v", i, got, ok)
				}
			}
			for _, m := range followers {
				m.sync()
			}
			old.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(200), Instance: a})
		})
	}
}

// hangLeader has the disk of the leader hang, with a write under way, and waits until the leader has given up. It tries again when another was elected meanwhile, which
// happens on a busy machine.
func hangLeader(t *testing.T, g group, disks map[*member]*hungDisk, a fsm.InstanceID) (old *member, term uint64, start time.Time) {
	t.Helper()
	for range 10 {
		old = g.leader()
		l := old.node.lead.Load()
		if l == nil {
			continue
		}
		start = time.Now()
		disks[old].hang()
		go func() {
			_, _ = old.node.Record(context.Background(), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(99), Instance: a})
		}()
		within(t, 10*time.Second, "the old leader holds on", func() bool { return old.node.leadsIn(l.term) != nil })
		if old.node.trans.isMute(l.term) {
			return old, l.term, start
		}
		disks[old].release()
	}
	t.Fatal("no leader stays long enough")
	return nil, 0, start
}

// TestShortHiccupsCostNoElection: a leader and a follower whose disks take half the bound for a write stay what they are.
func TestShortHiccupsCostNoElection(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g, disks, elected := groupOnHungDisks(t, "lan", nil)
		a, _ := g.configure()
		first := next(t, elected)
		for i := range 3 {
			for _, d := range disks {
				d.hang()
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
			}()
			within(t, 10*time.Second, "no write", disks[g.leader()].busy)
			<-time.After(500 * time.Millisecond)
			for _, d := range disks {
				d.release()
			}
			<-done
		}
		if l := g.leader(); l.node.currentTerm() != first.Term {
			t.Errorf("term %d, was %d", l.node.currentTerm(), first.Term)
		}
	})
}

// TestHangOfAllDisksCostsNoElection: the nodes have one disk below them. While it hangs the leader goes on, as it does when it hangs for the leader and one follower: no other could
// commit either. It gives up when the others' disks answer and its own does not.
func TestHangOfAllDisksCostsNoElection(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g, disks, elected := groupOnHungDisks(t, "lan", nil)
		a, _ := g.configure()
		first := next(t, elected)
		leader := g.leader()
		if leader.node.currentTerm() != first.Term {
			t.Errorf("term %d, was %d", leader.node.currentTerm(), first.Term)
			return
		}
		asked := func(what string) {
			t.Helper()
			before := leader.node.disks.rounds.Load()
			within(t, 20*time.Second, what, func() bool {
				return leader.node.disks.rounds.Load() > before+2 || leader.node.leadsIn(first.Term) != nil
			})
		}
		holds := func(what string) bool {
			t.Helper()
			if err := leader.node.leadsIn(first.Term); err != nil {
				t.Errorf("%s: %v", what, err)
				return false
			}
			if _, err := leader.node.Lease(ctxFor(t, 10*time.Second), first.Term); err != nil {
				t.Errorf("%s: lease: %v", what, err)
			}
			if err := leader.node.DiskLost(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			return true
		}
		for _, d := range disks {
			d.hang()
		}
		done := make(chan error, 1)
		go func() {
			_, err := leader.node.Record(context.Background(), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
			done <- err
		}()
		within(t, 20*time.Second, "the hang is not seen", func() bool { return leader.node.DiskStalled() != nil })
		asked("it does not ask the others")
		if !holds("all disks hang") {
			return
		}

		followers := g.followers()
		disks[followers[0]].release()
		asked("it does not ask again")
		if !holds("one of three disks answers") {
			return
		}

		for _, d := range disks {
			d.release()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		within(t, 10*time.Second, "the end is not seen", func() bool { return leader.node.DiskStalled() == nil && leader.node.Ready() == nil })
		if !holds("all disks answer") {
			return
		}

		for _, d := range disks {
			d.hang()
		}
		go func() {
			_, _ = leader.node.Record(context.Background(), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
		}()
		within(t, 20*time.Second, "the second hang is not seen", func() bool { return leader.node.DiskStalled() != nil })
		asked("it does not ask in the second hang")
		if !holds("all disks hang again") {
			return
		}
		for _, m := range followers {
			disks[m].release()
		}
		within(t, 20*time.Second, "it holds on though the others could go on", func() bool { return leader.node.leadsIn(first.Term) != nil })
		for s := next(t, elected); s.Term <= first.Term; {
			s = next(t, elected)
		}
		disks[leader].release()
		within(t, 20*time.Second, "the old leader does not come back", func() bool { return leader.node.Ready() == nil })
	})
}

// TestStrangersCauseNoWrites: a question about the disk costs a write, so only members ask, and not twice at once.
func TestStrangersCauseNoWrites(t *testing.T) {
	g, disks, _ := groupOnHungDisks(t, "lan", nil)
	a, b := g.followers()[0], g.followers()[1]
	ask := func(payload []byte) error {
		_, err := b.node.pool.call(ctxFor(t, 20*time.Second), a.node.Addr(), a.opt.Name, callDisk, payload)
		return err
	}
	if err := ask(nil); err != nil {
		t.Errorf("a member: %v", err)
	}
	if err := ask([]byte("x")); !errors.Is(err, ErrRefused) {
		t.Errorf("with a payload: %v", err)
	}
	disks[a].hang()
	first := make(chan error, 1)
	go func() { first <- ask(nil) }()
	within(t, 10*time.Second, "no write", disks[a].busy)
	if err := ask(nil); err == nil {
		t.Error("a second one waits for the same disk")
	}
	disks[a].release()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := g.leader().node.raft.Load().RemoveServer(raft.ServerID(b.node.ID()), 0, 10*time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the removal does not arrive", func() bool {
		_, member := memberByID(a.node.membership(), raft.ServerID(b.node.ID()))
		return !member
	})
	if err := ask(nil); err == nil {
		t.Error("a removed node caused a write")
	}
}

// TestFollowerOnAHungDisk is not ready, is not elected, costs the others nothing, and comes back.
func TestFollowerOnAHungDisk(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g, disks, _ := groupOnHungDisks(t, "lan", nil)
		a, _ := g.configure()
		leader, late := g.leader(), g.followers()[0]
		term := leader.node.currentTerm()
		disks[late].hang()
		for i := range 20 {
			leader.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
		}
		within(t, 20*time.Second, "ready on a hung disk", func() bool { return errors.Is(late.node.Ready(), ErrDiskStalled) })
		if late.node.mayStand() {
			t.Error("it would stand for election")
		}
		disks[late].release()
		within(t, 20*time.Second, "it does not come back", func() bool { return late.node.Ready() == nil })
		late.sync()
		if late.state.Len() != 20 || leader.node.currentTerm() != term {
			t.Errorf("%d sessions, term %d was %d", late.state.Len(), leader.node.currentTerm(), term)
		}
	})
}

// TestNodeOnADeadDiskEnds, whether it led or followed, although the write never comes back; and starts again when the disk is there.
func TestNodeOnADeadDiskEnds(t *testing.T) {
	g, disks, _ := groupOnHungDisks(t, "lan", func(tm *timing) { tm.hung = 4 * time.Second })
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	dead := g.leader()
	disks[dead].hang()
	start := time.Now()
	go func() {
		_, _ = dead.node.Record(context.Background(), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	}()
	select {
	case err := <-dead.err:
		if !errors.Is(err, ErrDisk) || !errors.Is(err, ErrDiskStalled) || time.Since(start) < 4*time.Second {
			t.Errorf("Run gave %v after %v", err, time.Since(start))
		}
		dead.err <- err
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not return")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := dead.node.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop on a dead disk: %v", err)
	}
	var rest group
	for _, m := range g {
		if m != dead {
			rest = append(rest, m)
		}
	}
	rest.leader()
	rest[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(3), Instance: a})
	disks[dead].release()
	dead.halt()
	dead.again()
	dead.sync()
	if dead.state.Len() < 2 {
		t.Errorf("%d sessions", dead.state.Len())
	}
}

// TestNodeAloneDoesNotGiveUp: there is nobody to take over.
func TestNodeAloneDoesNotGiveUp(t *testing.T) {
	m := newMember(t, "n1", Options{Bootstrap: true})
	m.mustOpen()
	d := m.onHungDisk(func(tm *timing) { tm.stall = 100 * time.Millisecond })
	m.run()
	g := group{m}
	g.ready()
	a, _ := g.configure()
	g.leader()
	d.hang()
	done := make(chan error, 1)
	go func() {
		_, err := m.node.Record(context.Background(), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
		done <- err
	}()
	within(t, 10*time.Second, "the hang is not seen", func() bool { return m.node.DiskStalled() != nil })
	if err := m.node.Ready(); err != nil || m.node.lead.Load() == nil {
		t.Errorf("a node alone has nobody to leave it to: %v", err)
	}
	term := m.node.currentTerm()
	d.release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	within(t, 10*time.Second, "the end of the hang is not seen", func() bool { return m.node.DiskStalled() == nil })
	if m.node.currentTerm() != term {
		t.Errorf("term %d, was %d", m.node.currentTerm(), term)
	}
}

// TestStallBoundFollowsTheDisk: a disk that is slow for good is not given up for, one that hangs once is.
func TestStallBoundFollowsTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tm := timings["lan"]
		n := &Node{timing: tm, disk: &diskGuard{}}
		write := func(d time.Duration) {
			end := n.disk.writes.begin("a write")
			time.Sleep(d)
			end()
		}
		var bounds []time.Duration
		for range 7 {
			write(800 * time.Millisecond)
			bounds = append(bounds, n.stallBound())
		}
		s := time.Second
		if want := []time.Duration{s, s, s, s, 3200 * time.Millisecond, 3200 * time.Millisecond, 3200 * time.Millisecond}; !slices.Equal(bounds, want) {
			t.Errorf("slow disk: %v", bounds)
		}
		for range 3 {
			write(time.Millisecond)
		}
		if b := n.stallBound(); b != tm.stall {
			t.Errorf("fast again: %v", b)
		}
		write(20 * time.Second)
		write(time.Millisecond)
		if b := n.stallBound(); b != tm.stall {
			t.Errorf("after one hang: %v", b)
		}
		for range 5 {
			write(25 * time.Second)
		}
		if b := n.stallBound(); b != tm.hung/2 {
			t.Errorf("the bound has none itself: %v", b)
		}
		end := n.disk.writes.beginAt(diskWrite{op: "a snapshot", since: time.Now(), bulk: true})
		time.Sleep(time.Minute)
		if err := n.DiskStalled(); err != nil {
			t.Errorf("bulk: %v", err)
		}
		if w, ok := n.disk.writes.oldest(true); !ok || time.Since(w.since) < time.Minute {
			t.Error("a bulk write is not missed")
		}
		end()
		defer n.disk.writes.begin("a write")()
		time.Sleep(tm.hung/2 - 1)
		if err := n.DiskStalled(); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := n.DiskStalled(); !errors.Is(err, ErrDiskStalled) || err.Error() != fmt.Sprintf("the disk does not answer: a write under way for %v", tm.hung/2) {
			t.Errorf("stalled: %v", err)
		}
	})
}
