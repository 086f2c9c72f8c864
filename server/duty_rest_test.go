package server

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestLockExpires at its time, and not when it was prolonged.
func TestLockExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		lock := func(d time.Duration) {
			g.change(func(op *fsm.Operating) {
				op.Lock = &fsm.Lock{ID: g.index, Owner: "alice"}
				if d > 0 {
					op.Lock.Until = time.Now().Truncate(time.Millisecond).Add(d)
				}
			})
		}
		on := func() bool { synctest.Wait(); return g.Operating().Lock != nil }
		tm := g.term("n1")
		defer g.lead(tm, lockDuty{tm})()
		lock(time.Hour)
		time.Sleep(59 * time.Minute)
		lock(time.Hour)
		time.Sleep(59 * time.Minute)
		if !on() {
			t.Error("a lock that was prolonged has expired")
		}
		time.Sleep(time.Minute + 10*time.Millisecond)
		if on() {
			t.Error("the lock has not expired")
		}
		lock(0)
		time.Sleep(1000 * time.Hour)
		if !on() {
			t.Error("a lock without an end has expired")
		}
		wantCount[*fsm.LockClear](t, g, 1)
	})
}

// TestSchedules: each is applied once at its time, whoever leads; what cannot be applied leaves the list with its reason.
func TestSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		add := func(s fsm.Schedule, after time.Duration) {
			s.At = time.Now().Truncate(time.Millisecond).Add(after)
			g.change(func(op *fsm.Operating) { op.Schedules = append(op.Schedules, s) })
		}
		revision := func() uint64 { synctest.Wait(); return g.Operating().Revision.Number }
		tm := g.term("n1")
		kill := g.lead(tm, scheduleDuty{tm})
		add(fsm.Schedule{ID: "edits", Actor: "alice", Message: "night shift"}, time.Hour)
		add(fsm.Schedule{ID: "whole", Actor: "bob", Expect: 2, Config: config.Empty()}, 2*time.Hour)
		add(fsm.Schedule{ID: "late", Actor: "bob", Expect: 2, Config: config.Empty()}, 3*time.Hour)
		time.Sleep(time.Hour - time.Millisecond)
		if revision() != 1 {
			t.Error("applied too early")
		}
		kill() // just before; the next leader comes just after
		time.Sleep(500 * time.Millisecond)
		tm = g.term("n2")
		kill = g.lead(tm, scheduleDuty{tm})
		if revision() != 2 || g.Operating().Revision.Actor != "alice" {
			t.Errorf("revision %d, want 2", revision())
		}
		time.Sleep(time.Hour)
		if revision() != 3 {
			t.Errorf("revision %d, want 3", revision())
		}
		time.Sleep(time.Hour)
		if revision() != 3 || len(g.Operating().Schedules) != 0 {
			t.Errorf("revision %d and %d schedules, want 3 and none", revision(), len(g.Operating().Schedules))
		}
		drop, _ := g.commands[len(g.commands)-1].(*fsm.ScheduleDrop)
		if drop == nil || drop.ID != "late" || !strings.Contains(drop.Failure, "made from revision 2") {
			t.Errorf("dropped with %+v", drop)
		}
		g.change(func(op *fsm.Operating) { op.Lock = &fsm.Lock{Owner: "carol", Reason: "upgrade"} })
		add(fsm.Schedule{ID: "locked"}, 0)
		synctest.Wait()
		drop, _ = g.commands[len(g.commands)-1].(*fsm.ScheduleDrop)
		if drop == nil || drop.ID != "locked" || !strings.Contains(drop.Failure, "carol: upgrade") {
			t.Errorf("dropped with %+v", drop)
		}
		kill()
	})
}

// TestScheduleWhoseFailureIsLong: a reason that is longer than the state keeps takes the schedule off the list all the same; otherwise it would be in
// the way of all others, and be applied hours late.
func TestScheduleWhoseFailureIsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		var edits []config.Edit
		for i := range 200 {
			edits = append(edits, config.Edit{Op: "disable", Kind: "instance", Cluster: "c1", Name: fmt.Sprintf("%s%d", strings.Repeat("x", 50), i)})
		}
		at := time.Now()
		g.change(func(op *fsm.Operating) {
			op.Lock = &fsm.Lock{Owner: "carol", Reason: strings.Repeat("ü", 2048)}
			op.Schedules = []fsm.Schedule{{ID: "edits", At: at, Edits: edits}, {ID: "locked", At: at}}
		})
		tm := g.term("n1")
		defer g.lead(tm, scheduleDuty{tm})()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(g.Operating().Schedules); n != 0 {
			t.Fatalf("%d schedules are stuck", n)
		}
		for _, c := range g.commands {
			if d, ok := c.(*fsm.ScheduleDrop); ok && (!utf8.ValidString(d.Failure) || len(d.Failure) < 1000) {
				t.Errorf("%s: a reason of %d bytes, valid %v", d.ID, len(d.Failure), utf8.ValidString(d.Failure))
			}
		}
	})
}

// TestScheduleIsAppliedOnceWhenTheAnswerIsLost: the change was made, and the leader did not learn of it.
func TestScheduleIsAppliedOnceWhenTheAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		g.change(func(op *fsm.Operating) { op.Schedules = []fsm.Schedule{{ID: "s", At: time.Now()}} })
		lost := false
		g.refuse = func(c fsm.Command) error {
			if _, ok := c.(*fsm.ConfigChange); ok && !lost {
				lost = true
				g.index++
				g.apply(c)
				return errAway
			}
			return nil
		}
		tm := g.term("n1")
		defer g.lead(tm, scheduleDuty{tm})()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := g.Operating().Revision.Number; n != 2 || !lost {
			t.Errorf("revision %d, want 2", n)
		}
	})
}

// TestSkewIsWatched: a clock that is more than 250 ms off is warned of once, and measured. (TC-26, TIP-28)
func TestSkewIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		g.nodes[1].skew = -300 * time.Millisecond
		g.nodes[2].skew, g.nodes[2].rtt = 300*time.Millisecond, 200*time.Millisecond // no more than 250 ms for certain
		reg := prometheus.NewRegistry()
		tm := g.term("n1")
		defer g.lead(tm, &skewDuty{term: tm, gauge: newSkewGauge(reg)})()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := g.logged("the clock of another node differs"); n != 1 || g.logged("other=n2 difference=-300ms limit=250ms") != 1 {
			t.Errorf("%d warnings:\n%s", n, g.log.String())
		}
		if got := fmt.Sprint(gauges(t, reg)); got != "map[n2:-0.3 n3:0.3]" {
			t.Errorf("measured %s", got)
		}
		time.Sleep(10 * time.Minute)
		if n := g.logged("the clock of another node differs"); n != 2 {
			t.Errorf("%d warnings after 15 minutes, want a second one", n)
		}
	})
}

func gauges(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return out
}
