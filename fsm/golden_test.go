package fsm

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
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
	bytes []byte
	code  Code
}

// goldenLog is a log with each kind of command, in the order of application.
func goldenLog(t *testing.T) []goldenEntry {
	entry := func(file string, c Command, code Code) goldenEntry {
		return goldenEntry{file + ".entry", mustEncode(t, testStart, c), code}
	}
	ops := []SessionOp{
		{Kind: OpAssign, Key: testKey(1), Instance: 1}, {Kind: OpAssign, Key: testKey(2), Instance: 2},
		{Kind: OpMove, Key: testKey(1), Instance: 2, Expect: 1}, {Kind: OpTouch, Key: testKey(2)},
		{Kind: OpAssign, Key: testKey(3), Instance: 1}, {Kind: OpDrop, Key: testKey(3), Expect: 1},
	}
	cluster := testCluster("c1", 30*time.Minute, "i1", "i2")
	cluster.Instances[0].Listeners = []string{"http://127.0.0.1:9001"}
	return []goldenEntry{
		entry("v1_group_init", &GroupInit{RequestID: testRequestID(1), Group: testGroup()}, CodeOK),
		entry("v1_config_set", &ConfigSet{RequestID: testRequestID(2), Actor: "admin", Message: "first", Config: testConfig(cluster)}, CodeOK),
		{"v1_sessions.entry", EncodeSessions(testStart.Add(time.Second), ops), CodeOK},
		entry("v1_token_put", &TokenPut{RequestID: testRequestID(3), Token: testToken("a", RoleNode)}, CodeOK),
		entry("v1_token_use", &TokenUse{RequestID: testRequestID(4), ID: "a", UsedBy: []byte("key"), UsedName: "n1"}, CodeOK),
		entry("v1_token_drop", &TokenDrop{RequestID: testRequestID(5), ID: "b"}, CodeAbsent),
		entry("v1_expire", &Expire{Shard: 1024, Count: 512}, CodeOK),
		entry("v1_checkpoint", &Checkpoint{PrevIndex: 3, PrevDigest: Digest(testKey(9))}, CodeOK),
	}
}

func TestGoldenEntriesAndSnapshot(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, e := range goldenLog(t) {
		want := golden(t, e.file, e.bytes)
		if !bytes.Equal(e.bytes, want) {
			t.Errorf("%s: is now encoded as\n%q, the file has\n%q", e.file, e.bytes, want)
		}
		// What the file says is applied: that is what logs on disk say.
		if res := r.apply(want); res.Code != e.code {
			t.Errorf("%s: %+v, want code %d", e.file, res, e.code)
		}
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v1_state.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	b := snapshotBytes(t, r.s)
	want := golden(t, "v1_small.snapshot", b)
	if !bytes.Equal(b, want) {
		t.Error("the snapshot of the state is no longer the file")
	}
	wantEqual(t, restored(t, want), r.s)
}

// The snapshot with compressed sections is only read: the bytes that zstd makes are the library's business.
func TestGoldenCompressedSnapshot(t *testing.T) {
	r := everything(t)
	fillSessions(t, r, 100, 1100, 3)
	if got := restored(t, golden(t, "v1_compressed.snapshot", snapshotBytes(t, r.s))); got.Len() != 1010 || got.Digest() != r.s.Digest() {
		t.Fatalf("%d assignments, digest %s, want %s", got.Len(), got.Digest(), r.s.Digest())
	}
}
