package fsm

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

const minute = config.Duration(time.Minute)

var (
	i1   = Subject{Cluster: "c1", Instance: "i1"}
	i2   = Subject{Cluster: "c1", Instance: "i2"}
	appA = Subject{Cluster: "c1", ContextRoot: "/a"}
)

// twoInstances is a cluster with two instances and a module, whose quiesces take 30 minutes.
func twoInstances() config.Cluster {
	c := testCluster("c1", time.Hour, "i1", "i2")
	for i := range c.Instances {
		c.Instances[i].QuiesceTimeout = 30 * minute
	}
	c.Modules = []config.Module{{ContextRoot: "/a", Enabled: true, QuiesceTimeout: 30 * minute}}
	return c
}

// change applies a ConfigChange to the current revision with the cluster as edit leaves it.
func (r *replicaUnderTest) change(edit func(*config.Cluster), with ...func(*ConfigChange)) Result {
	r.t.Helper()
	cl := twoInstances()
	if rev := r.s.Revision().Config; len(rev.Clusters) > 0 {
		cl = rev.Clusters[0]
		cl.Instances = append([]config.Instance(nil), cl.Instances...)
		cl.Modules = append([]config.Module(nil), cl.Modules...)
	}
	if edit != nil {
		edit(&cl)
	}
	c := &ConfigChange{Expect: r.s.Revision().Number, Actor: "admin", Config: testConfig(cl)}
	for _, w := range with {
		w(c)
	}
	return r.do(c)
}

func disableI1(c *config.Cluster) { c.Instances[0].Enabled = false }

// at sets the clock to a time after testStart.
func (r *replicaUnderTest) at(d time.Duration) { r.now = testStart.Add(d) }

func (r *replicaUnderTest) wantCode(res Result, code Code, words string) {
	r.t.Helper()
	if res.Code != code || !strings.Contains(res.Message, words) {
		r.t.Fatalf("%+v, want code %d and %q", res, code, words)
	}
}

func (r *replicaUnderTest) quiesceOf(s Subject) Quiesce {
	r.t.Helper()
	q := r.s.Operating().quiesce(s)
	if q == nil {
		r.t.Fatalf("%s does not quiesce", s.describe())
	}
	return *q
}

// end ends the quiesce of s as a node would, now.
func (r *replicaUnderTest) end(s Subject, idle bool) Result {
	r.t.Helper()
	q := r.quiesceOf(s)
	return r.do(&QuiesceEnd{ID: q.ID, Subject: s, Deadline: q.Deadline, Idle: idle, Node: "n1"})
}

