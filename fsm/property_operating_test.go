package fsm

import (
	"bytes"
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
					cl.Modules = append(cl.Modules, config.Module{ContextRoot: root, Enabled: mostly.Draw(t, "enabled"), QuiesceTimeout: genTimeout().Draw(t, "timeout"),
						Store: rapid.SampledFrom([]*config.Store{nil, {Sessions: true, KV: true, MaxValue: 40, MaxBytes: 1000}, {KV: true, MaxValue: 100, MaxBytes: 5000}}).Draw(t, "store")})
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
		switch small("command", 22) {
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
		case 12:
			return genHolder(t)
		case 13:
			return &EvacuationSet{RequestID: id, Node: rapid.SampledFrom([]string{"n1", "n2", "", "-n"}).Draw(t, "evacuate"), Actor: "a", Reason: rapid.SampledFrom([]string{"", "r"}).Draw(t, "reason")}
		case 15:
			return genBackup(t)
		case 18:
			return genCertificate(t, id)
		case 20, 21:
			return genAccess(t, id)
		case 22:
			return genFile(t, id)
		case 16:
			return &QuarantineNote{Node: rapid.SampledFrom([]string{"n1", "n2", "n 3"}).Draw(t, "quarantined"), Over: rapid.Bool().Draw(t, "over"), Silent: rapid.Bool().Draw(t, "silent"), Cause: rapid.SampledFrom([]string{"", "stuck"}).Draw(t, "cause"), Copy: rapid.SampledFrom([]string{"", "", "", "10.0.0.9:7701", "10.0.0.9:7702"}).Draw(t, "copy")}
		case 19:
			return &NodeRevoke{IDs: rapid.SliceOfN(rapid.SampledFrom([]string{"n1/0a", "n1/0b", "n2/1f", "n 3/1"}), 0, 3).Draw(t, "revoke")}
		case 14:
			return &EvacuationClear{RequestID: id, Node: rapid.SampledFrom([]string{"n1", "n2", "n9"}).Draw(t, "clear"), Actor: "a"}
		}
		c := &SharesSet{}
		for range small("shares", 3) {
			c.Shares = append(c.Shares, Share{Instance: instance(), Node: rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"), Limit: small("limit", 3)})
		}
		return c
	})
}

// genBackup draws a begin or an end of few attempts, so that some are over, some run and some are unknown.
func genBackup(t *rapid.T) Command {
	id := rapid.SampledFrom([]string{"", "b1", "b2", "b3"})
	if rapid.Bool().Draw(t, "begin") {
		return &BackupBegin{ID: id.Draw(t, "id"), Expect: id.Draw(t, "expect"), Node: rapid.SampledFrom([]string{"n1", "n2", "n 3"}).Draw(t, "node"), Every: rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "every")}
	}
	return &BackupEnd{ID: id.Draw(t, "id"), Failure: rapid.SampledFrom([]string{"", "full"}).Draw(t, "failure"), Name: rapid.SampledFrom([]string{"", "a"}).Draw(t, "name"),
		Index: uint64(rapid.IntRange(0, 2).Draw(t, "of")), Bytes: int64(rapid.IntRange(-1, 9).Draw(t, "bytes")), Proposer: rapid.SampledFrom([]string{"", "n1", "-"}).Draw(t, "proposer")}
}

// genCertificate draws a command about certificates or ticket keys.
func genCertificate(t *rapid.T, id RequestID) Command {
	name := rapid.SampledFrom([]string{"site", "ca", "", "a b"}).Draw(t, "certificate")
	switch rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "of certificates") {
	case 4:
		return genACME(t, id, name)
	case 0:
		return &CertificateDrop{RequestID: id, Name: name, Actor: "a"}
	case 1:
		return &TicketKeyPut{Key: []byte(rapid.SampledFrom([]string{"k1", "k2", ""}).Draw(t, "ticket key"))}
	}
	return &CertificatePut{RequestID: id, Expect: uint64(rapid.SampledFrom([]int{0, 1}).Draw(t, "version")), Name: name, Actor: "a",
		Chain: rapid.SampledFrom([][][]byte{nil, {{1}}, {{1}, {2, 3}}, {{}}}).Draw(t, "chain"), Key: []byte(rapid.SampledFrom([]string{"", "k", "k2"}).Draw(t, "key"))}
}

// genFile draws a part of few small files, so that some become whole, some are sent twice and some are wrong; or the end of one.
func genFile(t *rapid.T, id RequestID) Command {
	name := rapid.SampledFrom([]string{"a.html", "b.css", "", "../x"}).Draw(t, "file")
	if rapid.IntRange(0, 4).Draw(t, "drop a file") == 0 {
		return &FileDrop{RequestID: id, Name: name, Upload: rapid.Bool().Draw(t, "upload"), Version: uint64(rapid.IntRange(0, 5).Draw(t, "of version"))}
	}
	text := rapid.SampledFrom([]string{"abcd", "abce"}).Draw(t, "content")
	from := rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, "from")
	c := testFilePart(name, text, from, rapid.SampledFrom([]int{2, 4}).Draw(t, "to"))
	c.RequestID = id
	if rapid.IntRange(0, 5).Draw(t, "wrong") == 0 {
		c.Hash = bytes.Repeat([]byte{7}, rapid.SampledFrom([]int{31, 32}).Draw(t, "hash"))
	}
	return c
}

// genHolder draws a record of the holder. Terms are few, so that some are over and some are the same.
func genHolder(t *rapid.T) *HolderSet {
	node := rapid.SampledFrom([]string{"", "n1", "n2", "n3", "n 4"})
	reason := rapid.SampledFrom([]string{"", "r", "r2"})
	id := rapid.SampledFrom([]RequestID{{}, {}, testRequestID(200), testRequestID(201)}).Draw(t, "id")
	return &HolderSet{RequestID: id, Late: rapid.IntRange(0, 4).Draw(t, "late") == 0, Node: node.Draw(t, "node"), Previous: node.Draw(t, "previous"), Term: uint64(rapid.IntRange(0, 5).Draw(t, "term")),
		Gap: time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 1_500_000, 1 << 40, -1}).Draw(t, "gap")), Planned: rapid.Bool().Draw(t, "planned"), Reason: reason.Draw(t, "reason"),
		SessionsBefore: rapid.IntRange(-1, 9).Draw(t, "before"), SessionsAfter: rapid.IntRange(0, 9).Draw(t, "after"),
		Addresses: rapid.SampledFrom([][]string{nil, {}, {"10.0.0.1/24@eth0"}, {"10.0.0.1/24@eth0", "2001:db8::1/64@eth1"}}).Draw(t, "addresses")}
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
	case *CertificatePut:
		if is := o.Certificate(c.Name); is != nil && c.Expect != 0 {
			c.Expect = is.Version
		}
	case *RoleSet, *UserGroupSet, *UserSet, *IssuerSet:
		fitAccess(o.Access, c)
	case *StorePut, *StoreSplice, *StoreDelete, *StoreCopy, *StoreHolders:
		r.fitStore(c)
	case *TicketKeyPut:
		if len(o.TicketKeys) > 0 {
			c.Expect = o.TicketKeys[0].ID
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
