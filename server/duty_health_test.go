package server

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb"
)

func (g *fakeGroup) verdict() fsm.HealthState {
	for _, v := range g.Operating().Verdicts {
		if v.Instance == 1 {
			return v.State
		}
	}
	return fsm.HealthUp
}

// TestVerdictByMajority (SUN, TC-32: suspect and failed are the group's)
func TestVerdictByMajority(t *testing.T) {
	for name, c := range map[string]struct {
		say  string // one letter for each node: u up, d down, s suspect, p partial, n new, - nothing, x away
		want fsm.HealthState
	}{
		"all up": {"uuu", fsm.HealthUp}, "one down": {"duu", fsm.HealthSuspect}, "two down": {"dud", fsm.HealthFailed}, "all down": {"ddd", fsm.HealthFailed},
		"one suspects": {"uus", fsm.HealthSuspect}, "partial is up": {"ppp", fsm.HealthUp}, "a node is away": {"ddx", fsm.HealthFailed},
		"one of two": {"dux", fsm.HealthSuspect}, "alone": {"dxx", fsm.HealthFailed}, "alone and up": {"uxx", fsm.HealthUp}, "nobody knows it": {"---", fsm.HealthUp},
		"new ones could turn it": {"dnn", fsm.HealthUp}, "a new one cannot": {"ddn", fsm.HealthFailed}, "a new one changes nothing": {"dun", fsm.HealthUp},
		"single node": {"d", fsm.HealthFailed}, "single node suspects": {"s", fsm.HealthSuspect},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGroup(testCluster("i1"))
				g.nodes = g.nodes[:len(c.say)]
				for i, letter := range c.say {
					s := lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "up", Since: time.Now().Add(-time.Minute)}
					switch letter {
					case 'd':
						s.Health, s.Reason = "down", "connection refused"
					case 's':
						s.Suspect = true
					case 'p':
						s.Health = "partial"
					case 'n':
						s.Since = time.Now()
					case 'x':
						g.nodes[i].reachable = false
						continue
					case '-':
						continue
					}
					g.say(i, s)
				}
				tm := g.term("n1")
				defer g.lead(tm, &healthDuty{term: tm})()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := g.verdict(); got != c.want {
					t.Errorf("verdict %s, want %s", got, c.want)
				}
				want := 0
				if c.want != fsm.HealthUp {
					want = 1
				}
				wantCount[*fsm.VerdictSet](t, g, want)
			})
		})
	}
}

// TestVerdictsOfManyAndLongReasons: when thousands fail at once, each with many words, every one gets its verdict.
func TestVerdictsOfManyAndLongReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 5000 {
			names = append(names, fmt.Sprint("i", i))
		}
		g := newFakeGroup(testCluster(names...))
		for i := range g.nodes {
			for _, name := range names {
				g.nodes[i].Instances = append(g.nodes[i].Instances, lb.InstanceStatus{Cluster: "c1", Instance: name, Health: "down",
					Reason: strings.Repeat("http://10.1.2.3:8080: connection refused; ", 40), Since: time.Now()})
			}
		}
		tm := g.term("n1")
		defer g.lead(tm, &healthDuty{term: tm})()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(g.Operating().Verdicts); n != len(names) {
			t.Errorf("%d verdicts, want %d", n, len(names))
		}
	})
}

// TestSuspectCountsThoseThatSuspect: the number stands before their reasons.
func TestSuspectCountsThoseThatSuspect(t *testing.T) {
	for _, c := range []struct {
		v    votes
		want fsm.Verdict
	}{
		{votes{up: 1, suspect: 2}, fsm.Verdict{State: fsm.HealthSuspect, Down: 2, Reporting: 3}},
		{votes{up: 1, down: 1, suspect: 1}, fsm.Verdict{State: fsm.HealthSuspect, Down: 2, Reporting: 3}},
		{votes{down: 2, suspect: 1}, fsm.Verdict{State: fsm.HealthFailed, Down: 2, Reporting: 3}},
		{votes{up: 3}, fsm.Verdict{State: fsm.HealthUp, Down: 3, Reporting: 3}},
	} {
		if got := c.v.verdict(fsm.HealthUp); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.v, got, c.want)
		}
	}
}

