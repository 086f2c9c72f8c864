package fsm

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Golden files are kept for ever: a log or snapshot that was written once must be read by every later version. So -update
// writes the files that are missing and never replaces one; a new layout gets a new file beside the old one.
var update = flag.Bool("update", false, "write the golden files that are missing")

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err != nil {
		t.Fatalf("%v (go test -run Golden -update writes it)", err)
	}
	return want
}

type goldenEntry struct {
	file  string
	bytes []byte // nil: only read, this version encodes it in another way
	code  Code
	// config: what is in it may be encoded in another way by now, because configurations get new fields.
	config bool
}

// goldenV1 is a log of the first version, with each kind of command it had, in the order of application.
func goldenV1(t *testing.T) []goldenEntry {
	entry := func(file string, c Command, code Code) goldenEntry {
		return goldenEntry{file: file + ".entry", bytes: mustEncode(t, testStart, c), code: code}
	}
	ops := []SessionOp{
		{Kind: OpAssign, Key: testKey(1), Instance: 1}, {Kind: OpAssign, Key: testKey(2), Instance: 2},
		{Kind: OpMove, Key: testKey(1), Instance: 2, Expect: 1}, {Kind: OpTouch, Key: testKey(2)},
		{Kind: OpAssign, Key: testKey(3), Instance: 1}, {Kind: OpDrop, Key: testKey(3), Expect: 1},
	}
	return []goldenEntry{
		entry("v1_group_init", &GroupInit{RequestID: testRequestID(1), Group: testGroup()}, CodeOK),
		{file: "v1_config_set.entry"},
		{file: "v1_sessions.entry", bytes: EncodeSessions(testStart.Add(time.Second), ops)},
		entry("v1_token_put", &TokenPut{RequestID: testRequestID(3), Token: testToken("a", RoleNode)}, CodeOK),
		entry("v1_token_use", &TokenUse{RequestID: testRequestID(4), ID: "a", UsedBy: []byte("key"), UsedName: "n1"}, CodeOK),
		entry("v1_token_drop", &TokenDrop{RequestID: testRequestID(5), ID: "b"}, CodeAbsent),
		entry("v1_expire", &Expire{Shard: 1024, Count: 512}, CodeOK),
		entry("v1_checkpoint", &Checkpoint{PrevIndex: 3, PrevDigest: Digest(testKey(9))}, CodeOK),
	}
}

// applyGolden applies what the files say: that is what logs on disk say.
func applyGolden(t *testing.T, r *replicaUnderTest, log []goldenEntry) {
	t.Helper()
	for _, e := range log {
		want := golden(t, e.file, e.bytes)
		if e.bytes != nil && !e.config && !bytes.Equal(e.bytes, want) {
			t.Errorf("%s: is now encoded as\n%q, the file has\n%q", e.file, e.bytes, want)
		}
		if res := r.apply(want); res.Code != e.code {
			t.Errorf("%s: %+v, want code %d", e.file, res, e.code)
		}
	}
}

