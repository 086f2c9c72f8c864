package fsm

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// genConfig draws a configuration of few names, so that two of them have much in common. Choices are drawn with SampledFrom, which is even.
func genConfig() *rapid.Generator[*config.Config] {
	mostly := rapid.SampledFrom([]bool{true, true, true, false})
	bound := rapid.SampledFrom([]int{0, 0, 1, 3, 5})
	return rapid.Custom(func(t *rapid.T) *config.Config {
		c := testConfig()
		for _, name := range []string{"x", "y"} {
			if !mostly.Draw(t, "cluster") {
				continue
			}
			cl := testCluster(name, time.Duration(rapid.IntRange(0, 100).Draw(t, "idle"))*time.Second)
			cl.Registration.Allow = mostly.Draw(t, "allow")
			for _, in := range []string{"i1", "i2", "i3", "i4"} {
				if mostly.Draw(t, "instance") {
					cl.Instances = append(cl.Instances, config.Instance{Name: in, Weight: 1, Enabled: mostly.Draw(t, "enabled"),
						QuiesceTimeout: genTimeout().Draw(t, "timeout"), MaxSessions: bound.Draw(t, "maxSessions"), MaxConnections: bound.Draw(t, "maxConnections")})
				}
			}
			for _, root := range []string{"/a", "/b", "/c"} {
				if mostly.Draw(t, "module") {
					cl.Modules = append(cl.Modules, config.Module{ContextRoot: root, Enabled: mostly.Draw(t, "enabled"), QuiesceTimeout: genTimeout().Draw(t, "timeout")})
				}
			}
			c.Clusters = append(c.Clusters, cl)
		}
		return c
	})
}

func genTimeout() *rapid.Generator[config.Duration] {
	return rapid.Map(rapid.SampledFrom([]int{0, 1, 2, 2, 2}), func(n int) config.Duration { return config.Duration(n) * config.Duration(time.Minute) })
}

func genSubject() *rapid.Generator[Subject] {
	return rapid.Custom(func(t *rapid.T) Subject {
		s := Subject{Cluster: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "cluster")}
		if rapid.Bool().Draw(t, "module") {
			s.ContextRoot = rapid.SampledFrom([]string{"/a", "/b", "/c"}).Draw(t, "root")
		} else {
			s.Instance = rapid.SampledFrom([]string{"i1", "i2", "i3", "i4", "r1"}).Draw(t, "instance")
		}
		return s
	})
}

// genOperating draws a command of operators. Times and revisions are drawn so that many of them fit: see fitted.
func genOperating(id RequestID) *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		small := func(what string, most int) int {
			all := make([]int, most+1)
			for i := range all {
				all[i] = i
			}
			return rapid.SampledFrom(all).Draw(t, what)
		}
		instance := func() InstanceID { return InstanceID(small("instance", 8)) }
		subjects := rapid.SliceOfN(genSubject(), 0, 2)
		w := fmt.Sprint("w", small("workflow", 3))
		switch small("command", 12) {
		case 0, 1, 2:
			return &ConfigChange{RequestID: id, Actor: "a", Message: "m", Now: subjects.Draw(t, "now"), Stopped: rapid.SliceOfN(genSubject(), 0, 1).Draw(t, "stopped"),
				Lock: uint64(small("lock", 3)), Schedule: rapid.SampledFrom([]string{"", "", "", "s1"}).Draw(t, "schedule"), Config: genConfig().Draw(t, "config")}
		case 3:
			return &QuiesceSet{RequestID: id, Subject: genSubject().Draw(t, "subject"), Remaining: genTimeout().Draw(t, "remaining"), Total: genTimeout().Draw(t, "total"), Actor: "a"}
		case 4:
			return &QuiesceEnd{Subject: genSubject().Draw(t, "subject"), Idle: rapid.Bool().Draw(t, "idle"), Node: "n1"}
		case 5:
			return &LockSet{RequestID: id, Owner: rapid.SampledFrom([]string{"", "o1", "o2"}).Draw(t, "owner"), Reason: "r", Timeout: genTimeout().Draw(t, "timeout")}
		case 6:
			return &LockClear{RequestID: id, Actor: "a", Expired: rapid.Bool().Draw(t, "expired")}
		case 7:
			states := rapid.SampledFrom([]HealthState{HealthUp, HealthSuspect, HealthFailed, HealthFailed, "sick"})
			v := &VerdictSet{}
			for range small("verdicts", 4) {
				v.Verdicts = append(v.Verdicts, Verdict{Instance: instance(), State: states.Draw(t, "state"), Reason: "r", Down: small("down", 3), Reporting: 3})
			}
			return v
		case 8:
			in := config.Instance{Name: rapid.SampledFrom([]string{"r1", "r2", "i1"}).Draw(t, "name"), Enabled: rapid.Bool().Draw(t, "enabled"), Weight: small("weight", 2)}
			return &InstanceRegister{RequestID: id, Cluster: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "cluster"), Instance: in, Actor: "agent"}
		case 9:
			return &InstanceDrop{Instances: []InstanceRef{{"x", "r1"}, {"y", "r2"}}[:small("drop", 2)], Reason: "silent"}
		case 10:
			s := Schedule{ID: rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "id"), At: testStart.Add(time.Duration(small("at", 9)) * time.Hour), Actor: "a"}
			if rapid.Bool().Draw(t, "edits") {
				s.Edits = []config.Edit{{Op: "disable", Kind: "instance", Cluster: "x", Name: "i1", Values: json.RawMessage("{}")}}
				s.Now = subjects.Draw(t, "now")
			} else {
				s.Config = genConfig().Draw(t, "config")
			}
			if rapid.Bool().Draw(t, "drop") {
				return &ScheduleDrop{RequestID: id, ID: s.ID, Actor: "a", Failure: rapid.SampledFrom([]string{"", "broken"}).Draw(t, "failure")}
			}
			return &ScheduleSet{RequestID: id, Schedule: s}
		case 11:
			return &WorkflowSet{RequestID: id, Expect: uint64(small("expect", 1)), Workflow: Workflow{ID: w, Kind: "upgrade",
				State: rapid.SampledFrom(append([]string{"odd"}, workflowStates...)).Draw(t, "state"), Spec: []byte("s"), Note: "n"}}
		}
		c := &SharesSet{}
		for range small("shares", 3) {
			c.Shares = append(c.Shares, Share{Instance: instance(), Node: rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"), Limit: small("limit", 3)})
		}
		return c
	})
}

