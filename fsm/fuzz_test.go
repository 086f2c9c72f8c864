package fsm

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// FuzzApply applies hostile bytes: as they are, and as the payload of an entry with a right header, which is how far a
// hostile peer of an otherwise healthy leader could get. It must not panic, an error must not change anything, and what is
// accepted must leave a state that survives a snapshot.
func FuzzApply(f *testing.F) {
	for _, e := range []Command{
		&GroupInit{Group: testGroup()}, &ConfigSet{Expect: 2, Config: testConfig(testCluster("c", 0, "i", "j"))},
		&TokenPut{Token: testToken("z", RoleNode)}, &TokenUse{ID: "a", UsedBy: []byte("k")}, &TokenDrop{ID: "b"},
		&Expire{Shard: 1, Count: 2}, &Checkpoint{PrevIndex: 1},
	} {
		b := mustEncode(f, testStart, e)
		f.Add(b, byte(0))
		f.Add(b[headerSize:], b[1])
	}
	for _, e := range operatingSeeds(everything(f).s.Operating()) {
		b := mustEncode(f, testStart, e)
		f.Add(b[headerSize:], b[1])
	}
	content := snapshotBytes(f, everything(f).s)
	for _, e := range []Command{announced(f, "r0", content), &RestorePart{ID: "r0", At: 100, Data: content[100:200]}, &RestorePart{ID: "r0", At: uint64(len(content)), Data: content[:100]}, commitOf("r0", content), &RestoreDrop{ID: "r0"}} {
		b := mustEncode(f, testStart, e)
		f.Add(b[headerSize:], b[1])
	}
	for _, c := range []Command{&StorePut{RequestID: testRequestID(1), StoreKey: kv("a"), Data: []byte("x")}, &StoreSplice{StoreKey: kv("a"), Version: 1, Insert: []byte("x")}, &StoreDelete{StoreKey: ofSession(1)},
		&StoreSweep{Keys: []StoreKey{kv("a"), ofSession(1)}}, &StoreClear{Space: SpaceKV, Module: 1}, &StoreCopy{StoreKey: kv("a"), Copy: copyOf("x"), Taken: testStart},
		&StoreHolders{Taken: testStart, Moves: []StoreMove{{StoreKey: kv("a"), Version: 1, Holders: []string{"n"}}, {StoreKey: kv("b"), Version: 2}}}, &StoreHolders{Taken: testStart, Seen: 1, Moves: []StoreMove{{StoreKey: kv("a"), Version: 1}}}} {
		b := mustEncode(f, testStart, c)
		f.Add(b[headerSize:], b[1])
	}
	f.Add([]byte(`{"expect":4,"config":{"clusters":[]}}`), byte(kindConfigSet))
	ops := EncodeSessions(testStart, []SessionOp{{Kind: OpAssign, Key: testKey(1), Instance: 1}, {Kind: OpDrop, Key: testKey(2)},
		{Kind: OpMove, Key: testKey(3), Instance: 2, Expect: 1, Reason: ReasonOperator, Module: 1}, {Kind: OpMoveAt, Key: testKey(0), Instance: 1, Version: 7, Reason: ReasonFull}})
	f.Add(ops, byte(0))
	f.Add(ops[headerSize:], byte(kindSessions))
	under := everything(f) // with a restore under way, all of which has come
	under.do(&LockClear{Actor: "me"})
	under.do(&WorkflowSet{Expect: under.s.Operating().Workflows[0].Version, Workflow: Workflow{ID: "w1", Kind: "upgrade", State: "done"}})
	under.do(announced(f, "r0", content))
	under.parts("r0", content, 0, 1000)
	base := snapshotBytes(f, under.s)
	f.Fuzz(func(t *testing.T, b []byte, wrap byte) {
		if wrap != 0 && len(b)+headerSize <= MaxEntrySize {
			b = rawEntry(kind(wrap), b)
		}
		s := restored(t, base)
		before, at := s.Digest(), s.Applied()
		was := bytes.Clone(b)
		res, err := s.Apply(at+1, b)
		if !bytes.Equal(b, was) {
			t.Fatal("the entry was changed")
		}
		// What a commit of a restore reads is in the state.
		if check := Check(b); check != nil && err == nil || check == nil && err != nil && !errors.Is(err, ErrEntryUnknown) {
			t.Fatalf("check says %v, apply %v", check, err)
		}
		switch {
		case err != nil && (s.Digest() != before || s.Applied() != at):
			t.Fatal("an error has changed the state")
		case err == nil && s.Applied() != at+1:
			t.Fatalf("applied %d: %+v", s.Applied(), res)
		case err == nil:
			wantCounts(t, s)
			wantEqual(t, restored(t, snapshotBytes(t, s)), s)
		}
	})
}

