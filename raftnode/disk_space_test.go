package raftnode

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/calm"
	"github.com/holdfast-lb/holdfast/storage"
)

const mib = 1 << 20

func TestDiskSpaceHasTwoStepsAndALag(t *testing.T) {
	d := diskSpace{look: make(chan struct{}, 1)}
	for i, c := range []struct {
		free           uint64
		changed, short bool
		floor          bool
	}{
		{1000, false, false, false}, {100, false, false, false}, {99, true, true, false}, {100, false, true, false}, {124, false, true, false}, {125, true, false, false},
		{49, true, true, true}, {50, false, true, false}, {0, false, true, true}, {1000, true, false, false},
	} {
		changed := d.take(storage.Space{Free: c.free, Total: 1000, Reserve: 100})
		if changed != c.changed || (d.short.Load() != nil) != c.short || d.floor.Load() != c.floor {
			t.Errorf("step %d, %d free: changed %v, short %v, floor %v", i, c.free, changed, d.short.Load() != nil, d.floor.Load())
		}
	}
	d.take(storage.Space{Reserve: 100})
	for kind, refused := range map[raft.LogType]bool{raft.LogCommand: true, raft.LogNoop: false, raft.LogConfiguration: false, raft.LogBarrier: false} {
		if err := d.refuses([]*raft.Log{{Type: raft.LogNoop}, {Type: kind}}); errors.Is(err, storage.ErrNoSpace) != refused {
			t.Errorf("entry of type %v: %v", kind, err)
		}
	}
}

// roomy is the room on the disks of a group, in MiB; the reserve is 100.
type roomy map[*member]*atomic.Uint64

func (r roomy) set(free uint64, members ...*member) {
	for _, m := range members {
		r[m].Store(free)
		select { // do not wait for the next look
		case m.node.disk.space.look <- struct{}{}:
		default:
		}
	}
}

func groupWithRoom(t testing.TB) (group, roomy) {
	t.Helper()
	g, r := expectGroup(t, 3), roomy{}
	for _, m := range g {
		free := &atomic.Uint64{}
		free.Store(1000)
		r[m] = free
		m.node.space = func() (storage.Space, error) {
			return storage.Space{Free: free.Load() * mib, Total: 1000 * mib, Reserve: 100 * mib}, nil
		}
		m.run()
	}
	g.ready()
	return g, r
}

// TestOneFullDisk: the group goes on; the node with the full disk keeps what is left, says so, does not stand for election, and catches up when there is room.
func TestOneFullDisk(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g, room := groupWithRoom(t)
		a, _ := g.configure()
		leader, full := g.leader(), g.followers()[0]
		term := leader.node.currentTerm()
		room.set(10, full)
		within(t, 10*time.Second, "it does not see that its disk is full", func() bool { return full.node.Info().Disk != "" })
		if full.node.mayStand() || full.node.DiskTrouble() == nil || full.node.Ready() != nil {
			t.Errorf("may stand, or is not ready: %v", full.node.Ready())
		}
		last, _ := full.dir.Log().LastIndex()
		for i := range 30 {
			full.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
		}
		if now, _ := full.dir.Log().LastIndex(); now != last || full.state.Len() != 0 {
			t.Errorf("the log went from %d to %d on a full disk", last, now)
		}
		room.set(500, full)
		within(t, 20*time.Second, "it does not catch up", func() bool { return full.state.Len() == 30 })
		if full.node.DiskTrouble() != nil || leader.node.currentTerm() != term {
			t.Errorf("%v, term %d was %d", full.node.DiskTrouble(), leader.node.currentTerm(), term)
		}
	})
}

// TestAFullDiskIsCalledSo: a node that is behind because its disk has no room is out of service for that reason, at once and not before, and back when it has caught up.
func TestAFullDiskIsCalledSo(t *testing.T) {
	g, room := groupWithRoom(t)
	a, _ := g.configure()
	full := aFollower(g).inService()
	room.set(10, full)
	within(t, 10*time.Second, "it does not see that its disk is full", func() bool { return full.node.Info().NoRoom })
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	within(t, 10*time.Second, "it is not in quarantine", func() bool { return full.node.Quarantined() != nil })
	q := full.node.audit.confined.of(CauseFull)
	if q == nil || full.node.audit.confined.of(CauseStuck) != nil {
		t.Fatalf("in quarantine for %v", full.node.Quarantined())
	}
	for _, want := range []string{"its disk is full: 10 MiB are free, 100 MiB should be", "free some room below " + full.dir.Path()} {
		if !strings.Contains(q.Text, want) {
			t.Errorf("%q does not say %q", q.Text, want)
		}
	}
	if strings.Contains(q.Text, "restart it") || full.node.StateInDoubt() != nil || full.node.barred() == nil {
		t.Errorf("%+v, in doubt: %v, barred: %v", q, full.node.StateInDoubt(), full.node.barred())
	}
	room.set(500, full)
	full.freed()
	g.equal()
}

