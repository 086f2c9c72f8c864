package fsm

import (
	"bytes"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// What the store brought to the fourth version has files of its own.
func TestGoldenV4Store(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	at := testStart.Add(5 * time.Second)
	key := testKey(1)
	session := StoreKey{Space: SpaceSessions, Module: 1, Key: string(key[:])}
	motd := StoreKey{Space: SpaceKV, Module: 1, Key: "motd"}
	cluster := testCluster("c1", 30*time.Minute, "i1", "i2")
	cluster.Modules = []config.Module{{ContextRoot: "/a", Enabled: true, Store: testStore()}}
	entry := func(file string, c Command) goldenEntry {
		return goldenEntry{file: "v4_" + file + ".entry", bytes: mustEncode(t, at, c), code: CodeOK}
	}
	change := entry("store_config", &ConfigChange{RequestID: testRequestID(80), Expect: 1, Actor: "admin", Config: testConfig(cluster)})
	change.config = true
	applyGolden(t, r, []goldenEntry{
		change,
		entry("store_put_session", &StorePut{RequestID: testRequestID(81), StoreKey: session, Type: "application/json", Data: []byte(`{"user":"ann"}`)}),
		entry("store_put_key", &StorePut{RequestID: testRequestID(82), StoreKey: motd, If: IfAbsent, TTL: time.Hour, Type: "text/plain", Data: []byte("hello")}),
		entry("store_splice", &StoreSplice{RequestID: testRequestID(83), StoreKey: session, Version: 10, At: 9, Cut: 3, Insert: []byte("bob")}),
	})
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_store.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	if v := r.s.Stored(session); v == nil || string(v.Data) != `{"user":"bob"}` || v.Version != r.index {
		t.Fatalf("%+v", v)
	}
	wantEqual(t, restored(t, golden(t, "v4_store.snapshot", snapshotBytes(t, r.s))), r.s)
	applyGolden(t, r, []goldenEntry{
		entry("store_delete", &StoreDelete{RequestID: testRequestID(84), StoreKey: motd, If: IfVersion, Version: 11}),
		entry("store_sweep", &StoreSweep{Keys: []StoreKey{session, motd}}),
		entry("store_clear", &StoreClear{RequestID: testRequestID(85), Space: SpaceSessions, Module: 1, Actor: "admin"}),
	})
	if use, total := r.s.StoreUse(); len(use) != 0 || total != 0 {
		t.Errorf("%+v", use)
	}
}