// operatingSeeds are commands that do something to the state of everything.
func operatingSeeds(o *Operating) []Command {
	q := o.Quiesces[len(o.Quiesces)-1]
	return []Command{
		&ConfigChange{Expect: 4, Lock: o.Lock.ID, Now: []Subject{q.Subject}, Config: testConfig(testCluster("c1", 0, "i2", "new"))},
		&ConfigChange{Expect: 4, Lock: o.Lock.ID, Schedule: "s1", Stopped: []Subject{{Cluster: "c1", Instance: "x"}}, Config: testConfig()},
		&QuiesceSet{ID: q.ID, Subject: q.Subject, Remaining: 5}, &QuiesceEnd{ID: q.ID, Subject: q.Subject, Idle: true, Deadline: q.Deadline, Node: "n"},
		&LockSet{Owner: "me", Timeout: 7}, &LockClear{Actor: "me"}, &VerdictSet{Verdicts: []Verdict{{Instance: 1, State: HealthUp}, {Instance: 2, State: HealthSuspect}}},
		&InstanceRegister{Cluster: "c1", Instance: config.Instance{Name: "r2", Enabled: true}}, &InstanceDrop{Instances: []InstanceRef{{"c1", "r1"}}},
		&ScheduleSet{Schedule: Schedule{ID: "s9", At: testStart, Edits: []config.Edit{{Op: "add"}}}}, &ScheduleDrop{ID: "s2"},
		&WorkflowSet{Workflow: Workflow{ID: "w2", Kind: "cycle", State: "paused", Progress: []byte("p")}}, &SharesSet{Shares: []Share{{Instance: 4, Node: "n2", Limit: 3}}},
		&HolderSet{Node: "n3", Term: o.Holder.Term + 1, Gap: 7, Planned: true, Addresses: []string{"10.0.0.100/24@eth0"}}, &HolderSet{Term: o.Holder.Term, Reason: "link down"}, &HolderSet{RequestID: testRequestID(210), Late: true, Node: "n3", Term: 1},
		&EvacuationSet{Node: "n2", Actor: "me"}, &EvacuationClear{Node: "n1", Actor: "me"},
		&QuarantineNote{Node: "n2", Cause: "diverged", Text: "why"}, &QuarantineNote{Node: "n2", Over: true}, &QuarantineNote{Node: "n2", Silent: true, Text: "since"}, &QuarantineNote{Node: "n2", Copy: "10.0.0.9:7701", Text: "why"},
		&BackupEnd{ID: o.Backups.ID, Failure: "disk full"}, &BackupEnd{ID: o.Backups.ID, Name: "/backup/a.hfb", Index: 7, Bytes: 9},
		&NodeRevoke{IDs: []string{"n9/0123abcd", "n4/1"}},
		&SchemaRaise{To: BaseSchema, Node: "n1"},
		&RoleSet{Role: Role{Name: "r2", Allow: []string{PermissionAccess}}}, &RoleSet{Role: Role{Name: "deployer"}, Expect: o.Access.Roles[0].Version},
		&UserGroupSet{Group: UserGroup{Name: "ops"}, Expect: o.Access.Groups[0].Version}, &UserSet{User: User{Name: "alice"}, Expect: o.Access.Users[0].Version, Remove: true},
		&UserSet{User: User{Name: "bob", Groups: []string{"ops"}, Disabled: true}}, &IssuerSet{Expect: o.Access.Issuer.Version, Remove: true}, &TokenPut{Token: userToken("v", "alice"), Actor: "me"},
		&EndedNote{Cluster: "c1", Instance: "i1", Node: "n1", Count: 3, After: 5},
		testFilePart("sorry.html", "a page", 0, 6), testFilePart("next.css", "body{}", 0, 3), &FileDrop{Name: "sorry.html", Actor: "me"}, &FileDrop{Name: "logo.png", Upload: true, Version: o.FileUpload("logo.png").Version},
		testCertificate("new", 0, "sealed"), testCertificate("site", o.Certificate("site").Version, "rotated"), &CertificateDrop{Name: "ca", Actor: "me"},
		&TicketKeyPut{Expect: o.TicketKeys[0].ID, Key: []byte("next")},
	}
}

