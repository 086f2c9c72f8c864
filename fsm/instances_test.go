package fsm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestVerdicts(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	say := func(id InstanceID, state HealthState, down int) Result {
		return r.do(&VerdictSet{Verdicts: []Verdict{{Instance: id, State: state, Down: down, Reporting: 3, Reason: "refused", Since: testStart.Add(-time.Hour)}}})
	}
	of := func(id InstanceID) Verdict {
		t.Helper()
		i, ok := findVerdict(r.s.Operating().Verdicts, id)
		if !ok {
			t.Fatalf("instance %d has no verdict", id)
		}
		return r.s.Operating().Verdicts[i]
	}
	before := r.s.Digest()
	say(1, HealthUp, 0) // up already
	say(9, HealthFailed, 3)
	say(0, HealthFailed, 3)
	if len(r.s.Operating().Verdicts) != 0 || r.s.Digest() != before {
		t.Fatal("there is nothing to say")
	}
	say(2, HealthSuspect, 1)
	r.at(time.Minute)
	say(1, HealthFailed, 2)
	say(2, HealthSuspect, 1)
	if v := of(2); v.State != HealthSuspect || !v.Since.Equal(testStart) || v.Down != 1 {
		t.Fatalf("%+v", v)
	}
	say(2, HealthFailed, 3)
	if v := of(2); v.State != HealthFailed || !v.Since.Equal(testStart.Add(time.Minute)) {
		t.Fatalf("%+v", v)
	}
	say(2, HealthUp, 0)
	if e := r.eventsOf(EventHealth); len(e) != 4 || e[0].Subject != i2 || of(2).State != HealthUp {
		t.Fatalf("%+v", e)
	}
	r.survives()
	r.wantCode(say(1, "sick", 0), CodeInvalid, "sick")
	r.wantCode(say(1, HealthFailed, -1), CodeInvalid, "no count")
	// What is configured no more has no verdict.
	r.change(func(c *config.Cluster) { c.Instances = c.Instances[1:] })
	if v := r.s.Operating().Verdicts; len(v) != 1 || v[0].Instance != 2 {
		t.Fatalf("%+v", v)
	}
	r.survives()
}

func TestSharesNeverExceedTheBound(t *testing.T) {
	r := newReplicaUnderTest(t)
	bound := func(n int) func(*config.Cluster) {
		return func(c *config.Cluster) { c.Instances[0].MaxConnections = n }
	}
	r.change(bound(10))
	share := func(node string, limit int) Share { return Share{Instance: 1, Node: node, Limit: limit} }
	set := func(s ...Share) Result { return r.do(&SharesSet{Shares: s}) }
	r.wantCode(set(share("n2", 4), share("n1", 6)), CodeOK, "")
	if s := r.s.Operating().Shares; len(s) != 2 || s[0] != share("n1", 6) || s[1] != share("n2", 4) {
		t.Fatalf("%+v", s)
	}
	r.survives()
	r.wantCode(set(share("n1", 6), share("n2", 5)), CodeInvalid, "which is 10")
	r.wantCode(set(share("n1", 1<<62), share("n2", 1<<62)), CodeInvalid, "which is 10")
	r.wantCode(set(share("n1", -1)), CodeInvalid, "")
	r.wantCode(set(share("n1", 1), share("n1", 1)), CodeInvalid, "two shares")
	r.wantCode(set(share("", 1)), CodeInvalid, "node")
	r.wantCode(set(Share{Instance: 2, Node: "n1"}), CodeInvalid, "no maxConnections")
	r.wantCode(set(Share{Instance: 77, Node: "n1"}), CodeInvalid, "not configured")
	// A smaller bound holds at once; a larger one waits for new shares.
	r.change(bound(5))
	if s := r.s.Operating().Shares; len(s) != 2 || s[0].Limit != 3 || s[1].Limit != 2 {
		t.Fatalf("%+v", s)
	}
	r.change(bound(100))
	r.survives()
	r.change(bound(0))
	if s := r.s.Operating().Shares; len(s) != 0 {
		t.Fatalf("%+v", s)
	}
	r.survives()
}

