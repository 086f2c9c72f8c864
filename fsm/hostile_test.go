package fsm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Commands with nonsense in them are refused, say why, and change nothing but the time and the memory of requests.
func TestHostileCommands(t *testing.T) {
	long, text := strings.Repeat("x", maxNameBytes+1), strings.Repeat("x", maxTextBytes+1)
	q := func(c QuiesceSet) *QuiesceSet { c.Subject, c.ID = i1, 2; return &c }
	sched := func(s Schedule) *ScheduleSet {
		if s.At.IsZero() {
			s.At = testStart
		}
		return &ScheduleSet{Schedule: s}
	}
	flow := func(w Workflow) *WorkflowSet { return &WorkflowSet{Workflow: w} }
	edits := []config.Edit{{Op: "remove"}}
	many := make([]Subject, maxListItems+1)
	tests := map[string]struct {
		c     Command
		code  Code
		words string
	}{
		"quiesce of nothing":          {&QuiesceSet{ID: 1, Subject: Subject{Cluster: "no", Instance: "no"}, Remaining: minute}, CodeAbsent, "instance no of cluster no"},
		"quiesce of nobody":           {&QuiesceSet{Remaining: minute}, CodeAbsent, "no such quiesce"},
		"quiesce neither":             {q(QuiesceSet{}), CodeInvalid, "remaining or a total"},
		"quiesce both":                {q(QuiesceSet{Remaining: 1, Total: 1}), CodeInvalid, "remaining or a total"},
		"quiesce negative":            {q(QuiesceSet{Remaining: -1}), CodeInvalid, "remaining or a total"},
		"quiesce negative and not":    {q(QuiesceSet{Remaining: -1, Total: 1}), CodeInvalid, "remaining or a total"},
		"quiesce long actor":          {q(QuiesceSet{Remaining: 1, Actor: long}), CodeInvalid, "at most 256"},
		"end of nothing":              {&QuiesceEnd{ID: 1, Subject: i2, Idle: true}, CodeAbsent, "instance i2"},
		"end of another id":           {&QuiesceEnd{ID: math.MaxUint64, Subject: i1, Idle: true}, CodeAbsent, ""},
		"end with a long node":        {&QuiesceEnd{ID: 2, Subject: i1, Node: long}, CodeInvalid, "at most 256"},
		"end with an impossible time": {&QuiesceEnd{ID: 2, Subject: i1, Idle: true, Deadline: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, CodeConflict, ""},
		"lock of nobody":              {&LockSet{}, CodeInvalid, "missing"},
		"lock negative":               {&LockSet{Owner: "a", Timeout: -1}, CodeInvalid, "negative"},
		"lock long owner":             {&LockSet{Owner: long}, CodeInvalid, "at most 256"},
		"lock long reason":            {&LockSet{Owner: "a", Reason: text}, CodeInvalid, "at most 4096"},
		"unlock of none":              {&LockClear{}, CodeAbsent, ""},
		"unlock long":                 {&LockClear{Actor: long}, CodeInvalid, "at most 256"},
		"many verdicts":               {&VerdictSet{Verdicts: slices.Repeat([]Verdict{{Instance: 1, State: HealthUp}}, maxListItems/4*5)[:30_000]}, CodeOK, ""},
		"verdict reason":              {&VerdictSet{Verdicts: []Verdict{{Instance: 1, State: HealthFailed, Reason: text}}}, CodeInvalid, "at most 4096"},
		"verdict of very many":        {&VerdictSet{Verdicts: []Verdict{{Instance: 1, State: HealthFailed, Reporting: math.MaxInt}}}, CodeInvalid, "no count"},
		"share of a long node":        {&SharesSet{Shares: []Share{{Instance: 1, Node: long, Limit: 1}}}, CodeInvalid, "at most 256"},
		"register long":               {&InstanceRegister{Cluster: "c1", Instance: config.Instance{Name: long}}, CodeInvalid, "at most 256"},
		"register long cluster":       {&InstanceRegister{Cluster: long, Instance: config.Instance{Name: "x"}}, CodeInvalid, "at most 256"},
		"drop long reason":            {&InstanceDrop{Reason: text}, CodeInvalid, "at most 4096"},
		"drop of unknown":             {&InstanceDrop{Instances: []InstanceRef{{"", ""}, {long, long}}}, CodeOK, ""},
		"schedule without id":         {sched(Schedule{Edits: edits}), CodeInvalid, "missing"},
		"schedule without time":       {&ScheduleSet{Schedule: Schedule{ID: "s", Edits: edits}}, CodeInvalid, "no time"},
		"schedule of nothing":         {sched(Schedule{ID: "s"}), CodeInvalid, "either"},
		"schedule of both":            {sched(Schedule{ID: "s", Edits: edits, Config: testConfig()}), CodeInvalid, "either"},
		"schedule long id":            {sched(Schedule{ID: long, Edits: edits}), CodeInvalid, "at most 256"},
		"schedule long message":       {sched(Schedule{ID: "s", Edits: edits, Message: text}), CodeInvalid, "at most 4096"},
		"schedule long subject":       {sched(Schedule{ID: "s", Edits: edits, Now: []Subject{{Cluster: long}}}), CodeInvalid, "at most 256"},
		"schedule many subjects":      {sched(Schedule{ID: "s", Edits: edits, Now: many[:20_000]}), CodeInvalid, "16777216"},
		"schedule drop long":          {&ScheduleDrop{ID: "s", Failure: text}, CodeInvalid, "at most 4096"},
		"schedule drop none":          {&ScheduleDrop{}, CodeAbsent, ""},
		"workflow without id":         {flow(Workflow{Kind: "k", State: "running"}), CodeInvalid, "missing"},
		"workflow without kind":       {flow(Workflow{ID: "w", State: "running"}), CodeInvalid, "missing"},
		"workflow in no state":        {flow(Workflow{ID: "w", Kind: "k"}), CodeInvalid, "running"},
		"workflow long spec":          {flow(Workflow{ID: "w", Kind: "k", State: "running", Spec: make([]byte, maxBlobBytes+1)}), CodeInvalid, "at most 262144"},
		"workflow long progress":      {flow(Workflow{ID: "w", Kind: "k", State: "running", Progress: make([]byte, maxBlobBytes+1)}), CodeInvalid, "at most 262144"},
		"workflow long note":          {flow(Workflow{ID: "w", Kind: "k", State: "running", Note: text}), CodeInvalid, "at most 4096"},
		"change long actor":           {&ConfigChange{Expect: 2, Actor: long, Config: testConfig()}, CodeInvalid, "at most 256"},
		"change long message":         {&ConfigChange{Expect: 2, Message: text, Config: testConfig()}, CodeInvalid, "at most 4096"},
		"change now many":             {&ConfigChange{Expect: 2, Now: many, Config: testConfig()}, CodeInvalid, "at most 100000"},
		"change stopped many":         {&ConfigChange{Expect: 2, Stopped: many, Config: testConfig()}, CodeInvalid, "at most 100000"},
		"change stopped nobody":       {&ConfigChange{Expect: 2, Stopped: many[:1], Config: testConfig()}, CodeInvalid, "there is no"},
		"change of no schedule":       {&ConfigChange{Expect: 2, Schedule: long, Config: testConfig()}, CodeAbsent, "schedule"},
		"change long names":           {&ConfigChange{Expect: 2, Config: testConfig(testCluster(long, 0, "i"))}, CodeInvalid, "at most 256"},
		"change long path":            {&ConfigChange{Expect: 2, Config: testConfig(config.Cluster{Name: "c", Modules: []config.Module{{ContextRoot: text}}})}, CodeInvalid, "at most 1024"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReplicaUnderTest(t)
			r.change(nil)
			r.change(disableI1)
			before := dumpOf(r.s)
			r.wantCode(r.do(tt.c), tt.code, tt.words) // a zero request id: nothing is remembered
			r.survives()
			if after := dumpOf(r.s); after.Digest != before.Digest {
				t.Fatal("the state has changed")
			}
		})
	}
}