// TestResyncNeedsRoom: a node whose disk is full keeps its vote, and what it has.
func TestResyncNeedsRoom(t *testing.T) {
	g, room := groupWithRoom(t)
	g.configure()
	full := g.followers()[0]
	for _, free := range []uint64{90, 10} {
		room.set(free, full)
		within(t, 10*time.Second, "it does not see that its disk is full", func() bool { return full.node.diskFull() != "" || free == 90 && full.node.DiskTrouble() != nil })
		err := full.node.Resync(ctxFor(t, 10*time.Second))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "its disk is full") || !strings.Contains(err.Error(), "needs room first") {
			t.Errorf("%d MiB free: %v", free, err)
		}
	}
	if s, ok := memberByID(g.leader().node.membership(), *full.node.id.Load()); !ok || s.Suffrage != raft.Voter {
		t.Errorf("its vote was taken: %+v", s)
	}
	if m, err := loadResync(full.dir); err != nil || m.Drop {
		t.Errorf("it is to drop its state: %+v, %v", m, err)
	}
}

// TestWritesWithoutRoom: a quota is no business of the file system's free room.
func TestWritesWithoutRoom(t *testing.T) {
	d := diskSpace{look: make(chan struct{}, 1)}
	for i, c := range []struct {
		err error
		met bool
	}{{nil, false}, {storage.ErrNoSpace, true}, {storage.ErrClosed, true}, {nil, false}} {
		if d.wrote(c.err); d.met.Load() != c.met {
			t.Errorf("write %d: %v", i, d.met.Load())
		}
	}
}

// TestMostDisksFull: nothing new is taken, at once and for certain; what is known goes on; nobody is elected anew; and with room it all goes on by itself.
func TestMostDisksFull(t *testing.T) {
	for name, free := range map[string]uint64{"short": 90, "at the floor": 10} {
		t.Run(name, func(t *testing.T) {
			calm.Try(t, mostStall, func(t testing.TB) {
				g, room := groupWithRoom(t)
				a, _ := g.configure()
				leader, followers := g.leader(), g.followers()
				term := leader.node.currentTerm()
				g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
				for _, m := range g {
					m.sync()
				}
				room.set(free, followers...)
				within(t, 10*time.Second, "the leader takes what no majority can write", func() bool {
					_, err := leader.node.Propose(ctxFor(t, time.Second), &fsm.TokenDrop{ID: "x"})
					return errors.Is(err, ErrNoRoom)
				})
				for _, m := range g {
					start := time.Now()
					_, err := m.node.Propose(ctxFor(t, 10*time.Second), &fsm.TokenDrop{ID: "x"})
					if !errors.Is(err, ErrNoRoom) || !errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrTimeout) || time.Since(start) > 5*time.Second {
						t.Errorf("propose on %s: %v after %v", m.opt.Name, err, time.Since(start))
					}
					if m.node.Quorum() {
						t.Errorf("%s sees a quorum for new sessions", m.opt.Name)
					}
					_, err = m.node.Record(ctxFor(t, 10*time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
					if !errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrTimeout) {
						t.Errorf("record on %s: %v", m.opt.Name, err)
					}
					if got, ok := m.state.Lookup(testKey(1)); !ok || got.Instance != a {
						t.Errorf("known session on %s: %v %v", m.opt.Name, got, ok)
					}
				}
				if now := leader.node.currentTerm(); now != term || leader.node.lead.Load() == nil {
					t.Errorf("term %d was %d", now, term)
				}
				room.set(500, followers...)
				within(t, 20*time.Second, "it does not go on", func() bool {
					_, err := followers[0].node.Record(ctxFor(t, time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(3), Instance: a})
					return err == nil
				})
				for _, m := range g {
					m.sync()
					if _, ok := m.state.Lookup(testKey(2)); ok || m.state.Len() != 2 {
						t.Errorf("%s: %d sessions; what was refused is there: %v", m.opt.Name, m.state.Len(), ok)
					}
				}
			})
		})
	}
}

// TestAllDisksFullStillElect: the reserve is for this. A leader that goes is succeeded although no disk has room for anything else.
func TestAllDisksFullStillElect(t *testing.T) {
	g, room := groupWithRoom(t)
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	for _, m := range g {
		m.sync()
	}
	room.set(10, g...)
	for _, m := range g {
		within(t, 10*time.Second, "it does not see that its disk is full", func() bool { return m.node.DiskTrouble() != nil })
	}
	old := g.leader()
	old.crash()
	l := g.leader()
	if _, err := l.node.Propose(ctxFor(t, time.Second), &fsm.TokenDrop{ID: "x"}); !errors.Is(err, ErrNoRoom) {
		t.Errorf("propose: %v", err)
	}
	for _, m := range g {
		if m.node != nil {
			room.set(1000, m)
		}
	}
	within(t, 20*time.Second, "it does not go on", func() bool {
		_, err := l.node.Propose(ctxFor(t, time.Second), &fsm.TokenDrop{ID: "x"})
		return err == nil
	})
}

// TestFullDiskIsNoticedByItsWrites: between two looks a disk may fill up; the write that fails has it looked at once.
func TestFullDiskIsNoticedByItsWrites(t *testing.T) {
	g := &diskGuard{space: diskSpace{look: make(chan struct{}, 1)}}
	d := &badDisk{InmemStore: raft.NewInmemStore(), err: storage.ErrNoSpace}
	for range 3 {
		if err := (guardedLog{d, g}).StoreLogs([]*raft.Log{{Type: raft.LogCommand}}); !errors.Is(err, storage.ErrNoSpace) {
			t.Fatal(err)
		}
	}
	select {
	case <-g.space.look:
	default:
		t.Error("nobody looks")
	}
	d.err = storage.ErrClosed
	_ = guardedLog{d, g}.StoreLogs(nil)
	select {
	case <-g.space.look:
		t.Error("another error is taken for a full disk")
	default:
	}
}
