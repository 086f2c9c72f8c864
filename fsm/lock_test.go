package fsm

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestLockKeepsTheConfiguration(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.wantCode(r.do(&LockSet{Owner: "ann", Reason: "upgrade", Timeout: 10 * minute}), CodeOK, "")
	want := Lock{ID: r.index, Owner: "ann", Reason: "upgrade", Since: testStart, Until: testStart.Add(10 * time.Minute)}
	if l := r.s.Locked(); l == nil || *l != want {
		t.Fatalf("%+v", l)
	}
	r.survives()
	// Refused, with whose lock it is; also for a ConfigSet, of this version and of an older one.
	rev, before := r.s.Revision(), r.s.Digest()
	for name, res := range map[string]Result{
		"change":        r.change(disableI1),
		"other lock":    r.change(disableI1, func(c *ConfigChange) { c.Lock = want.ID + 1 }),
		"set":           r.configure(testCluster("c1", time.Hour, "i1")),
		"older version": r.apply(rawEntry(kindConfigSet, []byte(`{"expect":1,"actor":"a","config":{"listeners":[],"clusters":[]}}`))),
	} {
		if res.Code != CodeLocked || res.Lock == nil || *res.Lock != want || !strings.Contains(res.Message, "ann") || !strings.Contains(res.Message, "upgrade") {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if r.s.Revision() != rev || r.s.Digest() != before {
		t.Fatal("a refusal has changed the state")
	}
	// Traffic and assignments go on.
	if res := r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Reason: ReasonPolicy}); res[0].Code != CodeOK {
		t.Fatalf("%+v", res)
	}
	// Under the lock's own ID changes are made.
	r.wantCode(r.change(disableI1, func(c *ConfigChange) { c.Lock = want.ID }), CodeOK, "")
	r.wantCode(r.do(&LockSet{Owner: "bob"}), CodeLocked, "ann")
	r.wantCode(r.do(&LockSet{Owner: "ann", Reason: "longer"}), CodeOK, "")
	if l := r.s.Locked(); l.ID != want.ID || l.Since != want.Since || l.Reason != "longer" || !l.Until.IsZero() {
		t.Fatalf("%+v", l)
	}
	r.wantCode(r.do(&LockClear{Actor: "ann", Expired: true}), CodeInvalid, "not over")
	r.wantCode(r.do(&LockClear{Actor: "ann"}), CodeOK, "")
	r.wantCode(r.do(&LockClear{Actor: "ann"}), CodeAbsent, "off")
	r.wantCode(r.change(nil), CodeOK, "")
	if len(r.eventsOf(EventLocked)) != 2 || len(r.eventsOf(EventUnlocked)) != 1 {
		t.Fatal("wrong events")
	}
	r.survives()
}

// A lock ends by replicated time, before anybody has taken it off.
func TestLockEndsByItself(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	lock := func() { r.do(&LockSet{Owner: "ann", Timeout: 10 * minute}) }
	lock()
	r.at(10*time.Minute - time.Millisecond)
	r.wantCode(r.change(nil), CodeLocked, "")
	r.at(10 * time.Minute)
	r.ops()
	if r.s.Locked() != nil || r.s.Operating().Lock == nil {
		t.Fatal("it should be over, and still be recorded")
	}
	r.survives()
	r.wantCode(r.change(nil), CodeOK, "")
	r.wantCode(r.do(&LockClear{Actor: "bob"}), CodeAbsent, "off")
	r.wantCode(r.do(&LockClear{Expired: true}), CodeOK, "")
	if r.s.Operating().Lock != nil || len(r.eventsOf(EventUnlocked)) != 1 {
		t.Fatal("still recorded, or no event")
	}
	// The next owner need not wait for that either.
	lock()
	r.at(30 * time.Minute)
	r.wantCode(r.do(&LockSet{Owner: "bob"}), CodeOK, "")
	if l := r.s.Locked(); l.Owner != "bob" || l.ID != r.index || len(r.eventsOf(EventUnlocked)) != 2 {
		t.Fatalf("%+v", l)
	}
}

