package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestLeaderCrashLosesNothing has all nodes record while the leader vanishes: what was acknowledged is on the survivors, and
// every repetition names the same winner.
func TestLeaderCrashLosesNothing(t *testing.T) {
	g := startGroup(t, 3)
	a, b := g.configure()
	leader := g.leader()
	survivors := g.followers()
	var (
		mu    sync.Mutex
		acked = map[int]fsm.InstanceID{}
		wg    sync.WaitGroup
	)
	const writers, each = 16, 40
	half := make(chan struct{})
	var once sync.Once
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				if w == 0 && i == each/2 {
					once.Do(func() { close(half) })
				}
				n := w*each + i
				op := fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(n), Instance: []fsm.InstanceID{a, b}[n%2]}
				r := survivors[w%2].record(op)
				mu.Lock()
				acked[n] = r.Instance
				mu.Unlock()
			}
		}()
	}
	<-half
	leader.crash()
	wg.Wait()
	for _, m := range survivors {
		m.sync()
		for n, want := range acked {
			if got, ok := m.state.Lookup(testKey(n)); !ok || got.Instance != want {
				t.Fatalf("%s: session %d is %v %v, was acknowledged as %d", m.opt.Name, n, got, ok, want)
			}
		}
	}
	for n, want := range acked { // a rival now still gets the winner
		r := survivors[n%2].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(n), Instance: a + b - want})
		if r.Code != fsm.CodeExists || r.Instance != want {
			t.Fatalf("session %d: %+v, want %d", n, r, want)
		}
		if n > 20 {
			break
		}
	}
	leader.again()
	leader.sync()
	for n, want := range acked {
		if got, _ := leader.state.Lookup(testKey(n)); got.Instance != want {
			t.Fatalf("restarted leader: session %d is %v, want %d", n, got, want)
		}
	}
}

func TestMinorityFailsFastAndKeepsItsState(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	for _, m := range g {
		m.sync()
	}
	g[1].crash()
	g[2].crash()
	within(t, 10*time.Second, "quorum is not lost", func() bool { return !g[0].node.Quorum() })
	for name, try := range map[string]func(context.Context) error{
		"record": func(ctx context.Context) error {
			_, err := g[0].node.Record(ctx, fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
			return err
		},
		"propose": func(ctx context.Context) error {
			_, err := g[0].node.Propose(ctx, &fsm.TokenDrop{ID: "x"})
			return err
		},
		"sync": g[0].node.Sync,
	} {
		start := time.Now()
		err := try(ctxFor(t, 10*time.Second))
		if !errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v to fail", name, took)
		}
	}
	if got, ok := g[0].state.Lookup(testKey(1)); !ok || got.Instance != a {
		t.Errorf("known session: %v %v", got, ok)
	}
	if g[0].node.Ready() == nil {
		t.Error("ready without a quorum")
	}
	g[1].again()
	within(t, 20*time.Second, "quorum does not come back", g[0].node.Quorum)
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
}

// TestQuorumLossWhileRecording: what is under way when the quorum goes fails within the bound, and says what is unknown.
func TestQuorumLossWhileRecording(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	last := g.leader()
	stop := make(chan struct{})
	failed := make(chan error, 8)
	for w := range cap(failed) {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				start := time.Now()
				_, err := last.node.Record(context.Background(), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(w*1e6 + i), Instance: a})
				if err != nil {
					if took := time.Since(start); took > 15*time.Second {
						err = fmt.Errorf("only after %v: %w", took, err)
					}
					failed <- err
					return
				}
			}
		}()
	}
	for _, m := range g {
		if m != last {
			m.crash()
		}
	}
	within(t, 20*time.Second, "quorum is not lost", func() bool { return !last.node.Quorum() })
	close(stop)
	for range cap(failed) {
		if err := <-failed; err != nil && !errors.Is(err, ErrNoQuorum) {
			t.Errorf("got %v, want ErrNoQuorum", err)
		}
	}
}

