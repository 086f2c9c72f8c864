package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// everything is a small state with at least one of each replicated thing.
func everything(t tester) *replicaUnderTest {
	r := newReplicaUnderTest(t)
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.configure(testCluster("c1", time.Hour, "i1", "i2"))
	r.do(&ConfigSet{RequestID: testRequestID(2), Expect: 1, Actor: "me", Message: "why",
		Config: testConfig(testCluster("c1", time.Hour, "i2"), testCluster("c2", time.Minute, "i1"))})
	r.do(&TokenPut{RequestID: testRequestID(3), Token: testToken("a", RoleNode)})
	r.do(&TokenPut{RequestID: testRequestID(4), Token: testToken("b", "viewer")})
	r.do(&TokenUse{RequestID: testRequestID(5), ID: "a", UsedBy: []byte("public key"), UsedName: "n1"})
	r.do(&TokenDrop{RequestID: testRequestID(6), ID: "none"})
	for n := range 10 {
		r.now = r.now.Add(time.Second)
		r.ops(SessionOp{Kind: OpAssign, Key: testKey(n), Instance: InstanceID(n%3 + 1)})
	}
	everythingOperating(r)
	r.do(&Checkpoint{})
	return r
}

func TestSnapshotIdentity(t *testing.T) {
	for name, s := range map[string]*State{"empty": New(), "everything": everything(t).s, "many": func() *State {
		r := everything(t)
		fillSessions(t, r, 100, 200_000, 3)
		return r.s
	}()} {
		t.Run(name, func(t *testing.T) {
			b := snapshotBytes(t, s)
			wantEqual(t, restored(t, b), s)
			again := New()
			if err := again.Restore(iotest.OneByteReader(bytes.NewReader(b[:min(len(b), 1<<20)]))); len(b) <= 1<<20 && err != nil {
				t.Fatalf("byte by byte: %v", err)
			}
		})
	}
}

// A shard that is larger than a section is split and joined again.
func TestSnapshotOfCrowdedShard(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", 0, "i1"))
	var ops []SessionOp
	for _, k := range crowded(90_000)[45_000:] {
		ops = append(ops, SessionOp{Kind: OpAssign, Key: k, Instance: 1})
	}
	r.ops(ops...)
	if r.s.Len() != len(ops) || r.cur().table.shards[0].used != len(ops) {
		t.Fatalf("%d assignments", r.s.Len())
	}
	b := snapshotBytes(t, r.s)
	if got := restored(t, b); got.Digest() != r.s.Digest() || got.Len() != r.s.Len() {
		t.Fatal("the restored state differs")
	}
}

// wantRefused restores bad over a state and checks that nothing has happened to it.
func wantRefused(t tester, s *State, bad []byte) error {
	t.Helper()
	before, at := s.Digest(), s.Applied()
	err := s.Restore(bytes.NewReader(bad))
	if err == nil {
		t.Fatalf("accepted")
	}
	if s.Digest() != before || s.Applied() != at {
		t.Fatalf("a refused snapshot has changed the state")
	}
	return err
}

func TestRestoreRefusesEachFlippedBit(t *testing.T) {
	good := snapshotBytes(t, everything(t).s)
	s := everything(t).s
	for bit := range len(good) * 8 {
		// All bits of the headers at the front and of the end, one of each byte in between: they are all under the same kind of checksum.
		if n := bit / 8; n >= 256 && n < len(good)-256 && bit%8 != n%8 {
			continue
		}
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := wantRefused(t, s, bad); !errors.Is(err, ErrSnapshotDamaged) && !errors.Is(err, ErrSnapshotUnknown) {
			t.Fatalf("byte %d, bit %d: %v", bit/8, bit%8, err)
		}
	}
}

func TestRestoreRefusesEachTruncation(t *testing.T) {
	good := snapshotBytes(t, everything(t).s)
	s := everything(t).s
	for n := range good {
		if err := wantRefused(t, s, good[:n]); !errors.Is(err, ErrSnapshotDamaged) {
			t.Fatalf("cut off at %d: %v", n, err)
		}
	}
	if err := wantRefused(t, s, append(bytes.Clone(good), 0)); !errors.Is(err, ErrSnapshotDamaged) {
		t.Fatalf("a byte more: %v", err)
	}
	zeros := bytes.Clone(good)
	clear(zeros[len(zeros)/2:])
	wantRefused(t, s, zeros)
	wantRefused(t, s, make([]byte, len(good)))
}