// fitted gives a command what most of them need to do anything: the present revision, the id and deadline of a quiesce that runs, the version of
// a workflow. Otherwise nearly all would be refused.
func (r *replicaUnderTest) fitted(c Command) Command {
	o := r.s.Operating()
	switch c := c.(type) {
	case *ConfigChange:
		c.Expect = o.Revision.Number
		if o.Lock != nil && c.Lock == 1 {
			c.Lock = o.Lock.ID
		}
	case *QuiesceSet:
		if len(o.Quiesces) > 0 {
			c.ID, c.Subject = o.Quiesces[0].ID, o.Quiesces[0].Subject
		}
	case *QuiesceEnd:
		if len(o.Quiesces) > 0 {
			q := o.Quiesces[len(o.Quiesces)-1]
			c.ID, c.Subject, c.Deadline = q.ID, q.Subject, q.Deadline
		}
	case *WorkflowSet:
		for _, w := range o.Workflows {
			if w.ID == c.Workflow.ID && c.Expect != 0 {
				c.Expect = w.Version
			}
		}
	}
	return c
}

// Plan says exactly what a change then does, whatever runs: issue "config plan predicts exactly what apply then does".
func TestPlanIsTheEffect(t *testing.T) {
	changes, kinds := 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		r := newReplicaUnderTest(t)
		r.do(&ConfigChange{Config: genConfig().Draw(t, "first")})
		for range 12 {
			r.now = r.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			r.ops(rapid.SliceOfN(genOp(), 0, 20).Draw(t, "ops")...)
			if rapid.Bool().Draw(t, "other") {
				r.do(r.fitted(genOperating(RequestID{}).Draw(t, "command")))
			}
			c := &ConfigChange{Expect: r.s.Revision().Number, Now: rapid.SliceOfN(genSubject(), 0, 3).Draw(t, "now"), Config: genConfig().Draw(t, "config")}
			plan := r.s.Plan(c.Config, c.Now)
			res := r.do(c)
			if res.Code == CodeLocked {
				continue
			}
			var did Effect
			if res.Effect != nil {
				did = *res.Effect
			}
			if res.Code != CodeOK || !reflect.DeepEqual(plan, did) {
				t.Fatalf("planned %+v\ndid     %+v (%+v)", plan, did, res)
			}
			changes++
			kinds["sessions"] += sessionsOf(did)
			kinds["started"] += len(did.Started)
			kinds["changed"] += len(did.Changed)
			kinds["canceled"] += len(did.Canceled)
			kinds["stopped"] += len(did.Stopped)
			wantPhases(t, r.s)
		}
	})
	for _, kind := range []string{"started", "changed", "canceled", "stopped", "sessions"} {
		if changes < 1000 || kinds[kind] < 20 {
			t.Fatalf("%d changes with %v: too few to mean anything", changes, kinds)
		}
	}
	t.Logf("%d changes with %v", changes, kinds)
}

func sessionsOf(e Effect) (n int) {
	for _, s := range e.Started {
		n += s.Sessions
	}
	for _, s := range e.Stopped {
		n += s.Sessions
	}
	return n
}

// wantPhases: what quiesces is configured and disabled, once.
func wantPhases(t tester, s *State) {
	t.Helper()
	o := s.Operating()
	all, seen := subjectsOf(o.Config), map[Subject]bool{}
	for _, q := range o.Quiesces {
		st, ok := all.of[q.Subject]
		if !ok || st.enabled || seen[q.Subject] || o.phase(q.Subject) != PhaseQuiescing {
			t.Fatalf("%+v quiesces: configured %v, enabled %v, twice %v", q.Subject, ok, st.enabled, seen[q.Subject])
		}
		seen[q.Subject] = true
	}
}