func TestRegistration(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	reg := func(name string, weight int) Result {
		return r.do(&InstanceRegister{Cluster: "c1", Instance: config.Instance{Name: name, Enabled: true, Weight: weight, MaxSessions: 1}, Actor: "agent"})
	}
	names := func() (out []string) {
		for _, in := range r.s.Operating().Config.Clusters[0].Instances {
			out = append(out, in.Name)
		}
		return out
	}
	r.wantCode(reg("r1", 1), CodeInvalid, "registration.allow")
	r.wantCode(r.do(&InstanceRegister{Cluster: "no", Instance: config.Instance{Name: "r1"}}), CodeInvalid, "no cluster")
	r.change(func(c *config.Cluster) { c.Registration.Allow = true })
	rev := r.s.Revision().Number
	r.wantCode(reg("r1", 1), CodeOK, "")
	r.wantCode(reg("i1", 1), CodeInvalid, "in its configuration")
	r.wantCode(reg("", 1), CodeInvalid, "missing")
	id, ok := r.s.InstanceID("c1", "r1")
	if !ok || fmt.Sprint(names()) != "[i1 i2 r1]" || r.s.Revision().Number != rev || len(r.s.Revision().Config.Clusters[0].Instances) != 2 {
		t.Fatalf("%v, revision %d", names(), r.s.Revision().Number)
	}
	// It is an instance like any other: sessions, its bound, its verdict.
	if got := r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: id, Reason: ReasonPolicy},
		SessionOp{Kind: OpAssign, Key: testKey(2), Instance: id, Reason: ReasonPolicy}); got[0].Code != CodeOK || got[1].Code != CodeFull {
		t.Fatalf("%+v", got)
	}
	r.do(&VerdictSet{Verdicts: []Verdict{{Instance: id, State: HealthFailed, Down: 3, Reporting: 3}}})
	before := r.s.Digest()
	r.wantCode(reg("r1", 1), CodeOK, "")
	if r.s.Digest() != before {
		t.Fatal("registered again as before: nothing changes")
	}
	r.at(time.Minute)
	r.wantCode(reg("r1", 2), CodeOK, "")
	if g := r.s.Operating().Registered; len(g) != 1 || g[0].Instance.Weight != 2 || !g[0].Since.Equal(testStart) {
		t.Fatalf("%+v", g)
	}
	r.wantCode(reg("r2", 1), CodeOK, "")
	r.survives()
	// A revision with an instance of that name takes its place; nothing that runs changes by it.
	res := r.change(func(c *config.Cluster) { c.Instances = append(c.Instances, config.Instance{Name: "r2", Enabled: true}) })
	if res.Effect != nil || len(r.s.Operating().Registered) != 1 || fmt.Sprint(names()) != "[i1 i2 r2 r1]" {
		t.Fatalf("%+v, %v", res.Effect, names())
	}
	r.wantCode(r.do(&InstanceDrop{Instances: []InstanceRef{{"c1", "r1"}, {"c1", "i1"}, {"no", "no"}}, Reason: "no heartbeat for 3s"}), CodeOK, "")
	if e := r.eventsOf(EventDropped); len(e) != 1 || !strings.Contains(e[0].Text, "3s") || fmt.Sprint(names()) != "[i1 i2 r2]" || len(r.s.Operating().Verdicts) != 0 {
		t.Fatalf("%+v, %v, %+v", e, names(), r.s.Operating().Verdicts)
	}
	// Its id and its sessions stay: it may come back.
	if again, _ := r.s.InstanceID("c1", "r1"); again != id || r.s.Sessions(id) != 1 {
		t.Fatal("the id is another one, or the session is gone")
	}
	r.wantCode(reg("r1", 1), CodeOK, "")
	res = r.change(func(c *config.Cluster) { c.Registration.Allow = false })
	if len(r.s.Operating().Registered) != 0 || len(res.Effect.Stopped) != 1 || res.Effect.Stopped[0].Sessions != 1 || res.Effect.Stopped[0].Why != "removed" {
		t.Fatalf("%+v", res.Effect)
	}
	r.survives()
}

// A registered instance that says that it is disabled quiesces like any other.
func TestRegisteredInstanceQuiesces(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(func(c *config.Cluster) { c.Registration.Allow = true })
	reg := func(enabled bool) {
		r.wantCode(r.do(&InstanceRegister{Cluster: "c1", Instance: config.Instance{Name: "r1", Enabled: enabled, QuiesceTimeout: minute}}), CodeOK, "")
	}
	reg(true)
	reg(false)
	s := Subject{Cluster: "c1", Instance: "r1"}
	if q := r.quiesceOf(s); !q.Deadline.Equal(testStart.Add(time.Minute)) || q.ID != r.index {
		t.Fatalf("%+v", q)
	}
	r.survives()
	r.do(&InstanceDrop{Instances: []InstanceRef{{"c1", "r1"}}})
	if len(r.s.Operating().Quiesces) != 0 {
		t.Fatal("it still quiesces")
	}
	r.survives()
}

