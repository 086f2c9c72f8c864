package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// halt stops a node; again starts it on its data and does not wait for it.
func (g *testGroup) halt(tb testing.TB, i int) {
	tb.Helper()
	g.stop[i]()
	if err := <-g.done[i]; err != nil {
		tb.Error(err)
	}
	if err := g.servers[i].Close(); err != nil {
		tb.Error(err)
	}
}

func (g *testGroup) again(tb testing.TB, i int) {
	tb.Helper()
	s, err := New(g.servers[i].config, io.MultiWriter(g.out, g.logs[i]))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	g.servers[i], g.stop[i], g.done[i] = s, cancel, done
}

// written retries a change, the same one, until the group has it, and says how long that took.
func (g *testGroup) written(tb testing.TB, i int, owner string) time.Duration {
	tb.Helper()
	start := time.Now()
	eventually(tb, "a change is taken again", func() error {
		ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Second)
		defer cancel()
		r, err := adminNode{g.servers[i]}.Propose(ctx, &fsm.LockSet{Owner: owner})
		if err == nil && r.Code != fsm.CodeOK {
			err = errors.New(r.Message)
		}
		return err
	})
	return time.Since(start)
}

// TestChangesAreTakenSecondsAfterAnOutage: without a majority a change is refused, and known sessions are served; when the majority is back, and also after all
// nodes were down, changes are taken within seconds. There is no window of minutes.
func TestChangesAreTakenSecondsAfterAnOutage(t *testing.T) { // TIP-12, TIP-32, TC-42
	const soon = 15 * time.Second // an election takes less than a second; the machine may be busy
	g := startGroup(t, 3)
	g.configure(t, newApp(t, "i1"))
	v := visit(t, g.servers...)
	v.more(t, 20, 60)
	v.end()
	v.verdict(t)
	sessions := int(v.begun.Load())
	g.written(t, 0, "ops")

	g.halt(t, 1)
	g.halt(t, 2)
	eventually(t, "the node that is left knows that it is alone", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := (adminNode{g.servers[0]}).Propose(ctx, &fsm.LockSet{Owner: "ops"}); err == nil {
			return errors.New("it takes a change")
		}
		return nil
	})
	for cookie, where := range v.last {
		if body, _, err := v.ask(t.Context(), v.urls[0], cookie); err != nil || body != where {
			t.Fatalf("a known session without a quorum: %q, %v", body, err)
		}
	}
	g.again(t, 2)
	if took := g.written(t, 0, "ops"); took > soon {
		t.Errorf("the majority is back, but changes were taken only after %v", took)
	} else {
		t.Logf("changes %v after the majority is back", took)
	}

	var all sync.WaitGroup
	for _, i := range []int{0, 2} {
		all.Go(func() { g.halt(t, i) })
	}
	all.Wait()
	for _, i := range []int{2, 0, 1} { // in another order than before
		g.again(t, i)
	}
	if took := g.written(t, 1, "ops"); took > soon {
		t.Errorf("all nodes are back, but changes were taken only after %v", took)
	} else {
		t.Logf("changes %v after the start of all nodes", took)
	}
	for _, s := range g.servers {
		eventually(t, "every session is there again", func() error {
			if n := s.state.Len(); n != sessions {
				return errors.New("some are missing")
			}
			return nil
		})
	}
}