func (r *replicaUnderTest) eventsOf(kind string) (out []Event) {
	for _, e := range r.s.Events(0, maxEvents) {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// survives restores the state from its own snapshot.
func (r *replicaUnderTest) survives() {
	r.t.Helper()
	s := restored(r.t, snapshotBytes(r.t, r.s))
	wantEqual(r.t, s, r.s)
	r.s = s
}

// everythingOperating adds at least one of each thing that operators do.
func everythingOperating(r *replicaUnderTest) {
	c1, c2 := testCluster("c1", time.Hour, "i2", "i3"), testCluster("c2", time.Minute, "i1")
	c1.Registration.Allow = true
	c1.Modules = []config.Module{{ContextRoot: "/a", Enabled: true, QuiesceTimeout: minute}}
	c1.Instances[1].MaxConnections = 10
	r.configure(c1, c2)
	r.do(&InstanceRegister{RequestID: testRequestID(20), Cluster: "c1", Instance: config.Instance{Name: "r1", Enabled: true, Weight: 1}, Actor: "agent"})
	c1.Instances = append([]config.Instance(nil), c1.Instances...)
	c1.Instances[0].Enabled, c1.Modules = false, []config.Module{{ContextRoot: "/a"}, {ContextRoot: "/b", Host: "h", Enabled: true, Store: testStore()}}
	r.do(&ConfigChange{RequestID: testRequestID(21), Expect: r.s.Revision().Number, Actor: "me", Message: "off", Config: testConfig(c1, c2)})
	r.do(&LockSet{RequestID: testRequestID(22), Owner: "me", Reason: "upgrade", Timeout: 60 * minute})
	r.do(&VerdictSet{Verdicts: []Verdict{{Instance: 2, State: HealthFailed, Reason: "refused", Down: 2, Reporting: 3}}})
	id, _ := r.s.InstanceID("c1", "i3")
	r.do(&SharesSet{Shares: []Share{{Instance: id, Node: "n1", Limit: 10}}})
	r.do(&ScheduleSet{RequestID: testRequestID(23), Schedule: Schedule{ID: "s1", At: testStart.Add(time.Hour), Actor: "me", Now: []Subject{i1},
		Edits: []config.Edit{{Op: "enable", Kind: "instance", Cluster: "c1", Name: "i2"}}}})
	r.do(&ScheduleSet{RequestID: testRequestID(24), Schedule: Schedule{ID: "s2", At: testStart.Add(2 * time.Hour), Actor: "me", Expect: 4, Config: testConfig(c2)}})
	r.do(&WorkflowSet{RequestID: testRequestID(25), Workflow: Workflow{ID: "w1", Kind: "upgrade", State: "running", Actor: "me", Spec: []byte("spec"), Note: "begun"}})
	r.do(&HolderSet{Node: "n1", Term: 2, Addresses: []string{"10.0.0.100/24@eth0"}})
	r.do(&HolderSet{Node: "n2", Term: 3, Gap: 38*time.Millisecond + 5, Reason: "node n1 does not answer", SessionsBefore: 10, SessionsAfter: 10,
		Addresses: []string{"10.0.0.100/24@eth0", "2001:db8::100/64@eth0"}})
	r.do(&EvacuationSet{RequestID: testRequestID(26), Node: "n1", Actor: "me", Reason: "new disk"})
	r.do(&EvacuationSet{RequestID: testRequestID(27), Node: "n3", Actor: "me"})
	r.do(testCertificate("site", 0, "sealed"))
	r.do(testCertificate("ca", 0, ""))
	r.do(&TicketKeyPut{Key: []byte("sealed")})
	r.do(testFilePart("sorry.html", "an earlier page", 0, 15))
	r.do(testFilePart("sorry.html", "a page", 0, 6))
	r.do(testFilePart("site.css", "b{}", 0, 3))
	r.do(testFilePart("logo.png", "half of it", 0, 5))
	acmeEverything(r)
	r.do(&NodeRevoke{IDs: []string{"n9/0123abcd", "n3/00c0ffee"}, Proposer: "n1"})
	r.do(&RoleSet{RequestID: testRequestID(28), Actor: "me", Role: Role{Name: "deployer", Allow: []string{"instances:write@cluster=c1", "status:read"}, Note: "CI"}})
	r.do(&UserGroupSet{RequestID: testRequestID(29), Actor: "me", Group: UserGroup{Name: "ops", Roles: []string{"deployer"}}})
	r.do(&UserSet{RequestID: testRequestID(30), Actor: "me", User: User{Name: "alice", Groups: []string{"ops"}, Roles: []string{"viewer"}}})
	r.do(&IssuerSet{RequestID: testRequestID(31), Actor: "me", Issuer: Issuer{URL: "https://login.example", Audience: "holdfast", UserClaim: "email", GroupsClaim: "groups", Groups: []ClaimedGroup{{"lb", "ops"}}}})
	r.do(&TokenPut{RequestID: testRequestID(32), Token: userToken("u", "alice"), Actor: "me"})
	r.do(&BackupBegin{ID: "b1", Node: "n1", Every: time.Hour})
	r.do(&BackupEnd{ID: "b1", Name: "/backup/shop-1-9.hfb", Index: 9, Bytes: 4096})
	r.do(&BackupBegin{ID: "b2", Expect: "b1", Node: "n2", Every: time.Hour})
	everythingStored(r)
	r.ops(SessionOp{Kind: OpMove, Key: testKey(0), Instance: 2, Expect: 1, Reason: ReasonOperator, Module: 1}, SessionOp{Kind: OpTouch, Key: testKey(1), Module: 2},
		SessionOp{Kind: OpAssign, Key: testKey(50), Instance: 2, Reason: ReasonPolicy, Module: 1}, SessionOp{Kind: OpDrop, Key: testKey(50), Reason: ReasonOperator})
}

func TestEverythingIsThere(t *testing.T) {
	r := everything(t)
	o := r.s.Operating()
	if len(o.Quiesces) != 2 || o.Lock == nil || len(o.Verdicts) != 1 || len(o.Registered) != 1 || len(o.Schedules) != 2 || len(o.Workflows) != 1 || len(o.Shares) != 1 || o.Holder == nil || len(o.Evacuated) != 2 || len(o.Certificates) != 2 || len(o.TicketKeys) != 1 ||
		o.Access == nil || o.Access.Issuer == nil || len(o.Access.Roles) != 1 || len(o.Access.Groups) != 1 || len(o.Access.Users) != 1 || len(o.Revocations) != 2 || len(o.Files) != 2 || len(o.Uploads) != 1 ||
		len(o.ACMEValues) != 2 || len(o.ACMELocks) != 1 || len(o.ACMEStates) != 1 || o.Backups == nil ||
		r.s.LastEvent() < 10 || len(r.cur().decisions.last()) != 2 || len(r.cur().modules.Load().refs) != 2 {
		t.Fatalf("%+v, %d events, %d decisions", o, r.s.LastEvent(), len(r.cur().decisions.last()))
	}
	r.survives()
}

// SUN-45, SUN-46, SUN-47, SUN-56: disabling begins a quiesce, with its subject, start, deadline, and what it concerns.
func TestDisablingBeginsAQuiesce(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Reason: ReasonPolicy}, SessionOp{Kind: OpAssign, Key: testKey(2), Instance: 1, Reason: ReasonPolicy})
	r.at(time.Minute)
	res := r.change(disableI1)
	want := &Effect{Started: []QuiesceStart{{Subject: i1, Timeout: 30 * minute, Sessions: 2}}}
	if res.Code != CodeOK || !reflect.DeepEqual(res.Effect, want) {
		t.Fatalf("%+v, effect %+v", res, res.Effect)
	}
	q := Quiesce{ID: r.index, Subject: i1, Started: testStart.Add(time.Minute), Deadline: testStart.Add(31 * time.Minute), Actor: "admin", Revision: 2}
	o := r.s.Operating()
	if len(o.Quiesces) != 1 || o.Quiesces[0] != q {
		t.Fatalf("%+v, want %+v", o.Quiesces, q)
	}
	ins := o.Config.Clusters[0].Instances
	if o.InstancePhase("c1", &ins[0]) != PhaseQuiescing || o.InstancePhase("c1", &ins[1]) != PhaseServing {
		t.Fatal("wrong phases")
	}
	if e := r.eventsOf(EventQuiesceStarted); len(e) != 1 || e[0].Subject != i1 || e[0].Actor != "admin" {
		t.Fatalf("%+v", e)
	}
	// A cluster is all its instances, as the edits say; a module goes by its own sessions.
	res = r.change(func(c *config.Cluster) { c.Instances[1].Enabled, c.Modules[0].Enabled = false, false })
	if len(res.Effect.Started) != 2 || res.Effect.Started[0].Subject != appA || res.Effect.Started[1].Subject != i2 {
		t.Fatalf("%+v", res.Effect)
	}
	r.survives()
}

