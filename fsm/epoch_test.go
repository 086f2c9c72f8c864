package fsm

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"time"
)

// TestBeginEpoch: the epoch rises, nothing else is another, every session has its whole idle time again, and the digest is that of the state.
func TestBeginEpoch(t *testing.T) {
	r := everything(t)
	fillSessions(t, r, 1000, 5000, 3)
	s := restored(t, snapshotBytes(t, r.s))
	before, was := s.Digest(), *s.Group()
	snap := s.Snapshot() // taken before: it must not change
	defer snap.Release()
	at := r.now.Add(48 * time.Hour)
	if err := s.BeginEpoch(0, at); err != nil {
		t.Fatal(err)
	}
	want := was
	want.Epoch++
	if got := *s.Group(); got.ID != want.ID || got.Epoch != want.Epoch || !bytes.Equal(got.Secret, want.Secret) || !bytes.Equal(got.CAKey, want.CAKey) {
		t.Errorf("group %+v", got)
	}
	if !s.Now().Equal(at.Truncate(time.Millisecond)) || s.Applied() != r.s.Applied() || s.Len() != r.s.Len() {
		t.Errorf("now %v, applied %d, %d sessions", s.Now(), s.Applied(), s.Len())
	}
	seen := 0
	for list, cursor := s.Scan(0, 1000, nil); ; list, cursor = s.Scan(cursor, 1000, nil) {
		for _, e := range list {
			old, ok := r.s.Lookup(e.Key)
			if seen++; !ok || e.Instance != old.Instance || e.Module != old.Module || e.Index != old.Index || !e.SeenAt().Equal(at.Truncate(time.Second)) {
				t.Fatalf("%v: %+v, was %+v", e.Key, e.Assignment, old)
			}
		}
		if cursor == 0 {
			break
		}
	}
	if seen != r.s.Len() {
		t.Errorf("%d sessions", seen)
	}
	if s.Digest() == before {
		t.Error("the digest is the same")
	}
	wantEqual(t, restored(t, snapshotBytes(t, s)), s) // Restore sums the digest up anew
	var b bytes.Buffer
	if _, err := snap.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if got := restored(t, b.Bytes()); got.Digest() != before || got.Group().Epoch != was.Epoch {
		t.Error("a snapshot from before has changed")
	}

	// A clock that is behind does not turn the replicated time back.
	if err := s.BeginEpoch(0, testStart); err != nil {
		t.Fatal(err)
	}
	if !s.Now().Equal(at.Truncate(time.Millisecond)) || s.Group().Epoch != want.Epoch+1 {
		t.Errorf("now %v, epoch %d", s.Now(), s.Group().Epoch)
	}
}

// TestNothingExpiresAtTheBeginningOfAnEpoch: without it all of them would.
func TestNothingExpiresAtTheBeginningOfAnEpoch(t *testing.T) {
	sweep := func(begin bool) int {
		r := newReplicaUnderTest(t)
		r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
		r.configure(testCluster("c1", time.Hour, "i1"))
		for n := range 50 {
			r.ops(SessionOp{Kind: OpAssign, Key: testKey(n), Instance: 1})
		}
		r.now = r.now.Add(24 * time.Hour)
		if begin {
			if err := r.s.BeginEpoch(0, r.now); err != nil {
				t.Fatal(err)
			}
		}
		r.do(&Expire{Shard: 0, Count: Shards})
		return r.s.Len()
	}
	if left, without := sweep(true), sweep(false); left != 50 || without != 0 {
		t.Errorf("%d of 50 sessions are left, %d without a new epoch", left, without)
	}
}

func TestNoEpochBegins(t *testing.T) {
	if err := New().BeginEpoch(0, testStart); err == nil {
		t.Error("without a group")
	}
	r := newReplicaUnderTest(t)
	g := testGroup()
	g.Epoch = math.MaxUint32
	r.do(&GroupInit{RequestID: testRequestID(1), Group: g})
	before := r.s.Digest()
	for _, at := range []time.Time{testStart.Add(time.Hour), time.UnixMilli(maxNow + 1)} {
		if err := r.s.BeginEpoch(0, at); err == nil || r.s.Digest() != before {
			t.Errorf("at %v: %v", at, err)
		}
	}
	r = newReplicaUnderTest(t)
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	if err := r.s.BeginEpoch(0, time.UnixMilli(maxNow+1)); err == nil || r.s.Group().Epoch != 1 {
		t.Errorf("far future: %v", err)
	}
}

