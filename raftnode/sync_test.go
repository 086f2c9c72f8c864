package raftnode

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestRoundsNeverJoinOneThatHasBegun: its answer could be older than the call.
func TestRoundsNeverJoinOneThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		var asked atomic.Uint64
		step := make(chan struct{})
		ask := func() (uint64, error) {
			i := asked.Add(1)
			<-step
			return i, nil
		}
		got := make(chan uint64, 3)
		join := func() {
			i, err := r.join(context.Background(), ask)
			if err != nil {
				t.Error(err)
			}
			got <- i
		}
		go join()
		synctest.Wait() // the first round runs
		go join()
		go join()
		synctest.Wait()
		step <- struct{}{}
		if i := <-got; i != 1 {
			t.Errorf("first caller has round %d", i)
		}
		synctest.Wait()
		step <- struct{}{}
		if a, b := <-got, <-got; a != 2 || b != 2 {
			t.Errorf("later callers have rounds %d and %d", a, b)
		}
		if asked.Load() != 2 {
			t.Errorf("%d rounds", asked.Load())
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := r.join(ctx, ask); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
		step <- struct{}{}
	})
}

func TestWaitApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fsm.New()
		var b broadcast
		done := make(chan error, 1)
		go func() { done <- waitApplied(context.Background(), s, &b, 3) }()
		for i := uint64(1); i <= 3; i++ {
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("returned at %d: %v", i-1, err)
			default:
			}
			s.Advance(i)
			b.signal()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := waitApplied(ctx, s, &b, 4); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLeaderWatchAndQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tm := timings["lan"]
		changes := 0
		w := newLeaderWatch(tm, func() { changes++ })
		if !w.quorum() {
			t.Error("a new node has no quorum at once: it must have time to find its leader")
		}
		time.Sleep(tm.noLeader())
		if w.quorum() {
			t.Error("quorum without a leader")
		}
		_, changed := w.get()
		w.set("n1/1", "a:1", false, time.Now())
		select {
		case <-changed:
		default:
			t.Error("no signal")
		}
		if at, _ := w.get(); !at.known || at.self || at.addr != "a:1" || !w.quorum() {
			t.Errorf("%+v", at)
		}
		// raft's idea of the leader outlives the contact: what counts is the contact.
		contact := time.Now()
		time.Sleep(tm.heartbeat)
		w.set("n1/1", "a:1", false, contact)
		if at, _ := w.get(); !at.known {
			t.Error("lost after one heartbeat time-out exactly")
		}
		time.Sleep(time.Millisecond)
		w.set("n1/1", "a:1", false, contact)
		if at, _ := w.get(); at.known || !w.quorum() {
			t.Errorf("%+v, quorum %v", at, w.quorum())
		}
		time.Sleep(time.Until(contact.Add(tm.heartbeat + tm.noLeader() - time.Millisecond)))
		if !w.quorum() {
			t.Error("quorum is lost too early")
		}
		time.Sleep(time.Millisecond)
		if w.quorum() {
			t.Error("quorum is not lost a second after the last contact")
		}
		w.set("n2/2", "b:1", true, contact)
		if at, _ := w.get(); !at.self || !w.quorum() || changes != 2 {
			t.Errorf("%+v, %d changes", at, changes)
		}
	})
}

func TestBackoffGrowsAndIsJittered(t *testing.T) {
	b := backoff{base: 10 * time.Millisecond, limit: 80 * time.Millisecond}
	for _, want := range []time.Duration{10, 20, 40, 80, 80} {
		want *= time.Millisecond
		if d := b.next(); d < want/2 || d >= want*3/2 {
			t.Errorf("%v, want about %v", d, want)
		}
	}
	b.reset()
	if d := b.next(); d >= 15*time.Millisecond {
		t.Errorf("after reset: %v", d)
	}
	if jitter(0) != 0 {
		t.Error("jitter of nothing")
	}
}

// TestConfirmTerm: a leader is one for as long as the majority of the voters is in its term; others do not count.
func TestConfirmTerm(t *testing.T) {
	g := startGroup(t, 3)
	g.configure()
	leader := g.leader()
	l := leader.node.lead.Load()
	// A member that never comes: it stays a non-voter.
	if err := leader.node.admit(ctxFor(t, 10*time.Second), founder{Name: "n9", ID: "n9/00000000", Addr: "127.0.0.1:9"}, leader.node.says); err != nil {
		t.Fatal(err)
	}
	for _, m := range g {
		m.sync()
	}
	if err := leader.node.confirmTerm(ctxFor(t, 10*time.Second), l.term); err != nil && leader.node.lead.Load() == l {
		t.Errorf("the leader is not confirmed: %v", err)
	}
	if err := leader.node.confirmTerm(ctxFor(t, 10*time.Second), l.term-1); err == nil {
		t.Error("a leader of an older term is confirmed")
	}
}

// TestReadIsNotOlderThanOneElsewhere: a follower has applied, and can have told, what its leader has committed and not applied. Whoever asks after that is given all of it.
func TestReadIsNotOlderThanOneElsewhere(t *testing.T) {
	g, slow, goOn := hangs(t, group.leader)
	a, _ := g.configure()
	followers := g.followers()
	ahead, other := followers[0], followers[1]
	done := make(chan error, 1)
	go func() {
		_, err := other.node.Record(ctxFor(t, 25*time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
		done <- err
	}()
	has := func(m *member) bool {
		_, ok := m.state.Lookup(testKey(1))
		return ok
	}
	within(t, 10*time.Second, "no follower applies it before the leader", func() bool { return has(ahead) })
	told := ahead.state.Applied()
	index, err := slow.node.leaderIndex(ctxFor(t, 10*time.Second))
	if err != nil || index < told {
		t.Errorf("read index %d, %v; a follower has told entry %d", index, err, told)
	}
	if has(slow) {
		t.Error("the leader has applied it")
	}
	other.sync()
	if !has(other) {
		t.Error("a later read is older")
	}
	goOn()
	if err := <-done; err != nil {
		t.Errorf("what was under way: %v", err)
	}
	g.equal()
}

// TestReadIndexIsReached: where the last entries are raft's own, which move no state, as when a term has just begun, and where the last one is a membership.
func TestReadIndexIsReached(t *testing.T) {
	g := startGroup(t, 3)
	g.configure()
	read := func() {
		t.Helper()
		l := g.leader()
		if reign := l.node.lead.Load(); reign != nil {
			select {
			case <-reign.ready:
				if reign.barrier == 0 {
					t.Error("the index of the barrier is not known")
				}
			default: // a leader after the one that was found: elections may come at any time
			}
		}
		for _, m := range g {
			m.sync()
		}
	}
	// asLeader asks the next leader when the one before has stepped down, as it may at any time.
	asLeader := func(what string, ask func(l *member) error) {
		t.Helper()
		var err error
		defer func() {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}()
		within(t, 30*time.Second, what, func() bool {
			err = ask(g.leader())
			return err == nil
		})
	}
	read()
	asLeader("a transfer", func(l *member) error { return l.node.TransferTo(ctxFor(t, 20*time.Second), g.followers()[0].opt.Name) })
	read()
	asLeader("a member is taken in", func(l *member) error {
		return l.node.admit(ctxFor(t, 10*time.Second), founder{Name: "n9", ID: "n9/00000000", Addr: "127.0.0.1:9"}, l.node.says)
	})
	read()
}
