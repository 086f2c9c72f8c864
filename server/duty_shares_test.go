package server

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb"
)

func boundedCluster(limit int) config.Cluster {
	c := testCluster("i1")
	c.Instances[0].MaxConnections = limit
	return c
}

// sharers are nodes that obey the shares a moment late, with clients that want connections.
type sharers struct {
	g     *fakeGroup
	limit [3]int // what each obeys
	use   [3]int // what each has in flight
	want  [3]int // what its clients would like
	away  [3]bool
	lazy  [3]bool // it has not heard of the latest shares yet

	yields [3]int64 // requests that went elsewhere so far
}

// step lets every node go on for an instant and gives what is in flight at all of them.
func (s *sharers) step() (sum int) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	for i := range s.limit {
		r := &s.g.nodes[i]
		if !s.lazy[i] {
			s.limit[i] = 0
			for _, sh := range s.g.op.Shares {
				if sh.Node == r.node {
					s.limit[i] = sh.Limit
				}
			}
			r.InForce = s.g.op.Index
		}
		if s.want[i] > s.use[i] {
			s.use[i] = max(s.use[i], min(s.want[i], s.limit[i]))
		}
		sum += s.use[i]
		r.reachable = !s.away[i]
		r.Instances = []lb.InstanceStatus{{Cluster: "c1", Instance: "i1", InFlight: int64(s.use[i]), Waiting: int64(max(s.want[i]-s.use[i], 0))}}
	}
	return sum
}

// TestSharesFollowDemandAndRest: divided evenly at first, moved to where requests wait, and left alone when nothing waits.
func TestSharesFollowDemandAndRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(boundedCluster(30))
		s := &sharers{g: g}
		run := func(d time.Duration) {
			for range d / (50 * time.Millisecond) {
				if sum := s.step(); sum > 30 {
					t.Errorf("%d connections, bound 30", sum)
				}
				time.Sleep(50 * time.Millisecond)
			}
			synctest.Wait()
		}
		s.step()
		tm := g.term("n1")
		defer g.lead(tm, &sharesDuty{term: tm})()
		run(time.Second)
		if s.limit != [3]int{10, 10, 10} {
			t.Errorf("at first %v, want 10 each", s.limit)
		}
		n := count[*fsm.SharesSet](g.done())
		s.want = [3]int{10, 3, 0}
		run(time.Minute)
		if got := count[*fsm.SharesSet](g.done()); got != n {
			t.Errorf("%d commands although nothing waits", got-n)
		}
		s.want = [3]int{100, 3, 0}
		run(3 * time.Second)
		if s.limit != [3]int{20, 5, 5} || s.use[0] != 20 {
			t.Errorf("when one needs more: %v, want 20, and half of an even share for the others", s.limit)
		}
		n = count[*fsm.SharesSet](g.done())
		run(time.Minute)
		if got := count[*fsm.SharesSet](g.done()); got != n {
			t.Errorf("%d commands although nothing changes", got-n)
		}
		s.want, s.use = [3]int{0, 100, 0}, [3]int{}
		run(3 * time.Second)
		if s.limit != [3]int{5, 20, 5} {
			t.Errorf("when the demand moves: %v", s.limit)
		}
	})
}

// TestSharesFollowYields: with locality nothing waits at a near instance; a node whose requests go past it gets its share all the same, also when there are
// fewer connections than nodes, and keeps it.
func TestSharesFollowYields(t *testing.T) { // WAS-22
	for _, c := range []struct{ bound, want, least int }{{1, 1, 1}, {2, 1, 1}, {30, 20, 18}} {
		synctest.Test(t, func(t *testing.T) {
			g := newFakeGroup(boundedCluster(c.bound))
			s := &sharers{g: g}
			run := func(steps int) {
				for range steps {
					if sum := s.step(); sum > c.bound {
						t.Errorf("%d connections, bound %d", sum, c.bound)
					}
					s.g.mu.Lock()
					for i := range s.yields { // what is waited for in step goes elsewhere here
						s.yields[i] += int64(max(s.want[i]-s.use[i], 0))
						in := &s.g.nodes[i].Instances[0]
						in.Waiting, in.Yielded = 0, s.yields[i]
					}
					s.g.mu.Unlock()
					time.Sleep(50 * time.Millisecond)
				}
				synctest.Wait()
			}
			s.yields = [3]int64{70, 0, 0} // of some other day
			s.step()
			tm := g.term("n1")
			defer g.lead(tm, &sharesDuty{term: tm})()
			run(40)
			for _, i := range []int{2, 1} {
				s.want, s.use = [3]int{}, [3]int{}
				s.want[i] = c.want
				run(200)
				if s.use[i] < c.least {
					t.Errorf("bound %d: node %d has %d of the %d that it needs: %v", c.bound, i+1, s.use[i], c.want, s.limit)
				}
			}
			n := count[*fsm.SharesSet](g.done())
			run(400)
			if got := count[*fsm.SharesSet](g.done()); got != n {
				t.Errorf("bound %d: %d commands although nothing changes: %v", c.bound, got-n, s.limit)
			}
		})
	}
}

// TestSharesAreNeverExceeded with nodes that hear late or not at all, leaders that die, and commands of which nobody knows whether they took effect.
// (per-instance connection limits, exact over all nodes)
func TestSharesAreNeverExceeded(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			bound := 1 + r.IntN(30)
			g := newFakeGroup(boundedCluster(bound))
			s := &sharers{g: g}
			way := rand.New(rand.NewPCG(seed, 2)) // of the leader's goroutine
			g.refuse = func(c fsm.Command) error {
				switch way.IntN(6) {
				case 0:
					return errAway
				case 1: // it took effect, and the leader does not know
					g.index++
					g.apply(c)
					return errAway
				}
				return nil
			}
			s.step()
			tm := g.term("n1")
			kill := g.lead(tm, &sharesDuty{term: tm})
			most := 0
			for step := range 1500 {
				for i := range s.want {
					if r.IntN(10) == 0 {
						s.want[i] = r.IntN(2 * bound)
						s.use[i] = min(s.use[i], max(s.want[i], r.IntN(bound+1))) // some of the requests end
					}
					if r.IntN(15) == 0 {
						s.away[i], s.lazy[i] = r.IntN(4) == 0, r.IntN(3) == 0
					}
				}
				sum := s.step()
				if most = max(most, sum); sum > bound {
					kill()
					t.Fatalf("seed %d, step %d: %d connections %v, bound %d", seed, step, sum, s.use, bound)
				}
				if r.IntN(40) == 0 {
					kill()
					tm = g.term("n1")
					kill = g.lead(tm, &sharesDuty{term: tm})
				}
				time.Sleep(50 * time.Millisecond)
			}
			kill()
			if most < bound {
				t.Errorf("seed %d: never more than %d connections in use, bound %d: the shares are not given out", seed, most, bound)
			}
		})
	}
}

// TestSharesOfABoundThatGoes: they are taken off the list.
func TestSharesOfABoundThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(boundedCluster(3))
		tm := g.term("n1")
		defer g.lead(tm, &sharesDuty{term: tm})()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(g.Operating().Shares); n != 3 {
			t.Fatalf("%d shares, want 3", n)
		}
		g.change(func(op *fsm.Operating) { op.Config = newFakeGroup(boundedCluster(0)).op.Config })
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(g.Operating().Shares); n != 0 {
			t.Errorf("%d shares of an instance without a bound", n)
		}
		asked := g.gatherings()
		time.Sleep(time.Hour)
		if g.gatherings() != asked {
			t.Error("nodes are asked although nothing is bounded")
		}
	})
}