func TestAllRestart(t *testing.T) {
	g := startGroup(t, 3)
	a, b := g.configure()
	for i := range 100 {
		g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: []fsm.InstanceID{a, b}[i%2]})
	}
	for _, m := range g {
		m.sync()
	}
	term := g[0].node.currentTerm()
	for _, m := range g {
		m.crash()
	}
	for _, m := range g { // neither the string nor the addresses are needed any more
		m.opt.JoinToken, m.opt.BootstrapExpect, m.opt.Join = "", 0, nil
	}
	g[1].again() // alone: its state is there at once, though perhaps without the very last commits
	if known := g[1].state.Len(); known < 90 {
		t.Errorf("one restarted node knows %d of 100 sessions", known)
	}
	if name := g[1].state.Group().Name; name != "test" {
		t.Errorf("group %q", name)
	}
	g[0].again()
	g[2].again()
	g.ready()
	for _, m := range g {
		m.sync()
		for i := range 100 {
			if got, ok := m.state.Lookup(testKey(i)); !ok || got.Instance != []fsm.InstanceID{a, b}[i%2] {
				t.Fatalf("%s: session %d: %v %v", m.opt.Name, i, got, ok)
			}
		}
	}
	if now := g[0].node.currentTerm(); now <= term {
		t.Errorf("term %d after %d", now, term)
	}
	within(t, 20*time.Second, "digests differ", func() bool {
		i0, d0 := g[0].state.DigestAt()
		i1, d1 := g[1].state.DigestAt()
		i2, d2 := g[2].state.DigestAt()
		return i0 == i1 && i1 == i2 && d0 == d1 && d1 == d2
	})
}

func TestGracefulStopHandsOver(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	leader := g.leader()
	others := g.followers()
	term := leader.node.currentTerm()
	leader.halt()
	next := others.leader()
	if now := next.node.currentTerm(); now != term+1 {
		t.Logf("term went from %d to %d: the machine is busy", term, now)
	}
	next.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	if _, err := others[0].node.Record(ctxFor(t, 10*time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a}); err != nil && !errors.Is(err, ErrNoQuorum) {
		t.Error(err)
	}
	if err := others[1].node.Stop(ctxFor(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := others[1].node.Record(ctxFor(t, time.Second), fsm.SessionOp{}); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoQuorum) {
		t.Errorf("record after stop: %v", err)
	}
	if err := others[1].node.Sync(ctxFor(t, time.Second)); err == nil {
		t.Error("sync after stop")
	}
}

// TestLaggingNodeGetsASnapshot: the log that it lacks is gone everywhere.
func TestLaggingNodeGetsASnapshot(t *testing.T) {
	g := startGroup(t, 3)
	a, b := g.configure()
	late := g.followers()[0]
	late.crash()
	for i := range 300 {
		m := g.leader()
		m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	for _, m := range g {
		if m == late {
			continue
		}
		m.sync()
		r := m.node.raft.Load()
		c := r.ReloadableConfig()
		c.TrailingLogs = 1
		if err := r.ReloadConfig(c); err != nil {
			t.Fatal(err)
		}
		if err := r.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			t.Fatal(err)
		}
	}
	late.again()
	late.sync()
	if late.state.Len() != 300 {
		t.Fatalf("%d sessions", late.state.Len())
	}
	snaps, err := late.dir.Snapshots().List()
	if err != nil || len(snaps) == 0 {
		t.Fatalf("no snapshot arrived: %v", err)
	}
	late.record(fsm.SessionOp{Kind: fsm.OpMove, Key: testKey(7), Instance: b, Expect: a})
	late.crash() // and starts from it
	late.again()
	late.sync()
	if got, _ := late.state.Lookup(testKey(7)); got.Instance != b || late.state.Len() != 300 {
		t.Errorf("after the restart: %v, %d sessions", got, late.state.Len())
	}
}