func TestPeekSnapshot(t *testing.T) {
	r := everything(t)
	b := snapshotBytes(t, r.s)
	index, now, whole, err := PeekSnapshot(bytes.NewReader(b))
	if err != nil || index != r.s.Applied() || !now.Equal(r.s.Now()) {
		t.Fatalf("index %d, now %v, %v", index, now, err)
	}
	if all, err := io.ReadAll(whole); err != nil || !bytes.Equal(all, b) {
		t.Errorf("%d of %d bytes, %v", len(all), len(b), err)
	}
	for n := range fileHeaderSize {
		if _, _, _, err := PeekSnapshot(bytes.NewReader(b[:n])); err == nil {
			t.Errorf("a head of %d bytes was read", n)
		}
	}
}

// TestMissed: which decisions of earlier epochs the state has.
func TestMissed(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.configure(testCluster("c1", time.Hour, "i1", "i2"))
	first := r.s.Applied()
	if err := r.s.Begin(Beginning{Taken: 2, At: r.now}); err != nil { // somebody else is epoch 2 already
		t.Fatal(err)
	}
	r.s.Advance(first + 100)
	if err := r.s.BeginEpoch(0, r.now); err != nil {
		t.Fatal(err)
	}
	g := r.s.Group()
	if g.Epoch != 4 || len(g.Epochs) != 2 || g.Epochs[0] != (EpochStart{Epoch: 3, After: 1, Index: first, Instances: 2}) {
		t.Fatalf("epoch %d: %+v", g.Epoch, g.Epochs)
	}
	for _, c := range []struct {
		epoch        uint32
		index        uint64
		next         uint32
		missed       bool
		descriptions string
	}{
		{1, first, 3, false, "taken over"}, {1, first + 1, 3, true, "behind the end"}, {2, 1, 3, true, "of another heir"}, {2, 0, 3, false, "no decision"},
		{3, first + 100, 4, false, "taken over"}, {3, first + 101, 4, true, "behind the end"}, {4, 1 << 60, 0, false, "this epoch"}, {5, 1, 4, true, "later than all"},
		{0, 5, 0, false, "forgotten"},
	} {
		if next, missed := g.Missed(c.epoch, 0, c.index); next.Epoch != c.next || missed != c.missed {
			t.Errorf("%d/%d (%s): %+v, %v", c.epoch, c.index, c.descriptions, next, missed)
		}
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	for range 2 * maxEpochs {
		if err := r.s.BeginEpoch(0, r.now); err != nil {
			t.Fatal(err)
		}
	}
	if g := r.s.Group(); len(g.Epochs) != maxEpochs || g.Epochs[maxEpochs-1].Epoch != g.Epoch || g.Epoch != 4+2*maxEpochs {
		t.Errorf("%d epochs, the last %+v", len(g.Epochs), g.Epochs[len(g.Epochs)-1])
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// TestBeginningsAreEvents: the first event of an epoch names it; without words there is none.
func TestBeginningsAreEvents(t *testing.T) {
	r := everything(t)
	before, epoch := r.s.LastEvent(), r.s.Group().Epoch
	if err := r.s.Begin(Beginning{Taken: epoch + 4, Line: 7, At: r.now, Kind: EventPromoted, Actor: "root@a", Node: "n9", Text: "from an archive"}); err != nil {
		t.Fatal(err)
	}
	list := r.s.Events(before, 10)
	if len(list) != 1 || list[0].Kind != EventPromoted || list[0].Actor != "root@a" || list[0].Node != "n9" || list[0].Index != r.s.Applied() || list[0].Text != fmt.Sprintf("Epoch %d begins: from an archive", epoch+5) {
		t.Errorf("%+v", list)
	}
	if err := r.s.BeginEpoch(8, r.now); err != nil || r.s.LastEvent() != before+1 {
		t.Errorf("%v, %d events", err, r.s.LastEvent()-before)
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// TestAbsencesEndWithTheirEpoch: what is said of nodes that do not answer or are out of service is of the epoch before, and says so; nobody says afterwards that nodes of their names are back. The first event of the new epoch stays the last one.
func TestAbsencesEndWithTheirEpoch(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.do(&GroupInit{RequestID: RequestID{1}, Group: testGroup()})
	for _, c := range []*QuarantineNote{
		{Node: "n3", Silent: true}, {Node: "n2", Silent: true}, {Node: "n2", Cause: "stuck"}, {Node: "n1", Silent: true}, {Node: "n1", Silent: true, Over: true},
	} {
		if res := r.do(c); res.Code != CodeOK {
			t.Fatalf("%+v", res)
		}
	}
	before, epoch := r.s.LastEvent(), r.s.Group().Epoch
	if err := r.s.Begin(Beginning{Line: 7, At: r.now, Kind: EventPromoted, Text: "from an archive"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range r.s.Events(before, 10) {
		got = append(got, e.Kind+" "+e.Actor+": "+e.Text)
	}
	of := func(node, text string) string {
		return fmt.Sprintf("%s: Node %[1]s of epoch %d %s when that epoch ended", node, epoch, text)
	}
	if want := []string{"answers " + of("n2", "did not answer"), "answers " + of("n3", "did not answer"), "quarantine-ended " + of("n2", "was out of service"),
		fmt.Sprintf("promoted : Epoch %d begins: from an archive", epoch+1)}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s, q := r.s.Silent(), r.s.InQuarantine(); len(s)+len(q) != 0 {
		t.Errorf("%v, %v", s, q)
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// TestEpochAt: in which epoch an index was.
func TestEpochAt(t *testing.T) {
	g := Group{Epoch: 5, Epochs: []EpochStart{{Epoch: 2, After: 1, Index: 100}, {Epoch: 5, After: 2, Index: 300}}}
	for index, want := range map[uint64]uint32{1: 1, 100: 1, 101: 2, 300: 2, 301: 5} {
		if got := g.EpochAt(index); got != want {
			t.Errorf("%d: epoch %d, want %d", index, got, want)
		}
	}
	if got := (&Group{Epoch: 3}).EpochAt(7); got != 3 {
		t.Errorf("without beginnings: epoch %d", got)
	}
}

// TestImpossibleEpochs: a snapshot with epochs that cannot have been is no snapshot.
func TestImpossibleEpochs(t *testing.T) {
	good := testGroup()
	good.Epoch, good.Epochs = 4, []EpochStart{{Epoch: 2, After: 1, Index: 10, Instances: 3}, {Epoch: 4, After: 2, Index: 20, Instances: 3}}
	if g, ok := parseGroup(appendGroup(nil, &good)); !ok || len(g.Epochs) != 2 {
		t.Fatalf("a possible one is refused: %+v", g)
	}
	for name, change := range map[string]func(*Group){
		"backwards":      func(g *Group) { g.Epochs[1].Epoch = 2 },
		"gap":            func(g *Group) { g.Epochs[1].After = 3 },
		"index falls":    func(g *Group) { g.Epochs[1].Index = 9 },
		"ids fall":       func(g *Group) { g.Epochs[1].Instances = 2 },
		"too many ids":   func(g *Group) { g.Epochs[1].Instances = maxInstances + 1 },
		"not this epoch": func(g *Group) { g.Epoch = 5 },
		"too many":       func(g *Group) { g.Epochs = make([]EpochStart, maxEpochs+1) },
	} {
		bad := good
		bad.Epochs = slices.Clone(good.Epochs)
		change(&bad)
		if _, ok := parseGroup(appendGroup(nil, &bad)); ok {
			t.Errorf("%s: read", name)
		}
	}
	b := appendGroup(nil, &good)
	for n := 1; n < 20; n++ {
		if _, ok := parseGroup(b[:len(b)-n]); ok {
			t.Errorf("read without its last %d bytes", n)
		}
	}
}

// TestLines: an epoch of another line is of another history, and an id means one instance only together with the line in which it was given out.
func TestLines(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.configure(testCluster("c1", time.Hour, "i1", "i2"))
	first := r.s.Applied()
	if err := r.s.BeginEpoch(20, r.now); err != nil {
		t.Fatal(err)
	}
	r.configure(testCluster("c1", time.Hour, "i1", "i2", "i3"))
	second := r.s.Applied()
	if err := r.s.BeginEpoch(30, r.now); err != nil {
		t.Fatal(err)
	}
	g := r.s.Group()
	if g.Line() != 30 || g.Epochs[0].Line != 20 || g.Epochs[1] != (EpochStart{Epoch: 3, After: 2, Index: second, Instances: 3, Line: 30}) {
		t.Fatalf("%+v", g.Epochs)
	}
	for _, c := range []struct {
		epoch, line uint32
		index       uint64
		next        uint32
		missed      bool
	}{
		{1, 0, first, 2, false}, {1, 0, first + 1, 2, true}, {2, 20, second, 3, false}, {2, 20, second + 1, 3, true}, {2, 21, first, 2, true}, {2, 21, 0, 2, false},
		{2, 0, second, 2, true}, {3, 30, 1 << 50, 0, false}, {3, 31, second, 3, true}, {3, 0, second, 3, true}, {4, 40, 1, 3, true},
	} {
		if next, missed := g.Missed(c.epoch, c.line, c.index); next.Epoch != c.next || missed != c.missed {
			t.Errorf("%+v: %+v, %v", c, next, missed)
		}
	}
	for id, line := range map[InstanceID]uint32{1: 0, 2: 0, 3: 20, 4: 30, 1 << 30: 30} {
		if g.Born(id) != line || !g.Means(id, line) || g.Means(id, line+1) {
			t.Errorf("id %d: born %d", id, g.Born(id))
		}
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	for n := range 2 * maxEpochs {
		if err := r.s.BeginEpoch(uint32(100+n), r.now); err != nil {
			t.Fatal(err)
		}
	}
	if g := r.s.Group(); !g.Means(1, 77) || !g.Means(3, 20) || g.Means(4, 20) {
		t.Error("what has been forgotten counts as the same, and nothing else does")
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// TestGoldenLines: the form of an epoch with a line, and of the command that brings one.
func TestGoldenLines(t *testing.T) {
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
	begin := announced(t, "00c0ffee", content)
	begin.RequestID = testRequestID(31)
	r.do(begin)
	r.do(&RestorePart{ID: "00c0ffee", Data: content})
	commit := commitOf("00c0ffee", content)
	commit.RequestID, commit.Line = testRequestID(32), 0x11223344
	applyGolden(t, r, []goldenEntry{{file: "v4_restore_commit.entry", bytes: mustEncode(t, r.now, commit), code: CodeOK}})
	if err := r.s.BeginEpoch(0x55667788, r.now); err != nil {
		t.Fatal(err)
	}
	g := r.s.Group()
	if g.Epoch != 3 || g.Line() != 0x55667788 || g.Epochs[0].Line != 0x11223344 || g.Founded() != 3 {
		t.Fatalf("%+v", g.Epochs)
	}
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_lines.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v4_lines.snapshot", snapshotBytes(t, r.s))), r.s)
}

// TestImpossibleLines: a line stands behind its epoch, once, and is not 0.
func TestImpossibleLines(t *testing.T) {
	good := testGroup()
	good.Epoch, good.FoundedIn, good.Epochs = 4, 2, []EpochStart{{Epoch: 2, After: 1, Index: 10, Instances: 3, Line: 5}, {Epoch: 4, After: 2, Index: 20, Instances: 3, Line: 6}}
	b := appendGroup(nil, &good)
	if g, ok := parseGroup(b); !ok || !slices.Equal(g.Epochs, good.Epochs) || g.FoundedIn != 2 {
		t.Fatalf("a possible one is refused: %+v", g)
	}
	const record = 20
	head := len(b) - 5*record
	line := func(n int) []byte { return b[head+n*record : head+(n+1)*record] }
	none := slices.Clone(line(1))
	clear(none[4:8])
	for name, parts := range map[string][]int{"twice": {0, 1, 1, 2, 3, 4}, "before its epoch": {1, 0, 2, 3, 4}, "of another epoch": {0, 3, 2, 1, 4}, "behind the end": {0, 1, 2, 4, 3}} {
		bad := slices.Clone(b[:head])
		for _, n := range parts {
			bad = append(bad, line(n)...)
		}
		if _, ok := parseGroup(bad); ok {
			t.Errorf("%s: read", name)
		}
	}
	if _, ok := parseGroup(slices.Concat(b[:head], line(0), none, line(2), line(3), line(4))); ok {
		t.Error("a line of 0: read")
	}
}