// A log of the first version leads to the state, and to the digest, that it led to there; its snapshot is that state.
func TestGoldenV1(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v1_state.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v1_small.snapshot", nil)), r.s)
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// goldenV2 goes on after goldenV1 with what the second version brought. Instances i1 and i2 of cluster c1 have the ids 1 and 2, the quiesce that it
// starts has the ID 9.
func goldenV2(t *testing.T) []goldenEntry {
	at := testStart.Add(2 * time.Second)
	entry := func(file string, c Command, code Code) goldenEntry {
		return goldenEntry{file: file + ".entry", bytes: mustEncode(t, at, c), code: code}
	}
	withConfig := func(e goldenEntry) goldenEntry { e.config = true; return e }
	cluster := testCluster("c1", 30*time.Minute, "i1", "i2")
	cluster.Registration.Allow = true
	cluster.Modules = []config.Module{{ContextRoot: "/a", Enabled: true}}
	cluster.Instances[0].Enabled, cluster.Instances[0].QuiesceTimeout = false, config.Duration(30*time.Minute)
	cluster.Instances[1].MaxConnections = 10
	i1 := Subject{Cluster: "c1", Instance: "i1"}
	ops := []SessionOp{
		{Kind: OpMove, Key: testKey(1), Instance: 1, Expect: 2, Reason: ReasonOperator, Module: 1},
		{Kind: OpAssign, Key: testKey(4), Instance: 1, Reason: ReasonPolicy, Module: 1}, {Kind: OpTouch, Key: testKey(2), Module: 1},
		{Kind: OpAssign, Key: testKey(5), Instance: 2, Reason: ReasonLearned}, {Kind: OpDrop, Key: testKey(5), Reason: ReasonOperator},
		{Kind: OpMoveAt, Key: testKey(4), Instance: 2, Version: 10, Reason: ReasonUnavailable},
	}
	return []goldenEntry{
		withConfig(entry("v2_config_change", &ConfigChange{RequestID: testRequestID(10), Expect: 1, Actor: "admin", Message: "second", Config: testConfig(cluster)}, CodeOK)),
		{file: "v2_sessions.entry", bytes: EncodeSessions(at, ops)},
		entry("v2_quiesce_set", &QuiesceSet{RequestID: testRequestID(11), ID: 9, Subject: i1, Remaining: config.Duration(5 * time.Minute), Actor: "admin"}, CodeOK),
		entry("v2_quiesce_end", &QuiesceEnd{ID: 9, Subject: i1, Deadline: at.Add(5 * time.Minute), Node: "n1"}, CodeInvalid),
		entry("v2_lock_set", &LockSet{RequestID: testRequestID(12), Owner: "admin", Reason: "upgrade", Timeout: config.Duration(time.Hour)}, CodeOK),
		entry("v2_lock_clear", &LockClear{RequestID: testRequestID(13), Actor: "admin", Expired: true}, CodeInvalid),
		entry("v2_verdict_set", &VerdictSet{Verdicts: []Verdict{{Instance: 2, State: HealthSuspect, Reason: "refused", Down: 1, Reporting: 3}}}, CodeOK),
		withConfig(entry("v2_instance_register", &InstanceRegister{RequestID: testRequestID(14), Cluster: "c1", Actor: "agent",
			Instance: config.Instance{Name: "r1", Enabled: true, Weight: 1, Listeners: []string{"http://127.0.0.1:9003"}}}, CodeOK)),
		entry("v2_instance_drop", &InstanceDrop{Instances: []InstanceRef{{"c1", "r2"}}, Reason: "no heartbeat"}, CodeOK),
		withConfig(entry("v2_schedule_set", &ScheduleSet{RequestID: testRequestID(15), Schedule: Schedule{ID: "s1", At: at.Add(time.Hour), Actor: "admin", Now: []Subject{i1},
			Edits: []config.Edit{{Op: "remove", Kind: "instance", Cluster: "c1", Name: "i1"}}}}, CodeOK)),
		entry("v2_schedule_drop", &ScheduleDrop{RequestID: testRequestID(16), ID: "s2", Actor: "admin"}, CodeAbsent),
		entry("v2_workflow_set", &WorkflowSet{RequestID: testRequestID(17), Workflow: Workflow{ID: "w1", Kind: "upgrade", State: "running", Actor: "admin", Spec: []byte("{}")}}, CodeOK),
		entry("v2_shares_set", &SharesSet{Shares: []Share{{Instance: 2, Node: "n1", Limit: 5}, {Instance: 2, Node: "n2", Limit: 5}}}, CodeOK),
	}
}

func TestGoldenV2(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	applyGolden(t, r, goldenV2(t))
	if o := r.s.Operating(); len(o.Quiesces) != 1 || o.Lock == nil || len(o.Verdicts) != 1 || len(o.Registered) != 1 || len(o.Schedules) != 1 || len(o.Workflows) != 1 ||
		len(o.Shares) != 2 || r.s.LastEvent() == 0 || len(r.cur().decisions.last()) != 3 {
		t.Fatalf("something is missing: %+v", o)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v2_state.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v2_small.snapshot", snapshotBytes(t, r.s))), r.s)
}

// goldenV3 goes on after goldenV2 with what the third version brought: the holder of the virtual addresses, and evacuations.
func goldenV3(t *testing.T) []goldenEntry {
	at := testStart.Add(3 * time.Second)
	entry := func(file string, c Command, code Code) goldenEntry {
		return goldenEntry{file: file + ".entry", bytes: mustEncode(t, at, c), code: code}
	}
	return []goldenEntry{
		entry("v3_holder_set", &HolderSet{Node: "n2", Previous: "n1", Term: 7, Gap: 38 * time.Millisecond, Planned: true, Reason: "evacuation", SessionsBefore: 2261, SessionsAfter: 2261,
			Addresses: []string{"10.0.0.100/24@eth0", "2001:db8::100/64@eth0"}, Proposer: "n2"}, CodeOK),
		entry("v3_evacuation_set", &EvacuationSet{RequestID: testRequestID(20), Node: "n1", Actor: "admin", Reason: "new disk"}, CodeOK),
		entry("v3_evacuation_clear", &EvacuationClear{RequestID: testRequestID(21), Node: "n3", Actor: "admin"}, CodeAbsent),
	}
}

func TestGoldenV3(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	applyGolden(t, r, goldenV2(t))
	applyGolden(t, r, goldenV3(t))
	if o := r.s.Operating(); o.Holder == nil || o.Holder.Node != "n2" || len(o.Evacuated) != 1 {
		t.Fatalf("something is missing: %+v", o)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v3_state.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v3_small.snapshot", snapshotBytes(t, r.s))), r.s)
}

// Snapshots with compressed sections are only read: the bytes that zstd makes are the library's business. Restore compares the digest.
func TestGoldenCompressedSnapshots(t *testing.T) {
	r := everything(t)
	fillSessions(t, r, 100, 1100, 3)
	for _, file := range []string{"v1_compressed.snapshot", "v2_compressed.snapshot", "v3_compressed.snapshot"} {
		if got := restored(t, golden(t, file, snapshotBytes(t, r.s))); got.Len() != 1010 {
			t.Fatalf("%s: %d assignments", file, got.Len())
		}
	}
}

// What scheduled backups brought to the third version has files of its own.
func TestGoldenV3Backups(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, entries := range [][]goldenEntry{goldenV1(t), goldenV2(t), goldenV3(t)} {
		applyGolden(t, r, entries)
	}
	at := testStart.Add(4 * time.Second)
	begin := &BackupBegin{ID: "00c0ffee", Node: "n1", Every: time.Hour}
	end := &BackupEnd{ID: "00c0ffee", Name: "s3://backups/shop-1-9-20260301T120000Z.hfb", Index: 9, Bytes: 4096, Proposer: "n2"}
	applyGolden(t, r, []goldenEntry{
		{file: "v3_backup_begin.entry", bytes: mustEncode(t, at, begin), code: CodeOK},
		{file: "v3_backup_end.entry", bytes: mustEncode(t, at.Add(time.Second), end), code: CodeOK},
	})
	if b := r.s.Operating().Backups; b == nil || b.Good == nil || b.Good.Bytes != 4096 || b.Ended.Sub(b.Begun) != time.Second {
		t.Fatalf("something is missing: %+v", b)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v3_backups.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v3_backups.snapshot", snapshotBytes(t, r.s))), r.s)
}

// What the restore into a running group brought to the third version has files of its own.
func TestGoldenV3Restore(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, entries := range [][]goldenEntry{goldenV1(t), goldenV2(t), goldenV3(t)} {
		applyGolden(t, r, entries)
	}
	r.now = testStart.Add(5 * time.Second)
	r.free()
	content := golden(t, "v3_backups.snapshot", nil)
	for range 10 { // the archive is of an earlier entry
		r.do(&Checkpoint{})
	}
	at := r.now
	begin := announced(t, "00c0ffee", content)
	begin.RequestID = testRequestID(30)
	entry := func(file string, c Command) goldenEntry {
		return goldenEntry{file: file + ".entry", bytes: mustEncode(t, at, c), code: CodeOK}
	}
	half := len(content) / 2
	applyGolden(t, r, []goldenEntry{
		entry("v3_restore_begin", begin),
		entry("v3_restore_drop", &RestoreDrop{ID: "00c0ffee", Reason: "nothing came", Actor: "n1"}),
	})
	begin.RequestID = testRequestID(31)
	r.do(begin)
	applyGolden(t, r, []goldenEntry{entry("v3_restore_part", &RestorePart{ID: "00c0ffee", Data: content[:half]})})
	wantEqual(t, restored(t, golden(t, "v3_restoring.snapshot", snapshotBytes(t, r.s))), r.s)
	r.do(&RestorePart{ID: "00c0ffee", At: uint64(half), Data: content[half:]})
	commit := commitOf("00c0ffee", content)
	commit.RequestID = testRequestID(32)
	applyGolden(t, r, []goldenEntry{entry("v3_restore_commit", commit)})
	if g := r.s.Group(); g.Epoch != 2 || g.Founded() != 1 {
		t.Fatalf("%+v", g)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v3_restored.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v3_restored.snapshot", snapshotBytes(t, r.s))), r.s)
}
