package lb

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

const many = 300

// crowd is an application of many instances on one computer, each with a port of its own. It counts the probes and the requests of each.
type crowd struct {
	instances []config.Instance
	probes    [many]atomic.Int64
	requests  [many]atomic.Int64
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{}
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait) // after those below
	for i := range many {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.UserAgent() == "holdfast-health" {
				c.probes[i].Add(1)
				return
			}
			c.requests[i].Add(1)
			fmt.Fprint(w, "i", i)
		})}
		serving.Go(func() { _ = srv.Serve(ln) })
		t.Cleanup(func() { _ = srv.Close() })
		c.instances = append(c.instances, inst(fmt.Sprint("i", i), "http://"+ln.Addr().String()))
	}
	return c
}

// TestManyInstances: hundreds of instances, all on one host, all get their share of new sessions, keep their sessions, and are checked; each is checked once when
// it becomes known and then once per interval, whatever else changes.
func TestManyInstances(t *testing.T) { // TC-08, TC-25
	apps := newCrowd(t)
	cc := conf(apps.instances...)
	cc.Clusters[0].Health.Interval = config.Duration(24 * time.Hour) // the second probe is out of the test's time: its phase takes off 90 % at most
	r := newRig(t, cc)
	probed := func() (sum, most int64) {
		for i := range many {
			n := apps.probes[i].Load()
			sum, most = sum+n, max(most, n)
		}
		return sum, most
	}
	r.wait("every instance has been checked", func() bool { sum, _ := probed(); return sum >= many })
	cl := newClient(t)
	var first reply
	for i := range 2 * many {
		got := newClient(t).get(r.url("/"))
		if got.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d %s", i, got.StatusCode, got.body)
		}
	}
	for i := range many {
		if n := apps.requests[i].Load(); n != 2 {
			t.Errorf("instance i%d got %d of %d new sessions, want 2", i, n, 2*many)
		}
	}
	for i := range 5 {
		got := cl.get(r.url("/"))
		if i == 0 {
			first = got
		}
		if got.body != first.body {
			t.Fatalf("the session went from %s to %s", first.body, got.body)
		}
	}
	for i := range 3 { // what is changed about one is no reason to check the others
		next := clone(cc)
		next.Clusters[0].Instances[i].Weight = 2
		r.apply(next)
	}
	if sum, most := probed(); sum != many || most != 1 {
		t.Errorf("%d checks of %d instances, at most %d of one; want one of each", sum, many, most)
	}
	up := metric(t, r, "holdfast_instance_up")
	if up != many {
		t.Errorf("%v instances are up", up)
	}
}

// TestCostOfManyChecks: n listeners cost n checks per interval and node, no more, one at a time for each, and spread over the interval.
func TestCostOfManyChecks(t *testing.T) { // TC-08
	const interval, rounds = 30 * time.Second, 10
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var sum atomic.Int64
		var running sync.WaitGroup
		perSecond := map[int64]int{}
		var mu sync.Mutex
		begun := time.Now()
		for i := range many {
			var busy atomic.Int32
			check := func(ctx context.Context, _ *healthSettings) error {
				if busy.Add(1) > 1 {
					t.Errorf("two checks of listener %d at once", i)
				}
				defer busy.Add(-1)
				sum.Add(1)
				mu.Lock()
				perSecond[int64(time.Since(begun)/time.Second)]++
				mu.Unlock()
				select {
				case <-time.After(200 * time.Millisecond):
				case <-ctx.Done():
				}
				return nil
			}
			p := newProber(newHealth(time.Now()), newHealthSettings(config.Health{Interval: config.Duration(interval), Timeout: config.Duration(10 * time.Second), Type: "http"}), check, func(bool, string) {})
			p.phase = probePhase("node1", fmt.Sprintf("http://127.0.0.1:%d", 9000+i))
			running.Go(func() { p.run(ctx) })
		}
		<-time.After(interval)
		before := sum.Load()
		if before < many || before > 2*many {
			t.Errorf("%d checks in the first interval, want one of each at once and one more at most", before)
		}
		for round := range rounds {
			<-time.After(interval)
			after := sum.Load()
			if after-before != many {
				t.Errorf("interval %d: %d checks, want %d", round+2, after-before, many)
			}
			before = after
		}
		cancel()
		running.Wait()
		for second, n := range perSecond {
			if second > 0 && n > many/10 {
				t.Errorf("%d checks in second %d: they are not spread over the interval", n, second)
			}
		}
	})
}