func TestRestorePassesReadErrorsOn(t *testing.T) {
	good := snapshotBytes(t, everything(t).s)
	broken := errors.New("disk on fire")
	for _, n := range []int{0, 10, fileHeaderSize, 100, len(good) / 2, len(good)} {
		err := New().Restore(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ErrSnapshotDamaged) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestWriteToPassesErrorsOn(t *testing.T) {
	snap := everything(t).s.Snapshot()
	defer snap.Release()
	var b bytes.Buffer
	size, err := snap.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{0, 1, 40, size - 1} {
		if got, err := snap.WriteTo(&fullDisk{left: n}); err == nil || got != n {
			t.Errorf("disk full after %d bytes: %d written, %v", n, got, err)
		}
	}
}

type fullDisk struct{ left int64 }

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(int64(len(b)), d.left)
	d.left -= n
	if n < int64(len(b)) {
		return int(n), errors.New("no space left on device")
	}
	return int(n), nil
}

// forge writes a snapshot with a right frame around sections that Apply cannot have made.
func forge(d Digest, sections ...section) []byte {
	var b bytes.Buffer
	w := newSectionWriter(&b)
	w.fileHeader(7, testStart.UnixMilli())
	for _, s := range sections {
		w.section(s.item, s.count, s.content)
	}
	w.end(d)
	return b.Bytes()
}

func list(it item, canonical ...[]byte) section {
	s := section{item: it, count: uint32(len(canonical))}
	for _, c := range canonical {
		s.content = appendBytes(s.content, c)
	}
	return s
}

func TestRestoreRefusesForgedContent(t *testing.T) {
	group := testGroup()
	tok := testToken("a", RoleNode)
	name := func(id InstanceID, instance string) []byte { return appendName(nil, id, InstanceRef{"c", instance}) }
	rev := func(n uint64, raw string) []byte { return appendRevision(nil, &Revision{Number: n, raw: []byte(raw)}) }
	req := func(seq uint64, id int) []byte { return appendRequest(nil, &request{seq: seq, id: testRequestID(id)}) }
	names := list(itemName, name(1, "i1"), name(2, "i2"))
	k := testKey(1)
	home := shardOf(hashKey(&k))
	row := func(shard, count uint32, slots ...slot) section {
		b := appendU32(appendU32(appendU32(nil, 1), shard), count)
		for _, s := range slots {
			b = append(b, s.key[:]...)
		}
		for _, s := range slots {
			b = appendU32(b, uint32(s.instance))
		}
		for _, s := range slots {
			b = appendU32(b, s.seen)
		}
		for _, s := range slots {
			b = appendU64(b, uint64(s.meta))
		}
		return section{item: sectionTable, count: uint32(len(slots)), content: b}
	}
	tests := map[string][]section{
		"two groups":              {list(itemGroup, appendGroup(nil, &group), appendGroup(nil, &group))},
		"group without secret":    {list(itemGroup, appendGroup(nil, &Group{ID: "x"}))},
		"id gap":                  {list(itemName, name(1, "a"), name(3, "b"))},
		"id twice":                {list(itemName, name(1, "a"), name(1, "b"))},
		"name twice":              {list(itemName, name(1, "a"), name(2, "a"))},
		"revision zero":           {list(itemRevision, rev(0, "{}"))},
		"revision gap":            {list(itemRevision, rev(1, "{}"), rev(3, "{}"))},
		"revision no JSON":        {list(itemRevision, rev(1, "{"))},
		"revision null":           {list(itemRevision, rev(1, "null"))},
		"instance without id":     {list(itemRevision, rev(1, `{"clusters":[{"name":"c","instances":[{"name":"i"}]}]}`))},
		"token twice":             {list(itemToken, appendToken(nil, &tok), appendToken(nil, &tok))},
		"token cut off":           {list(itemToken, appendToken(nil, &tok)[1:])},
		"request gap":             {list(itemRequest, req(0, 1), req(2, 2))},
		"request id twice":        {list(itemRequest, req(0, 1), req(1, 1))},
		"requests begin late":     {list(itemRequest, req(5, 1))},
		"sections out of order":   {list(itemToken, appendToken(nil, &tok)), names},
		"unknown section":         {{item: 77, count: 1, content: []byte{0}}},
		"empty section":           {{item: itemName}},
		"list too short":          {{item: itemName, count: 2, content: list(itemName, name(1, "a")).content}},
		"list too long":           {{item: itemName, count: 1, content: append(list(itemName, name(1, "a")).content, 0)}},
		"list of huge":            {{item: itemName, count: 1, content: []byte{255, 255, 255, 255}}},
		"list of very many":       {{item: itemName, count: 1<<32 - 1, content: nil}},
		"assignment to unknown":   {names, row(home, 1, slot{key: k, instance: 3})},
		"assignment to nobody":    {names, row(home, 1, slot{key: k})},
		"assignment before names": {row(home, 1, slot{key: k, instance: 1})},
		"assignment elsewhere":    {names, row(home+1, 1, slot{key: k, instance: 1})},
		"assignment twice":        {names, row(home, 2, slot{key: k, instance: 1}, slot{key: k, instance: 2})},
		"shard out of range":      {names, row(Shards, 1, slot{key: k, instance: 1})},
		"shard of none":           {names, row(home, 0, slot{key: k, instance: 1})},
		"shard of too many":       {names, row(home, 2, slot{key: k, instance: 1})},
		"table of very many":      {names, {item: sectionTable, count: 1<<32 - 1, content: row(home, 1, slot{key: k, instance: 1}).content}},
		"wrong digest":            {names, row(home, 1, slot{key: k, instance: 1})},
	}
	s := everything(t).s
	for name, sections := range tests {
		t.Run(name, func(t *testing.T) {
			if err := wantRefused(t, s, forge(Digest{}, sections...)); !errors.Is(err, ErrSnapshotDamaged) && !errors.Is(err, ErrSnapshotUnknown) {
				t.Fatal(err)
			}
		})
	}
	// The forger's tools do make good snapshots, so that what is refused above is refused for its reason.
	want := sum{}
	want.add(itemSum(itemName, name(1, "i1")))
	want.add(itemSum(itemName, name(2, "i2")))
	want.add(slotSum(&slot{key: k, instance: 1, seen: 9}))
	good := forge(want.digest(testStart.UnixMilli()), names, row(home, 1, slot{key: k, instance: 1, seen: 9}))
	if err := New().Restore(bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
}

// Snapshots that are written while the writer goes on are the state at their index, not a later one and not a mixture.
func TestSnapshotUnderWrites(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Minute, "i1", "i2", "i3"))
	fillSessions(t, r, 0, 30_000, 3)
	var wg sync.WaitGroup
	for round := range 8 {
		snap, want, index, size := r.s.Snapshot(), r.s.Digest(), r.index, r.s.Len()
		if snap.Index() != index || snap.Digest() != want {
			t.Fatalf("snapshot of %d at %d", snap.Index(), index)
		}
		wg.Add(1)
		started := make(chan struct{})
		go func() {
			defer wg.Done()
			close(started)
			var b bytes.Buffer
			_, err := snap.WriteTo(&b)
			snap.Release()
			snap.Release() // harmless
			got := New()
			if err == nil {
				err = got.Restore(&b)
			}
			if err != nil || got.Digest() != want || got.Applied() != index || got.Len() != size {
				t.Errorf("round %d: %v, index %d, want %d, %d assignments, want %d", round, err, got.Applied(), index, got.Len(), size)
			}
		}()
		<-started
		for n := range 200 {
			var ops []SessionOp
			for i := range 40 {
				k := (round*7919 + n*104729 + i*1299709) % 60_000
				ops = append(ops, SessionOp{Kind: OpKind(i%4 + 1), Key: testKey(k), Instance: InstanceID(i%3 + 1), Expect: InstanceID(k%3 + 1)})
			}
			r.now = r.now.Add(time.Second)
			r.ops(ops...)
			r.do(&Expire{Shard: uint32(n * 40), Count: 40})
		}
	}
	wg.Wait()
	wantCounts(t, r.s)
	if live := r.cur().table.live.Load(); live != 0 {
		t.Fatalf("%d snapshots are still held", live)
	}
}