// SUN-66: period 30, after 10 minutes 5: it ends 5 minutes later, 15 minutes in all. By the configuration, and by the command both ways.
func TestQuiesceChangedWhileItRuns(t *testing.T) {
	for name, set := range map[string]func(r *replicaUnderTest) Result{
		"configuration": func(r *replicaUnderTest) Result {
			return r.change(func(c *config.Cluster) { c.Instances[0].QuiesceTimeout = 5 * minute })
		},
		"remaining": func(r *replicaUnderTest) Result {
			return r.do(&QuiesceSet{ID: r.quiesceOf(i1).ID, Subject: i1, Remaining: 5 * minute, Actor: "admin"})
		},
		"total": func(r *replicaUnderTest) Result {
			return r.do(&QuiesceSet{ID: r.quiesceOf(i1).ID, Subject: i1, Total: 15 * minute, Actor: "admin"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicaUnderTest(t)
			r.change(nil)
			r.change(disableI1)
			id := r.quiesceOf(i1).ID
			r.at(10 * time.Minute)
			if res := set(r); res.Code != CodeOK {
				t.Fatalf("%+v", res)
			}
			q := r.quiesceOf(i1)
			if q.ID != id || !q.Started.Equal(testStart) || !q.Deadline.Equal(testStart.Add(15*time.Minute)) {
				t.Fatalf("%+v", q)
			}
			if len(r.eventsOf(EventQuiesceChanged)) != 1 {
				t.Fatal("no event")
			}
			r.at(15*time.Minute - time.Millisecond)
			r.wantCode(r.end(i1, false), CodeInvalid, "ends at")
			r.at(15 * time.Minute)
			r.wantCode(r.end(i1, false), CodeOK, "")
		})
	}
}

// SUN-65, SUN-68: other changes never touch a running quiesce.
func TestOtherChangesDoNotTouchAQuiesce(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.change(disableI1)
	want := r.quiesceOf(i1)
	for n, edit := range []func(*config.Cluster){
		nil,
		func(c *config.Cluster) { c.Instances[1].Weight = 7 },
		func(c *config.Cluster) {
			c.Instances[0].Weight, c.Instances[0].Listeners = 3, []string{"http://127.0.0.1:1"}
		},
		func(c *config.Cluster) { c.QuiesceTimeout = 99 * minute },
		func(c *config.Cluster) { c.Instances[1].QuiesceTimeout = minute },
		func(c *config.Cluster) { c.Instances[1].Enabled = false },
		func(c *config.Cluster) { c.Instances[1].Enabled = true },
		func(c *config.Cluster) { c.Modules = nil },
		func(c *config.Cluster) { c.Instances[0], c.Instances[1] = c.Instances[1], c.Instances[0] },
	} {
		r.at(time.Duration(n+1) * time.Minute)
		if res := r.change(edit); res.Code != CodeOK {
			t.Fatalf("%d: %+v", n, res)
		}
		if got := r.quiesceOf(i1); got != want {
			t.Fatalf("after change %d: %+v, want %+v", n, got, want)
		}
	}
	r.survives()
}

// SUN-57, SUN-58, SUN-64: one event at the end, with the exact text, and only one, though every node proposes the end.
func TestQuiesceEndsOnce(t *testing.T) {
	r := newReplicaUnderTest(t)
	cl := twoInstances()
	cl.Modules[0].Host = "www.example.com"
	r.change(func(c *config.Cluster) { *c = cl })
	r.change(func(c *config.Cluster) { c.Instances[0].Enabled, c.Modules[0].Enabled = false, false })
	r.survives() // as after the death of a leader
	app := Subject{Cluster: "c1", Host: "www.example.com", ContextRoot: "/a"}
	ends := map[Subject]QuiesceEnd{}
	for _, s := range []Subject{i1, app} {
		q := r.quiesceOf(s)
		ends[s] = QuiesceEnd{ID: q.ID, Subject: s, Deadline: q.Deadline, Node: "n2"}
	}
	r.at(30 * time.Minute)
	for range 3 {
		for _, s := range []Subject{i1, app} {
			c := ends[s]
			r.do(&c)
		}
	}
	got := r.eventsOf(EventQuiesced)
	if len(got) != 2 || got[0].Text != "Instance: i1 quiesced successfully over the cluster: c1." ||
		got[1].Text != "Application: www.example.com/a quiesced successfully over the cluster c1" || got[0].Node != "n2" || got[1].Subject != app {
		t.Fatalf("%+v", got)
	}
	if o := r.s.Operating(); len(o.Quiesces) != 0 || o.phase(i1) != PhaseStopped {
		t.Fatalf("%+v", o.Quiesces)
	}
	again := ends[i1]
	r.wantCode(r.do(&again), CodeAbsent, "instance i1 of cluster c1")
	r.survives()
}

// An early end needs an instance, or a module, without assignments, and the deadline that is in force.
func TestQuiesceEndsEarlyWhenNothingIsLeft(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Module: 1, Reason: ReasonPolicy})
	r.change(func(c *config.Cluster) { c.Instances[0].Enabled, c.Modules[0].Enabled = false, false })
	for _, s := range []Subject{i1, appA} {
		r.wantCode(r.end(s, true), CodeInvalid, "1 sessions")
	}
	r.ops(SessionOp{Kind: OpMove, Key: testKey(1), Instance: 2, Expect: 1, Reason: ReasonQuiesced})
	r.wantCode(r.end(appA, true), CodeInvalid, "1 sessions")
	stale := r.quiesceOf(i1)
	r.do(&QuiesceSet{ID: stale.ID, Subject: i1, Remaining: minute})
	r.wantCode(r.do(&QuiesceEnd{ID: stale.ID, Subject: i1, Deadline: stale.Deadline, Idle: true}), CodeConflict, "ends at")
	r.wantCode(r.end(i1, true), CodeOK, "")
	r.ops(SessionOp{Kind: OpDrop, Key: testKey(1), Reason: ReasonOperator})
	r.wantCode(r.end(appA, true), CodeOK, "")
}