// A list that is too long for one command is refused before anybody looks at its items.
func TestListsAreBounded(t *testing.T) {
	var k check
	k.list("verdicts", maxListItems)
	if k.message != "" {
		t.Fatal(k.message)
	}
	k.list("verdicts", maxListItems+1)
	if k.message != "100001 verdicts, at most 100000 fit into one command" {
		t.Fatal(k.message)
	}
}

// Entries that nobody could have encoded stop the node, and change nothing.
func TestHostileEntries(t *testing.T) {
	for name, e := range map[string]struct {
		k       kind
		payload string
	}{
		"change, config no object":   {kindConfigChange, `{"config":[]}`},
		"change, now no list":        {kindConfigChange, `{"now":{},"config":{}}`},
		"change, negative expect":    {kindConfigChange, `{"expect":-1,"config":{}}`},
		"quiesce, bad duration":      {kindQuiesceSet, `{"remaining":"1 parsec"}`},
		"quiesce, huge duration":     {kindQuiesceSet, `{"remaining":"999999999999999h"}`},
		"end, bad time":              {kindQuiesceEnd, `{"deadline":"yesterday"}`},
		"end, time out of range":     {kindQuiesceEnd, `{"deadline":"99999-01-01T00:00:00Z"}`},
		"verdicts, negative id":      {kindVerdictSet, `{"verdicts":[{"instance":-1}]}`},
		"verdicts, id too large":     {kindVerdictSet, `{"verdicts":[{"instance":4294967296}]}`},
		"register, no instance":      {kindInstanceRegister, `{"cluster":"c"}`},
		"register, null":             {kindInstanceRegister, `{"cluster":"c","instance":null}`},
		"register, list":             {kindInstanceRegister, `{"cluster":"c","instance":[{"name":"x"},{"name":"y"}]}`},
		"register, bad name":         {kindInstanceRegister, `{"cluster":"c","instance":{"name":7}}`},
		"schedule, bad config":       {kindScheduleSet, `{"schedule":{"id":"s","config":7}}`},
		"schedule, edits no list":    {kindScheduleSet, `{"schedule":{"id":"s","edits":{"op":"x"}}}`},
		"workflow, no base64":        {kindWorkflowSet, `{"workflow":{"id":"w","spec":"%%%"}}`},
		"shares, fraction":           {kindSharesSet, `{"shares":[{"instance":1,"node":"n","limit":1.5}]}`},
		"lock, short request id":     {kindLockSet, `{"requestId":"00"}`},
		"lock, deep":                 {kindLockClear, strings.Repeat("[", 100_000)},
		"workflow, huge version":     {kindWorkflowSet, `{"expect":99999999999999999999}`},
		"drop, instances no objects": {kindInstanceDrop, `{"instances":["x"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := everything(t)
			before := r.s.Digest()
			if _, err := r.s.Apply(r.index+1, rawEntry(e.k, []byte(e.payload))); !errors.Is(err, ErrEntryDamaged) {
				t.Fatalf("%v", err)
			}
			if r.s.Digest() != before || r.s.Applied() != r.index {
				t.Fatal("an error has changed the state")
			}
		})
	}
}

// The longest time-outs at the end of time do not overflow; a negative one, which no valid configuration has, counts as none.
func TestDeadlinesDoNotOverflow(t *testing.T) {
	for _, start := range []int64{math.MinInt64, -1, 0, 1, testStart.UnixMilli(), maxNow, math.MaxInt64} {
		r := newReplicaUnderTest(t)
		r.now = time.UnixMilli(start)
		r.change(func(c *config.Cluster) {
			c.Instances[0].QuiesceTimeout, c.Instances[1].QuiesceTimeout = math.MaxInt64, -minute
			c.Registration.Allow = true
		})
		r.wantCode(r.change(func(c *config.Cluster) { c.Instances[0].Enabled, c.Instances[1].Enabled = false, false }), CodeOK, "")
		now := r.s.Now()
		longest := later(now, math.MaxInt64)
		if q := r.quiesceOf(i1); !q.Deadline.After(now) || q.Deadline.Sub(now) < math.MaxInt64-time.Duration(time.Millisecond) {
			t.Fatalf("at %d: %+v", start, q)
		}
		if q := r.quiesceOf(i2); !q.Deadline.Equal(now) {
			t.Fatalf("at %d: %+v", start, q)
		}
		r.wantCode(r.end(i2, false), CodeOK, "")
		r.wantCode(r.do(&QuiesceSet{ID: r.quiesceOf(i1).ID, Subject: i1, Total: math.MaxInt64}), CodeOK, "")
		if q := r.quiesceOf(i1); !q.Deadline.Equal(longest) {
			t.Fatalf("at %d: %+v", start, q)
		}
		r.wantCode(r.do(&LockSet{Owner: "a", Timeout: math.MaxInt64}), CodeOK, "")
		if r.s.Locked() == nil {
			t.Fatal("not locked")
		}
		r.survives()
	}
}

// A total that is over means now.
func TestQuiesceTotalInThePast(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	r.change(disableI1)
	r.at(20 * time.Minute)
	r.wantCode(r.do(&QuiesceSet{ID: r.quiesceOf(i1).ID, Subject: i1, Total: 5 * minute}), CodeOK, "")
	if q := r.quiesceOf(i1); !q.Deadline.Equal(testStart.Add(20 * time.Minute)) {
		t.Fatalf("%+v", q)
	}
	r.wantCode(r.end(i1, false), CodeOK, "")
}

// Names that are there twice, and things without a name, which no valid configuration has, must not confuse the state.
func TestDuplicateNames(t *testing.T) {
	r := newReplicaUnderTest(t)
	twice := func(c *config.Cluster, enabled bool) {
		in := func(name string, on bool) config.Instance {
			return config.Instance{Name: name, Enabled: on, MaxConnections: 1}
		}
		mod := func(on bool) config.Module { return config.Module{ContextRoot: "/a", Enabled: on} }
		c.Instances = []config.Instance{in("i1", enabled), in("i1", true), in("", enabled), in("", enabled)}
		c.Modules = []config.Module{mod(enabled), mod(true), {}, {}}
	}
	r.wantCode(r.change(func(c *config.Cluster) { twice(c, true) }), CodeOK, "")
	res := r.change(func(c *config.Cluster) { twice(c, false) })
	if res.Code != CodeOK || len(res.Effect.Started) != 2 {
		t.Fatalf("%+v", res.Effect)
	}
	r.do(&VerdictSet{Verdicts: []Verdict{{Instance: 1, State: HealthFailed}, {Instance: 1, State: HealthSuspect}}})
	r.survives()
	r.wantCode(r.end(i1, true), CodeOK, "")
	r.wantCode(r.do(&ConfigChange{Expect: r.s.Revision().Number, Config: testConfig(twoInstances(), twoInstances())}), CodeOK, "")
	r.survives()
}

func TestEventsAreBounded(t *testing.T) {
	r := newReplicaUnderTest(t)
	if r.s.LastEvent() != 0 || len(r.s.Events(0, 10)) != 0 {
		t.Fatal("events before the first one")
	}
	for n := range 700 {
		r.do(&LockSet{Owner: fmt.Sprint("o", n)})
		r.do(&LockClear{Actor: fmt.Sprint("o", n)})
	}
	list := r.s.Events(0, 5000)
	if len(list) != maxEvents || list[0].Seq != 401 || r.s.LastEvent() != 1400 {
		t.Fatalf("%d events, from %d to %d", len(list), list[0].Seq, r.s.LastEvent())
	}
	for i, e := range list {
		if e.Seq != list[0].Seq+uint64(i) || e.Index == 0 || e.Time.IsZero() {
			t.Fatalf("%d: %+v", i, e)
		}
	}
	for _, tt := range []struct {
		after uint64
		limit int
		first uint64
		n     int
	}{{0, 3, 401, 3}, {400, 1, 401, 1}, {401, 1, 402, 1}, {1399, 10, 1400, 1}, {1400, 10, 0, 0}, {math.MaxUint64, 10, 0, 0}, {0, 0, 0, 0}, {0, -1, 0, 0}} {
		got := r.s.Events(tt.after, tt.limit)
		if len(got) != tt.n || tt.n > 0 && got[0].Seq != tt.first {
			t.Errorf("after %d, limit %d: %d events", tt.after, tt.limit, len(got))
		}
	}
	r.survives()
}

// What comes with a configuration is cut to what an event may hold, at the end of a character.
func TestClip(t *testing.T) {
	for _, tt := range []struct {
		s    string
		most int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aé", 2, "a"}, {"é", 1, ""}, {"", 0, ""}, {"日本", 5, "日"}} {
		if got := clip(tt.s, tt.most); got != tt.want {
			t.Errorf("clip(%q, %d) is %q, want %q", tt.s, tt.most, got, tt.want)
		}
	}
}

func TestIdentify(t *testing.T) {
	fresh := func() RequestID { return testRequestID(7) }
	for _, c := range []Command{&GroupInit{}, &ConfigSet{Config: testConfig()}, &ConfigChange{Config: testConfig()}, &TokenPut{}, &TokenUse{}, &TokenDrop{}, &QuiesceSet{},
		&LockSet{}, &LockClear{}, &StoreClear{}, &InstanceRegister{Instance: config.Instance{Name: "x"}}, &ScheduleSet{}, &ScheduleDrop{}, &WorkflowSet{}, &EvacuationSet{}, &EvacuationClear{},
		&RoleSet{}, &UserGroupSet{}, &UserSet{}, &IssuerSet{}} {
		got := Identify(c, fresh)
		if got == c {
			t.Errorf("%T: the caller's command was changed, or has no id", c)
		}
		e, err := parseEntry(mustEncode(t, testStart, got))
		if err != nil {
			t.Fatal(err)
		}
		read, err := parseCommand(e)
		if req, ok := read.(requester); err != nil || !ok || req.request() != testRequestID(7) {
			t.Errorf("%T: %v, not recognised when it is sent again", c, err)
		}
		if Identify(got, func() RequestID { return testRequestID(8) }) != got {
			t.Errorf("%T: has an id already", c)
		}
	}
	for _, c := range []Command{&Expire{}, &Checkpoint{}, &QuiesceEnd{}, &VerdictSet{}, &SharesSet{}, &InstanceDrop{}, &HolderSet{}, &BackupBegin{}, &BackupEnd{}, &QuarantineNote{}, &SchemaRaise{}, &StoreSweep{}, &StoreHolders{}} {
		if Identify(c, fresh) != c {
			t.Errorf("%T may be repeated", c)
		}
	}
}

// A repeated change gives its first result, without the effect, which is not remembered.
func TestRepeatedChange(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(nil)
	id := func(c *ConfigChange) { c.RequestID = testRequestID(1); c.Expect = 1 }
	first := r.change(disableI1, id)
	again := r.change(disableI1, id)
	if first.Effect == nil || again.Effect != nil || again.Code != CodeOK || again.Revision != 2 || again.Index != first.Index || len(r.s.Operating().Quiesces) != 1 {
		t.Fatalf("%+v, then %+v", first, again)
	}
}
