package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// tester is what *testing.T, *testing.B, *testing.F and *rapid.T have in common here.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// replicaUnderTest drives a state as a log would.
type replicaUnderTest struct {
	t     tester
	s     *State
	index uint64
	now   time.Time
}

func newReplicaUnderTest(t tester) *replicaUnderTest {
	return &replicaUnderTest{t: t, s: New(), now: testStart}
}

func (r *replicaUnderTest) apply(b []byte) Result {
	r.t.Helper()
	r.index++
	res, err := r.s.Apply(r.index, b)
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	return res
}

func (r *replicaUnderTest) do(c Command) Result {
	r.t.Helper()
	return r.apply(mustEncode(r.t, r.now, c))
}

func (r *replicaUnderTest) ops(ops ...SessionOp) []SessionResult {
	r.t.Helper()
	return r.apply(EncodeSessions(r.now, ops)).Sessions
}

func (r *replicaUnderTest) configure(clusters ...config.Cluster) Result {
	r.t.Helper()
	return r.do(&ConfigSet{Expect: r.s.Revision().Number, Actor: "test", Config: testConfig(clusters...)})
}

func mustEncode(t tester, now time.Time, c Command) []byte {
	t.Helper()
	b, err := Encode(now, c)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return b
}

func testConfig(clusters ...config.Cluster) *config.Config {
	c := config.Empty()
	c.Clusters = append(c.Clusters, clusters...)
	return c
}

func testCluster(name string, idle time.Duration, instances ...string) config.Cluster {
	c := config.Cluster{Name: name, Affinity: config.Affinity{Type: "insert", IdleTimeout: config.Duration(idle)}}
	for _, i := range instances {
		c.Instances = append(c.Instances, config.Instance{Name: i, Enabled: true, Weight: 1})
	}
	return c
}

func testGroup() Group {
	return Group{ID: "0b7e6f0e-6d5b-4a3f-9d43-0f0a4a0c8a11", Name: "g", Epoch: 1, Secret: bytes.Repeat([]byte{7}, secretSize),
		CACert: []byte("certificate"), CAKey: []byte("key"), Created: testStart}
}

func testToken(id, role string) Token {
	h := sha256.Sum256([]byte(id))
	return Token{ID: id, Role: role, Hash: h[:], Created: testStart, Expires: testStart.Add(time.Hour)}
}

// testKey is the n-th of a fixed sequence of keys that look like keyed hashes.
func testKey(n int) Key {
	var k Key
	binary.LittleEndian.PutUint64(k[:8], mix64(uint64(n)+1))
	binary.LittleEndian.PutUint64(k[8:], mix64(uint64(n)+0x9e3779b97f4a7c15))
	return k
}

func testRequestID(n int) (id RequestID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

func snapshotBytes(t tester, s *State) []byte {
	t.Helper()
	snap := s.Snapshot()
	defer snap.Release()
	var b bytes.Buffer
	n, err := snap.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("write snapshot: %d of %d bytes, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func restored(t tester, snapshot []byte) *State {
	t.Helper()
	s := New()
	if err := s.Restore(bytes.NewReader(snapshot)); err != nil {
		t.Fatalf("restore: %v", err)
	}
	return s
}

// dump is everything that readers can see of a state, and what it remembers of requests.
type dump struct {
	Applied   uint64
	Now       time.Time
	Digest    Digest
	Len       int
	Entries   []Entry
	Revisions []*Revision
	Group     *Group
	Tokens    []Token
	Names     []InstanceRef
	Sessions  []int
	Limits    idleLimits
	Requests  []request
	Modules   []ModuleRef
	InModules []int
	Rooms     []int64
	Operating Operating
	Events    []Event
	Decisions []decision
	Parts     parts
	Stored    []Stored
	Recent    []recentWrite
	Uses      []StoreUse
	Total     int64
}

func dumpOf(s *State) dump {
	d := dump{Applied: s.Applied(), Now: s.Now(), Digest: s.Digest(), Len: s.Len(), Revisions: s.Revisions(), Group: s.Group(),
		Tokens: s.Tokens()}
	d.Entries, _ = s.Scan(0, 1<<30, nil)
	for id := InstanceID(1); ; id++ {
		ref, ok := s.InstanceRef(id)
		if !ok {
			break
		}
		d.Names = append(d.Names, ref)
		d.Sessions = append(d.Sessions, s.Sessions(id))
	}
	r := s.cur.Load()
	d.Limits = append(d.Limits, r.names.Load().limits...)
	d.Requests = r.requests.inOrder()
	for id := 1; id <= len(r.modules.Load().refs); id++ {
		ref, _ := s.ModuleRef(ModuleID(id))
		d.Modules = append(d.Modules, ref)
		d.InModules = append(d.InModules, s.ModuleSessions(ModuleID(id)))
	}
	d.Rooms = append(d.Rooms, r.names.Load().rooms...)
	d.Operating = *s.Operating()
	d.Events = s.Events(0, maxEvents)
	d.Decisions = append(d.Decisions, r.decisions.last()...)
	d.Parts = r.parts
	r.store.root.Load().walk("", func(v *Stored) bool {
		d.Stored = append(d.Stored, *v)
		return true
	})
	d.Recent = r.store.recent.inOrder()
	d.Uses, d.Total = s.StoreUse()
	return d
}

// wantEqual compares two states in everything that can be seen.
func wantEqual(t tester, got, want *State) {
	t.Helper()
	a, b := dumpOf(got), dumpOf(want)
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			t.Fatalf("states differ in %s:\n%v\n%v", va.Type().Field(i).Name, va.Field(i), vb.Field(i))
		}
	}
}

// wantCounts checks the counters against the assignments themselves.
func wantCounts(t tester, s *State) {
	t.Helper()
	entries, _ := s.Scan(0, 1<<30, nil)
	counts, modules := map[InstanceID]int{}, map[ModuleID]int{}
	for _, e := range entries {
		counts[e.Instance]++
		modules[e.Module]++
	}
	if s.Len() != len(entries) {
		t.Fatalf("Len is %d, there are %d", s.Len(), len(entries))
	}
	for id := InstanceID(1); ; id++ {
		if _, ok := s.InstanceRef(id); !ok {
			break
		}
		if s.Sessions(id) != counts[id] {
			t.Fatalf("instance %d: %d sessions counted, there are %d", id, s.Sessions(id), counts[id])
		}
	}
	for id := range len(s.cur.Load().modules.Load().refs) {
		if m := ModuleID(id + 1); s.ModuleSessions(m) != modules[m] {
			t.Fatalf("module %d: %d sessions counted, there are %d", m, s.ModuleSessions(m), modules[m])
		}
	}
}

func fillSessions(t testing.TB, r *replicaUnderTest, from, to int, instances int) {
	t.Helper()
	const batch = 4096
	ops := make([]SessionOp, 0, batch)
	for n := from; n < to; n++ {
		ops = append(ops, SessionOp{Kind: OpAssign, Key: testKey(n), Instance: InstanceID(n%instances + 1)})
		if len(ops) == batch || n == to-1 {
			for i, res := range r.ops(ops...) {
				if res.Code != CodeOK {
					t.Fatal(fmt.Errorf("assign %d: code %d", n-len(ops)+1+i, res.Code))
				}
			}
			ops = ops[:0]
		}
	}
}