func TestEnablingAndRemovingCancelAQuiesce(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Reason: ReasonPolicy})
	r.change(disableI1)
	res := r.change(func(c *config.Cluster) { c.Instances[0].Enabled = true })
	if !reflect.DeepEqual(res.Effect, &Effect{Canceled: []Subject{i1}}) || len(r.s.Operating().Quiesces) != 0 {
		t.Fatalf("%+v", res.Effect)
	}
	r.change(disableI1)
	res = r.change(func(c *config.Cluster) { c.Instances = c.Instances[1:] })
	want := &Effect{Canceled: []Subject{i1}, Stopped: []Displaced{{Subject: i1, Why: "removed", Sessions: 1}}}
	if !reflect.DeepEqual(res.Effect, want) || len(r.s.Operating().Quiesces) != 0 {
		t.Fatalf("%+v", res.Effect)
	}
	// What comes back disabled has nothing to quiesce.
	res = r.change(func(c *config.Cluster) { c.Instances = append(c.Instances, config.Instance{Name: "i1"}) })
	if res.Effect != nil || r.s.Operating().phase(i1) != PhaseStopped {
		t.Fatalf("%+v", res.Effect)
	}
	if len(r.eventsOf(EventQuiesceCanceled)) != 2 || len(r.eventsOf(EventQuiesced)) != 0 {
		t.Fatal("wrong events")
	}
}

