package server

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb"
)

const quiescedText = "Instance: i1 quiesced successfully over the cluster: c1."

func (g *fakeGroup) quiesce(instance string, left time.Duration, sessions int) {
	g.change(func(op *fsm.Operating) {
		now := time.Now().Truncate(time.Millisecond)
		op.Quiesces = append(slices.Clone(op.Quiesces), fsm.Quiesce{ID: g.index, Subject: fsm.Subject{Cluster: "c1", Instance: instance}, Started: now, Deadline: now.Add(left)})
		g.sessions[g.ids[fsm.InstanceRef{Cluster: "c1", Instance: instance}]] = sessions
	})
}

func (g *fakeGroup) quiesces() int { return len(g.Operating().Quiesces) }

// TestQuiesceEndsOnTimeUnderTenLeaderKills: one end, within a second of its time, one line in the log of the whole group. (SUN quiesce end; issue, "must show" 2)
func TestQuiesceEndsOnTimeUnderTenLeaderKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1", "i2"))
		dir := [3]string{t.TempDir(), t.TempDir(), t.TempDir()}
		marks := [3]*eventMark{}
		for i := range marks {
			marks[i] = openEventMark(dir[i], 0, g.term("x").log)
		}
		lead := func(i int) func() {
			tm := g.term([]string{"n1", "n2", "n3"}[i%3])
			events := &eventDuty{term: tm, mark: marks[i%3], tell: func(_ context.Context, seq uint64) {
				for _, m := range marks {
					m.raise(seq)
				}
			}}
			return g.lead(tm, &quiesceDuty{term: tm}, events)
		}
		g.quiesce("i1", 31*time.Minute, 5)
		deadline := g.Operating().Quiesces[0].Deadline
		kill := lead(0)
		for i := 1; i <= 10; i++ {
			time.Sleep(3 * time.Minute)
			kill()
			time.Sleep(300 * time.Millisecond) // an election
			kill = lead(i)
		}
		if g.quiesces() != 1 {
			t.Fatal("it ended too early")
		}
		time.Sleep(time.Until(deadline.Add(-time.Millisecond)))
		synctest.Wait()
		if g.quiesces() != 1 {
			t.Fatal("it ended before its deadline")
		}
		kill() // the eleventh, at the very moment
		time.Sleep(300 * time.Millisecond)
		kill = lead(11)
		time.Sleep(time.Until(deadline.Add(time.Second)))
		synctest.Wait()
		if g.quiesces() != 0 {
			t.Error("it has not ended a second after its deadline")
		}
		kill()
		kill = lead(12)
		synctest.Wait()
		kill()
		wantCount[*fsm.QuiesceEnd](t, g, 1)
		if n := g.logged(`msg="` + quiescedText + `"`); n != 1 {
			t.Errorf("%d lines in the log, want one:\n%s", n, g.log.String())
		}
		if end := g.done()[0].(*fsm.QuiesceEnd); end.Node != "n3" || end.Idle || !end.Deadline.Equal(deadline) {
			t.Errorf("the end is %+v", end)
		}
	})
}

// TestQuiesceEndsEarlyWhenNothingIsLeft: no assignment, and no request in flight on any node that obeys.
func TestQuiesceEndsEarlyWhenNothingIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*fakeGroup)
		early   bool
	}{
		"nothing left":  {func(g *fakeGroup) { g.obey(0, 1, 2) }, true},
		"an assignment": {func(g *fakeGroup) { g.obey(0, 1, 2); g.sessions[1] = 1 }, false},
		"a request in flight": {func(g *fakeGroup) {
			g.obey(0, 1, 2)
			g.say(1, lb.InstanceStatus{Cluster: "c1", Instance: "i1", InFlight: 1})
		}, false},
		"a request that waits": {func(g *fakeGroup) {
			g.obey(0, 1, 2)
			g.say(1, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Waiting: 1})
		}, false},
		"somebody else's": {func(g *fakeGroup) {
			g.obey(0, 1, 2)
			g.say(1, lb.InstanceStatus{Cluster: "c1", Instance: "i2", InFlight: 1})
		}, true},
		"a node is behind": {func(g *fakeGroup) { g.obey(0, 1) }, false},
		"a node is away":   {func(g *fakeGroup) { g.obey(0, 1, 2); g.nodes[2] = memberReport{node: "n3"} }, false},
		"nobody answers":   {func(g *fakeGroup) { g.nodes = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGroup(testCluster("i1", "i2"))
				g.quiesce("i1", time.Minute, 0)
				c.prepare(g)
				tm := g.term("n1")
				kill := g.lead(tm, &quiesceDuty{term: tm})
				defer kill()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if ended := g.quiesces() == 0; ended != c.early {
					t.Errorf("ended: %v", ended)
				}
				if max := 10*4 + 1; g.gatherings() > max {
					t.Errorf("asked %d times in ten seconds, want every 250 ms at most", g.gatherings())
				}
				time.Sleep(51 * time.Second)
				synctest.Wait()
				if g.quiesces() != 0 {
					t.Error("it has not ended at its deadline")
				}
				asked := g.gatherings()
				time.Sleep(time.Hour)
				if g.gatherings() != asked {
					t.Error("nodes are asked although nothing quiesces")
				}
				wantCount[*fsm.QuiesceEnd](t, g, 1)
			})
		})
	}
}