// TestHealthEventsCountThoseThatSaySo: also the one of a recovery, by which all are.
func TestHealthEventsCountThoseThatSaySo(t *testing.T) {
	state := fsm.New()
	index := uint64(0)
	apply := func(c fsm.Command) {
		t.Helper()
		entry, err := fsm.Encode(time.Now(), c)
		if err != nil {
			t.Fatal(err)
		}
		index++
		if r, err := state.Apply(index, entry); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	c, err := config.Parse("test", []byte("clusters: [{name: c1, modules: [{contextRoot: /}], instances: [{name: i1, listeners: ['http://127.0.0.1:9001']}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	apply(&fsm.ConfigSet{RequestID: fsm.RequestID{1}, Actor: "test", Config: c})
	is := fsm.HealthUp
	for _, step := range []struct {
		v    votes
		want string
	}{
		{votes{up: 2, down: 1, reasons: []string{"node n1: refused"}}, "Instance i1 of cluster c1 is suspect, by 1 of 3 nodes: node n1: refused"},
		{votes{up: 1, down: 2, reasons: []string{"node n1: refused", "node n2: timeout"}}, "Instance i1 of cluster c1 is failed, by 2 of 3 nodes: node n1: refused; node n2: timeout"},
		{votes{up: 3}, "Instance i1 of cluster c1 is up, by 3 of 3 nodes"},
	} {
		v := step.v.verdict(is)
		v.Instance, is = 1, v.State
		apply(&fsm.VerdictSet{Verdicts: []fsm.Verdict{v}})
		if list := state.Events(state.LastEvent()-1, 1); len(list) != 1 || list[0].Text != step.want {
			t.Errorf("%+v, want %q", list, step.want)
		}
	}
}

// TestVerdictChangesOnceAndNotForAFlap: one command for each change, with the reason, within half a second and two looks; none for a flap; little to do when nothing changes.
func TestVerdictChangesOnceAndNotForAFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		up := lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "up", Since: time.Now().Add(-time.Hour)}
		down := lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "down", Reason: "refused"}
		all := func(s lb.InstanceStatus) {
			for i := range g.nodes {
				g.say(i, s)
			}
		}
		all(up)
		tm := g.term("n1")
		defer g.lead(tm, &healthDuty{term: tm})()
		time.Sleep(time.Minute + 100*time.Millisecond) // between two gatherings
		if g.gatherings() > 121 {
			t.Errorf("asked %d times in a minute", g.gatherings())
		}
		all(down)
		time.Sleep(healthEvery) // one gathering has seen it
		all(up)
		time.Sleep(2 * time.Second)
		wantCount[*fsm.VerdictSet](t, g, 0)
		all(down)
		time.Sleep(healthEvery + healthConfirm + 50*time.Millisecond)
		synctest.Wait()
		wantCount[*fsm.VerdictSet](t, g, 1)
		v := g.Operating().Verdicts[0]
		if v.State != fsm.HealthFailed || v.Down != 3 || v.Reporting != 3 || !strings.Contains(v.Reason, "node n1: refused") {
			t.Errorf("verdict %+v", v)
		}
		up.Since = time.Now() // it has recovered: all have been seen to check it, so they vote at once
		all(up)
		time.Sleep(healthSoon + 10*time.Millisecond) // one that restarts is back at once
		synctest.Wait()
		if got := g.verdict(); got != fsm.HealthUp {
			t.Errorf("verdict %s after the recovery", got)
		}
		wantCount[*fsm.VerdictSet](t, g, 2)
	})
}

// TestNewNodeDoesNotVoteUp: a node that started a moment ago takes everything for available. Its vote counts once its first check must be over.
func TestNewNodeDoesNotVoteUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		g.nodes = g.nodes[:2]
		g.say(0, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "down"})
		g.say(1, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "down"})
		tm := g.term("n1")
		defer g.lead(tm, &healthDuty{term: tm})()
		time.Sleep(time.Second)
		synctest.Wait()
		g.mu.Lock()
		g.nodes[1].started = time.Now() // another process of the node
		g.mu.Unlock()
		g.say(1, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "up", Since: time.Now()})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := g.verdict(); got != fsm.HealthFailed {
			t.Errorf("verdict %s by a node that has checked nothing", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := g.verdict(); got != fsm.HealthSuspect {
			t.Errorf("verdict %s, want suspect: one of two finds it down", got)
		}
	})
}