// --now stops at once, also what quiesces already; naming anything else does no harm.
func TestNowStopsWithoutAQuiesce(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Reason: ReasonPolicy})
	now := func(s ...Subject) func(*ConfigChange) { return func(c *ConfigChange) { c.Now = s } }
	res := r.change(disableI1, now(i1, i2, Subject{Cluster: "none", Instance: "x"}))
	if !reflect.DeepEqual(res.Effect, &Effect{Stopped: []Displaced{{Subject: i1, Why: "stopped", Sessions: 1}}}) || len(r.s.Operating().Quiesces) != 0 {
		t.Fatalf("%+v", res.Effect)
	}
	r.change(func(c *config.Cluster) { c.Instances[1].Enabled = false })
	res = r.change(nil, now(i2, i1))
	if !reflect.DeepEqual(res.Effect, &Effect{Stopped: []Displaced{{Subject: i2, Why: "stopped"}}}) || len(r.s.Operating().Quiesces) != 0 {
		t.Fatalf("%+v", res.Effect)
	}
	if len(r.eventsOf(EventStopped)) != 2 {
		t.Fatal("wrong events")
	}
}

// SUN-75, SUN-79: what may only be done to a stopped thing is refused, with the reason, until it is one.
func TestStoppedGuard(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	guard := func(s Subject) func(*ConfigChange) { return func(c *ConfigChange) { c.Stopped = []Subject{s} } }
	drop := func(c *config.Cluster) { c.Instances = c.Instances[1:] }
	r.wantCode(r.change(drop, guard(i1)), CodeInvalid, "instance i1 of cluster c1 is enabled")
	r.wantCode(r.change(drop, guard(Subject{Cluster: "c1", Instance: "no"})), CodeInvalid, "there is no instance no of cluster c1")
	r.change(disableI1)
	r.wantCode(r.change(drop, guard(i1)), CodeInvalid, "is quiescing until 2026-03-01T12:30:00Z")
	r.at(30 * time.Minute)
	r.end(i1, false)
	res := r.change(drop, guard(i1))
	if res.Code != CodeOK || res.Effect != nil {
		t.Fatalf("%+v", res)
	}
}
