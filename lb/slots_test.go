package lb

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlotsAreFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slots
		s.limit(1)
		if waited, err := s.acquire(t.Context(), slotPatience); waited || err != nil {
			t.Fatal(waited, err)
		}
		var order []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				if waited, err := s.acquire(t.Context(), slotPatience); !waited || err != nil {
					t.Error(waited, err)
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				s.release()
			})
			synctest.Wait() // queued before the next comes
		}
		if n := s.waiting.Load(); n != 5 || s.free() {
			t.Fatalf("%d wait", n)
		}
		s.release()
		all.Wait()
		for i, n := range order {
			if i != n {
				t.Fatalf("order %v", order)
			}
		}
		if s.load() != 0 || !s.free() {
			t.Fatalf("%d left", s.load())
		}
	})
}

func TestSlotsPatience(t *testing.T) { // 5 s, as a connect may take
	synctest.Test(t, func(t *testing.T) {
		var s slots
		s.limit(0) // a node without a share uses none
		begun := time.Now()
		waited, err := s.acquire(t.Context(), slotPatience)
		if took := time.Since(begun); !waited || !errors.Is(err, errBusy) || !errors.Is(err, errUnavailable) || took != 5*time.Second {
			t.Fatal(waited, err, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := s.acquire(ctx, slotPatience)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if s.load() != 0 {
			t.Fatalf("%d left", s.load())
		}
	})
}

// TestSlotsWhoGivesUpLosesNothing: a slot that is granted to one who gives up at the same moment goes to the next.
func TestSlotsWhoGivesUpLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			var s slots
			s.limit(1)
			s.acquire(t.Context(), slotPatience)
			ctx, cancel := context.WithCancel(t.Context())
			var both sync.WaitGroup
			both.Go(func() {
				if _, err := s.acquire(ctx, slotPatience); err == nil {
					s.release()
				}
			})
			synctest.Wait()
			both.Go(func() {
				if _, err := s.acquire(t.Context(), slotPatience); err != nil {
					t.Error("a slot was lost")
				} else {
					s.release()
				}
			})
			synctest.Wait()
			both.Go(cancel)
			both.Go(s.release)
			both.Wait()
			if s.load() != 0 {
				t.Fatalf("%d left", s.load())
			}
		}
	})
}

func TestSlotsFollowTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slots
		for range 3 { // unbounded: all at once
			s.acquire(t.Context(), slotPatience)
		}
		s.limit(2) // those in flight go on, nobody new
		got := make(chan struct{}, 3)
		for range 3 {
			go func() {
				if _, err := s.acquire(t.Context(), slotPatience); err == nil {
					got <- struct{}{}
				}
			}()
		}
		want := func(n int) {
			t.Helper()
			if synctest.Wait(); len(got) != n {
				t.Fatalf("%d have got one, want %d", len(got), n)
			}
		}
		want(0)
		s.release() // 2 of 2
		want(0)
		s.release() // 1 of 2
		want(1)
		s.limit(3)
		want(2)
		s.limit(-1)
		want(3)
	})
}

// TestSlotsNeverExceedTheBound under contention, with bounds that change and clients that give up.
func TestSlotsNeverExceedTheBound(t *testing.T) {
	var s slots
	var using, over atomic.Int64
	s.limit(3)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range 2000 {
				ctx, cancel := context.WithCancel(t.Context())
				if rnd.IntN(4) == 0 {
					go cancel()
				}
				if _, err := s.acquire(ctx, time.Minute); err == nil {
					if using.Add(1) > 3 {
						over.Add(1)
					}
					using.Add(-1)
					s.release()
				}
				cancel()
			}
		})
	}
	all.Go(func() {
		for i := range 2000 {
			s.limit(i%3 + 1)
		}
		s.limit(3)
	})
	all.Wait()
	if over.Load() > 0 || s.load() != 0 {
		t.Fatalf("%d times over the bound, %d left", over.Load(), s.load())
	}
}