func TestSchedules(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	at := testStart.Add(time.Hour)
	edits := []config.Edit{{Op: "disable", Kind: "instance", Cluster: "c1", Name: "i1"}}
	put := func(id string, at time.Time) Result {
		return r.do(&ScheduleSet{Schedule: Schedule{ID: id, At: at, Actor: "ann", Edits: edits, Created: at.Add(99 * time.Hour)}})
	}
	r.wantCode(put("b", at), CodeOK, "")
	r.wantCode(put("c", at.Add(-time.Minute)), CodeOK, "")
	r.wantCode(put("a", at), CodeOK, "")
	r.wantCode(put("a", at), CodeInvalid, "already")
	list := r.s.Operating().Schedules
	if len(list) != 3 || list[0].ID != "c" || list[1].ID != "a" || list[2].ID != "b" || !list[0].Created.Equal(testStart) || !reflect.DeepEqual(list[0].Edits, edits) {
		t.Fatalf("%+v", list)
	}
	r.survives()
	// Carried out once: the second change that says so is refused, whoever makes it.
	carry := func(c *ConfigChange) { c.Schedule = "a" }
	r.wantCode(r.change(disableI1, carry), CodeOK, "")
	r.wantCode(r.change(nil, carry), CodeAbsent, "schedule")
	r.wantCode(r.do(&ScheduleDrop{ID: "b", Actor: "ann"}), CodeOK, "")
	r.wantCode(r.do(&ScheduleDrop{ID: "b", Actor: "ann"}), CodeAbsent, "schedule")
	r.wantCode(r.do(&ScheduleDrop{ID: "c", Failure: "no such instance"}), CodeOK, "")
	done := r.eventsOf(EventScheduleDone)
	if len(done) != 3 || !strings.Contains(done[0].Text, "revision 2") || !strings.Contains(done[2].Text, "no such instance") || len(r.s.Operating().Schedules) != 0 {
		t.Fatalf("%+v", done)
	}
	r.survives()
	for n := range maxSchedules {
		r.wantCode(put(string(rune('A'+n/26))+string(rune('a'+n%26)), at), CodeOK, "")
	}
	r.wantCode(put("one more", at), CodeInvalid, "100 schedules")
	r.survives()
}

func TestSchedulesAreBoundedTogether(t *testing.T) {
	r := newReplicaUnderTest(t)
	c := testConfig()
	c.Clusters = append(c.Clusters, testCluster(strings.Repeat("x", 3<<20), 0))
	n := 0
	for ; n < maxSchedules; n++ {
		res := r.do(&ScheduleSet{Schedule: Schedule{ID: string(rune('a' + n)), At: testStart, Config: c}})
		if res.Code != CodeOK {
			r.wantCode(res, CodeInvalid, "16777216")
			break
		}
	}
	if n != 5 {
		t.Fatalf("%d schedules of 3 MiB", n)
	}
}

func TestWorkflows(t *testing.T) {
	r := newReplicaUnderTest(t)
	set := func(id string, expect uint64, state string) Result {
		return r.do(&WorkflowSet{Expect: expect, Workflow: Workflow{ID: id, Kind: "upgrade", State: state, Actor: "ann", Spec: []byte("spec"), Version: 99}})
	}
	first := set("w", 0, "running")
	r.wantCode(first, CodeOK, "")
	r.wantCode(set("w", 0, "running"), CodeInvalid, "already")
	r.wantCode(set("x", 5, "running"), CodeAbsent, "")
	r.at(time.Minute)
	r.wantCode(set("w", first.Index+1, "done"), CodeConflict, "")
	second := set("w", first.Index, "waiting")
	r.wantCode(second, CodeOK, "")
	w := r.s.Operating().Workflows[0]
	if w.Version != second.Index || !w.Created.Equal(testStart) || !w.Updated.Equal(testStart.Add(time.Minute)) || w.Ended() {
		t.Fatalf("%+v", w)
	}
	done := set("w", second.Index, "done")
	r.wantCode(set("w", done.Index, "running"), CodeInvalid, "has ended")
	if len(r.eventsOf(EventWorkflow)) != 3 {
		t.Fatal("wrong events")
	}
	// The one that has ended makes room, one that runs never does.
	for n := range maxWorkflows {
		r.wantCode(set("r"+string(rune('A'+n)), 0, "running"), CodeOK, "")
	}
	if o := r.s.Operating(); len(o.Workflows) != maxWorkflows || o.Workflows[0].ID != "rA" {
		t.Fatalf("%d workflows, the first is %s", len(o.Workflows), o.Workflows[0].ID)
	}
	r.wantCode(set("one more", 0, "running"), CodeInvalid, "50 workflows")
	r.survives()
}