// FuzzRestore restores hostile bytes: as they are, and as the content of sections with a right frame (split says where one
// section ends), so that the fuzzer gets past the checksums.
func FuzzRestore(f *testing.F) {
	good := snapshotBytes(f, everything(f).s)
	f.Add(good, byte(0), byte(0), uint16(0))
	r := sectionReader{r: bytes.NewReader(good), total: newSectionWriter(nil).total}
	if _, _, err := r.fileHeader(); err != nil {
		f.Fatal(err)
	}
	for {
		s, err := r.next()
		if err != nil {
			f.Fatal(err)
		}
		if s.item == sectionEnd {
			break
		}
		f.Add(bytes.Clone(s.content), byte(s.item), byte(s.count), uint16(len(s.content)))
	}
	names := list(itemName, appendName(nil, 1, InstanceRef{"c", "i1"}), appendName(nil, 2, InstanceRef{"c", "i2"}))
	rev := list(itemRevision, appendRevision(nil, &Revision{Number: 1, raw: []byte(`{"clusters":[{"name":"c","registration":{"allow":true},"instances":[{"name":"i1"},{"name":"i2","maxConnections":5}]}]}`)}))
	modules := list(itemModule, appendModule(nil, 1, ModuleRef{"c", "", "/a"}))
	f.Fuzz(func(t *testing.T, b []byte, it, count byte, split uint16) {
		if it != 0 && len(b) < maxSection {
			at := min(int(split), len(b))
			sections := []section{{item(it), uint32(count), b[:at]}}
			if at < len(b) {
				sections = append(sections, section{item(it), uint32(count), b[at:]})
			}
			if item(it) > itemModule {
				sections = append([]section{modules}, sections...)
			}
			if item(it) > itemRevision {
				sections = append([]section{rev}, sections...)
			}
			if item(it) > itemName {
				sections = append([]section{names}, sections...)
			}
			b = forge(Digest{}, sections...)
		}
		s := New()
		before := s.Digest()
		if err := s.Restore(bytes.NewReader(b)); err != nil {
			if s.Digest() != before || s.Applied() != 0 {
				t.Fatal("an error has changed the state")
			}
			return
		}
		wantCounts(t, s)
		wantEqual(t, restored(t, snapshotBytes(t, s)), s)
	})
}

// FuzzStamp: what is stamped stays what it was but for its time.
func FuzzStamp(f *testing.F) {
	f.Add(mustEncode(f, testStart, &TokenDrop{ID: "b"}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		if err := Stamp(b, testStart); err != nil {
			if !bytes.Equal(b, was) {
				t.Fatal("a refused entry was changed")
			}
			return
		}
		if e, err := parseEntry(b); err != nil || e.time != testStart.UnixMilli() || !bytes.Equal(e.payload, was[headerSize:]) {
			t.Fatalf("%+v, %v", e, err)
		}
	})
}

// FuzzSessionOp: what is parsed is written back as it was.
func FuzzSessionOp(f *testing.F) {
	f.Add(AppendSessionOp(nil, SessionOp{Kind: OpMove, Key: testKey(1), Instance: 1, Expect: 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if op, ok := ParseSessionOp(b); ok && !bytes.Equal(AppendSessionOp(nil, op), b[:SessionOpSize]) {
			t.Fatalf("%+v", op)
		}
	})
}

// FuzzHexForms: keys, request ids and digests in JSON.
func FuzzHexForms(f *testing.F) {
	f.Add([]byte(`"` + testKey(1).String() + `"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k Key
		var id RequestID
		var d Digest
		ek, ei, ed := json.Unmarshal(b, &k), json.Unmarshal(b, &id), json.Unmarshal(b, &d)
		if (ek == nil) != (ei == nil) || (ek == nil) != (ed == nil) || [16]byte(k) != [16]byte(id) || [16]byte(k) != [16]byte(d) {
			t.Fatalf("%v %v %v", ek, ei, ed)
		}
	})
}

// The seeds get as far as they are meant to, but for the one that is refused because of its guard.
func TestOperatingSeeds(t *testing.T) {
	refused := 0
	for i, c := range operatingSeeds(everything(t).s.Operating()) {
		r := everything(t)
		if res := r.do(c); res.Code != CodeOK {
			t.Logf("%d: %T: %+v", i, c, res)
			refused++
		}
	}
	if refused != 1 {
		t.Fatalf("%d of the seeds are refused", refused)
	}
}