func TestRegistrationsAreBounded(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(func(c *config.Cluster) { c.Registration.Allow = true })
	o := *r.s.Operating()
	for n := range maxRegistered {
		in := config.Instance{Name: fmt.Sprint("r", n)}
		o.Registered = append(o.Registered, Registration{Cluster: "c1", Instance: in})
	}
	r.cur().operating.Store(&o)
	r.wantCode(r.do(&InstanceRegister{Cluster: "c1", Instance: config.Instance{Name: "one more"}}), CodeInvalid, "4096 instances")
	r.wantCode(r.do(&InstanceRegister{Cluster: "c1", Instance: config.Instance{Name: "r7", Zone: strings.Repeat("x", maxBlobBytes)}}), CodeInvalid, "at most 262144")
}

func TestModuleIDs(t *testing.T) {
	r := newReplicaUnderTest(t)
	mod := func(host, root string) config.Module {
		return config.Module{Host: host, ContextRoot: root, Enabled: true}
	}
	r.change(func(c *config.Cluster) { c.Modules = []config.Module{mod("", "/a"), mod("h", "/a"), mod("", "/a")} })
	r.change(func(c *config.Cluster) { c.Modules = []config.Module{mod("", "/b"), mod("h", "/a")} })
	r.change(func(c *config.Cluster) { c.Modules = []config.Module{mod("", "/a")} })
	for i, ref := range []ModuleRef{{"c1", "", "/a"}, {"c1", "h", "/a"}, {"c1", "", "/b"}} {
		id, ok := r.s.ModuleID(ref.Cluster, ref.Host, ref.ContextRoot)
		if got, known := r.s.ModuleRef(ModuleID(i + 1)); !ok || !known || id != ModuleID(i+1) || got != ref {
			t.Errorf("%+v: id %d, %v; %+v, %v", ref, id, ok, got, known)
		}
	}
	for _, id := range []ModuleID{0, 4, 65535} {
		if ref, ok := r.s.ModuleRef(id); ok || r.s.ModuleSessions(id) != 0 {
			t.Errorf("module %d is %+v", id, ref)
		}
	}
	if _, ok := r.s.ModuleID("c1", "", "/none"); ok {
		t.Error("an id for a module that never was")
	}
	r.survives()
}

func TestModuleIDsAreBounded(t *testing.T) {
	r := newReplicaUnderTest(t)
	some := func(from, to int) func(*config.Cluster) {
		return func(c *config.Cluster) {
			c.Modules = nil
			for n := from; n < to; n++ {
				c.Modules = append(c.Modules, config.Module{ContextRoot: fmt.Sprint("/", n)})
			}
		}
	}
	for n := 0; n < 65_000; n += 5000 {
		r.wantCode(r.change(some(n, n+5000)), CodeOK, "")
	}
	before := r.s.Revision()
	r.wantCode(r.change(some(65_000, 65_536)), CodeInvalid, "65535 modules over the life of the group")
	if r.s.Revision() != before {
		t.Fatal("refused, and yet there is a revision")
	}
	r.wantCode(r.change(some(65_000, 65_535)), CodeOK, "")
	r.wantCode(r.change(some(0, 1)), CodeOK, "")
	if id, ok := r.s.ModuleID("c1", "", "/65534"); !ok || id != 65535 {
		t.Fatalf("the last id is %d, %v", id, ok)
	}
	r.survives()
}

// A configuration of an older version gives out no module ids and starts no quiesce, as it did there; the next change does.
func TestOlderConfigSet(t *testing.T) {
	r := newReplicaUnderTest(t)
	set := func(expect int, enabled bool) {
		r.wantCode(r.apply(rawEntry(kindConfigSet, fmt.Appendf(nil, `{"expect":%d,"actor":"a","now":[{}],"schedule":"x","config":{"listeners":[],"clusters":[{"name":"c1",
			"modules":[{"contextRoot":"/a","enabled":true}],"instances":[{"name":"i1","enabled":%v}]}]}}`, expect, enabled))), CodeOK, "")
	}
	set(0, true)
	set(1, false)
	if _, ok := r.s.ModuleID("c1", "", "/a"); ok || r.s.LastEvent() != 0 || len(r.s.Operating().Quiesces) != 0 || r.s.Operating().phase(i1) != PhaseStopped {
		t.Fatal("an older version did none of that")
	}
	r.survives()
	r.wantCode(r.change(nil), CodeOK, "")
	if id, ok := r.s.ModuleID("c1", "", "/a"); !ok || id != 1 {
		t.Fatalf("module id %d, %v", id, ok)
	}
	r.survives()
}
