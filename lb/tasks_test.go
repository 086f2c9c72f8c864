package lb

import (
	"context"
	"sync"
	"testing"
)

func TestTasks(t *testing.T) {
	for range 200 {
		k := newTasks()
		var started sync.WaitGroup
		for range 8 {
			started.Go(func() {
				for k.enter() {
					k.leave()
				}
			})
		}
		release := make(chan struct{})
		if !k.start(func() { <-release }) {
			t.Fatal("refused while open")
		}
		k.close()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if k.wait(over) == nil {
			t.Fatal("idle while one is at work")
		}
		close(release)
		if err := k.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		started.Wait()
		if k.enter() || k.start(func() { t.Error("runs") }) {
			t.Fatal("entered after close")
		}
	}
}

func TestPendingIsBounded(t *testing.T) {
	p := newPending()
	for i := range maxPending + 10 {
		p.put(opFor(i))
	}
	if got := p.count.Load(); got != maxPending {
		t.Fatal(got)
	}
	op := opFor(0)
	op.Instance = 9 // changes what is owed even when full
	p.put(op)
	if got, ok := p.get(op.Key); !ok || got.Instance != 9 {
		t.Fatal(got, ok)
	}
	p.settled(opFor(0)) // was taken before the change: stays
	if _, ok := p.get(op.Key); !ok {
		t.Fatal("a change was lost")
	}
	p.settled(op)
	if _, ok := p.get(op.Key); ok {
		t.Fatal("still owed")
	}
}