// Readers on other goroutines, beside all that the writer can do. For the race detector, and for what must always hold.
func TestConcurrentReaders(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.do(&GroupInit{Group: testGroup()})
	r.configure(testCluster("c", time.Minute, "i1", "i2"))
	fillSessions(t, r, 0, 2000, 2)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var rounds atomic.Int64
	for reader := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := reader; !stop.Load(); n++ {
				// What was assigned at first stays: only later ones are dropped.
				if a, ok := r.s.Lookup(testKey(n % 2000)); !ok || a.Instance == 0 {
					t.Errorf("session %d is gone", n%2000)
					return
				}
				applied := r.s.Applied()
				if index, _ := r.s.DigestAt(); index < applied && r.s.Applied() >= applied {
					t.Errorf("digest of %d after %d was applied", index, applied)
				}
				rev := r.s.Revision()
				for _, i := range rev.Config.Clusters[0].Instances {
					if id, ok := r.s.InstanceID("c", i.Name); !ok || r.s.Sessions(id) < 0 {
						t.Errorf("instance %s of revision %d has no id", i.Name, rev.Number)
					}
				}
				if n%64 == 0 {
					r.s.Scan(uint64(n)<<50, 100, nil)
					r.s.Tokens()
					r.s.TokenByID("t1")
					r.s.InstanceRef(1)
					r.s.Revisions()
					r.s.Checkpoint()
					_ = r.s.Group().Name
					r.s.Now()
					r.s.Len()
					o := r.s.Operating()
					for _, v := range o.Verdicts {
						if ref, ok := r.s.InstanceRef(v.Instance); !ok {
							t.Errorf("verdict on %+v", ref)
						}
					}
					if list := r.s.Events(0, 10); len(list) > 1 && list[1].Seq != list[0].Seq+1 {
						t.Errorf("a gap between events: %+v", list)
					}
					r.s.LastEvent()
					r.s.Locked()
					r.s.Plan(rev.Config, nil)
					r.s.ModuleSessions(1)
					r.s.ModuleRef(1)
				}
				// A session that is there has a history, and its last decision leads to where it was.
				if list, _ := r.s.Decisions(testKey(n % 2000)); len(list) == 0 || list[len(list)-1].To == 0 {
					t.Errorf("session %d: decisions %+v", n%2000, list)
				}
				rounds.Add(1)
			}
		}()
	}
	var kept []byte
	for n := range 150 {
		fillSessions(t, r, 2000+n*20, 2020+n*20, 2)
		r.ops(SessionOp{Kind: OpDrop, Key: testKey(2000 + n*10)}, SessionOp{Kind: OpMove, Key: testKey(n), Instance: 1, Expect: 2},
			SessionOp{Kind: OpTouch, Key: testKey(n)})
		r.do(&Checkpoint{PrevIndex: r.s.Checkpoint().Index, PrevDigest: r.s.Checkpoint().Digest})
		r.do(&TokenPut{RequestID: testRequestID(n), Token: testToken(fmt.Sprint("t", n), RoleNode)})
		r.do(&Expire{Count: Shards})
		r.ops(SessionOp{Kind: OpMove, Key: testKey(n), Instance: 2, Expect: 1, Reason: ReasonOperator}, SessionOp{Kind: OpMove, Key: testKey(n), Instance: 1, Expect: 2, Reason: ReasonOperator})
		r.do(&LockSet{Owner: "me", Reason: fmt.Sprint(n)})
		r.do(&VerdictSet{Verdicts: []Verdict{{Instance: 1, State: []HealthState{HealthUp, HealthFailed}[n%2]}}})
		r.do(&LockClear{Actor: "me"})
		switch n % 25 {
		case 5:
			r.configure(testCluster("c", time.Minute, "i1", "i2", fmt.Sprint("new", n)))
		case 10:
			kept = snapshotBytes(t, r.s)
		case 20:
			if err := r.s.Restore(bytes.NewReader(kept)); err != nil {
				t.Fatal(err)
			}
			r.index = r.s.Applied()
			// The keys that came after the snapshot are free again.
			var drops []SessionOp
			for k := 2000; k < 2020+n*20; k++ {
				drops = append(drops, SessionOp{Kind: OpDrop, Key: testKey(k)})
			}
			r.ops(drops...)
		}
	}
	stop.Store(true)
	wg.Wait()
	if rounds.Load() == 0 {
		t.Fatal("no reader has read")
	}
	wantCounts(t, r.s)
}

// Restore swaps the whole state: a scan sees the old one or the new one.
func TestRestoreIsAtomicForReaders(t *testing.T) {
	snapshots := make([][]byte, 2)
	for i := range snapshots {
		r := newReplicaUnderTest(t)
		r.configure(testCluster("c", time.Minute, "i1", "i2"))
		var ops []SessionOp
		for n := range 3000 {
			ops = append(ops, SessionOp{Kind: OpAssign, Key: testKey(n), Instance: InstanceID(i + 1)})
		}
		r.ops(ops...)
		snapshots[i] = snapshotBytes(t, r.s)
	}
	s := restored(t, snapshots[0])
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			all, _ := s.Scan(0, 1<<20, nil)
			for _, e := range all {
				if len(all) != 3000 || e.Instance != all[0].Instance {
					t.Error("a mixture of two states")
					return
				}
			}
		}
	}()
	for n := range 40 {
		if err := s.Restore(bytes.NewReader(snapshots[n%2])); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	<-done
}