// TestQuiesceFollowsItsDeadline: an operator moves the deadline, both ways.
func TestQuiesceFollowsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		g.quiesce("i1", time.Hour, 1)
		tm := g.term("n1")
		defer g.lead(tm, &quiesceDuty{term: tm})()
		move := func(left time.Duration) {
			g.change(func(op *fsm.Operating) {
				op.Quiesces = slices.Clone(op.Quiesces)
				op.Quiesces[0].Deadline = time.Now().Truncate(time.Millisecond).Add(left)
			})
		}
		move(2 * time.Hour)
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if g.quiesces() != 1 {
			t.Fatal("it ended at its old deadline")
		}
		move(time.Minute)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if g.quiesces() != 0 {
			t.Error("it has not ended at its new deadline")
		}
	})
}

// TestQuiesceIsTriedAgain: the group cannot be reached at the deadline, and 100 are due together.
func TestQuiesceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		for range 100 {
			g.quiesce("i1", time.Minute, 1)
		}
		until := time.Now().Add(70 * time.Second)
		g.refuse = func(fsm.Command) error {
			if time.Now().Before(until) {
				return errAway
			}
			return nil
		}
		tm := g.term("n1")
		jobs := tm.jobs
		d := &quiesceDuty{term: tm}
		jobs.begin([]duty{d})
		defer g.lead(tm, d)()
		time.Sleep(65 * time.Second)
		synctest.Wait()
		if list := jobs.snapshot(); len(list) != 1 || list[0].Duty != "quiesce" || list[0].Error == "" || list[0].Runs < 2 {
			t.Errorf("jobs %+v, want one with its last error", list)
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if g.quiesces() != 0 {
			t.Errorf("%d still run", g.quiesces())
		}
		wantCount[*fsm.QuiesceEnd](t, g, 100)
	})
}

// TestClockBehindReplicatedTime: a leader whose clock is behind counts by replicated time, and proposes nothing before.
func TestClockBehindReplicatedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		g.quiesce("i1", time.Minute, 1)
		g.mu.Lock()
		g.now = time.Now().Add(2 * time.Minute).Truncate(time.Millisecond) // by an entry of the last leader
		g.mu.Unlock()
		tm := g.term("n1")
		defer g.lead(tm, &quiesceDuty{term: tm})()
		synctest.Wait()
		if g.quiesces() != 0 {
			t.Error("it is over by replicated time, and still runs")
		}
	})
}

// TestSilentNodeDelaysNoDeadline: while the leader waits for the answer of a node that is gone, another quiesce comes to its end.
func TestSilentNodeDelaysNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1", "i2"))
		g.quiesce("i1", time.Hour, 0)
		g.quiesce("i2", 10*time.Second+20*time.Millisecond, 1)
		tm := g.term("n1")
		tm.reports.ask = func(ctx context.Context) []memberReport {
			<-ctx.Done() // as long as it may take
			return append(g.report()[:2:2], memberReport{node: "n3"})
		}
		go func() { // another duty that asks all the time
			for t.Context().Err() == nil {
				tm.reports.get(t.Context(), 0)
			}
		}()
		defer g.lead(tm, &quiesceDuty{term: tm})()
		time.Sleep(10*time.Second + 25*time.Millisecond)
		synctest.Wait()
		if n := g.quiesces(); n != 1 {
			t.Errorf("%d run 5 ms after the deadline of one, want the other one", n)
		}
	})
}
