package fsm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// announced is the announcement of an archive with this content.
func announced(t tester, id string, content []byte) *RestoreBegin {
	t.Helper()
	s := restored(t, content)
	epoch := uint32(0)
	if g := s.Group(); g != nil {
		epoch = g.Epoch
	}
	return &RestoreBegin{Restoring: Restoring{ID: id, Actor: "admin", Reason: "a mistake", Archive: "shop-1-9.hfb", Epoch: epoch, Index: s.Applied(), Time: s.Now()}}
}

// commitOf ends what announced began.
func commitOf(id string, content []byte) *RestoreCommit {
	h := sha256.Sum256(content)
	return &RestoreCommit{ID: id, Size: uint64(len(content)), Hash: h[:]}
}

// parts sends the content from byte at on, size bytes at a time.
func (r *replicaUnderTest) parts(id string, content []byte, at, size int) {
	r.t.Helper()
	for ; at < len(content); at += size {
		if res := r.do(&RestorePart{ID: id, At: uint64(at), Data: content[at:min(len(content), at+size)]}); res.Code != CodeOK {
			r.t.Fatalf("part at %d: %+v", at, res)
		}
	}
}

func (r *replicaUnderTest) restoreInto(content []byte, size int) Result {
	r.t.Helper()
	if res := r.do(announced(r.t, "r1", content)); res.Code != CodeOK {
		return res
	}
	r.parts("r1", content, 0, size)
	c := commitOf("r1", content)
	c.RequestID = testRequestID(900)
	return r.do(c)
}

// free takes off what forbids a restore.
func (r *replicaUnderTest) free() {
	r.do(&LockClear{Actor: "me"})
	for _, w := range r.s.Operating().Workflows {
		if !w.Ended() {
			next := *w
			next.State = "done"
			r.do(&WorkflowSet{Expect: w.Version, Workflow: next})
		}
	}
}

// afterwards is a state, with its content as of an earlier moment in which a workflow ran, and all that has changed since then.
func afterwards(t tester) (r *replicaUnderTest, content []byte) {
	r = everything(t)
	r.free()
	r.do(&WorkflowSet{RequestID: testRequestID(800), Workflow: Workflow{ID: "w9", Kind: "upgrade", State: "running", Actor: "me"}})
	content = snapshotBytes(t, r.s)
	r.free()
	r.now = r.now.Add(time.Minute)
	c1 := testCluster("c1", time.Hour, "i2", "i3", "i4")
	c1.Modules = []config.Module{{ContextRoot: "/new", Enabled: true}}
	r.do(&ConfigChange{RequestID: testRequestID(801), Expect: r.s.Revision().Number, Actor: "me", Config: testConfig(c1)})
	r.do(&TokenDrop{RequestID: testRequestID(802), ID: "b"})
	r.do(&TokenPut{RequestID: testRequestID(803), Token: testToken("c", "admin")})
	r.do(&EvacuationClear{RequestID: testRequestID(804), Node: "n3", Actor: "me"})
	r.do(&NodeRevoke{IDs: []string{"n5/1234abcd"}})
	r.do(&ACMEStore{Key: "acme/ca/users/later.json", Sealed: []byte("sealed")})
	r.do(&VerdictSet{Verdicts: []Verdict{{Instance: 2, State: HealthSuspect, Reason: "slow", Down: 1, Reporting: 3}}})
	id, _ := r.s.InstanceID("c1", "i4")
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(70), Instance: id, Reason: ReasonPolicy}, SessionOp{Kind: OpDrop, Key: testKey(2), Reason: ReasonOperator},
		SessionOp{Kind: OpMove, Key: testKey(1), Instance: id, Expect: 2, Reason: ReasonOperator})
	return r, content
}

// TestRestoreIntoTheGroup: at one index the state is that of the archive, in the next epoch; what is about the group as it is now stays. It survives a snapshot, and a replica that applies the same entries is equal.
func TestRestoreIntoTheGroup(t *testing.T) {
	r, content := afterwards(t)
	was := restored(t, content)
	twin := newReplicaUnderTest(t)
	twin.s, twin.index = restored(t, snapshotBytes(t, r.s)), r.index
	before := *r.s.Group()
	revision, events := r.s.Revision().Number, r.s.LastEvent()
	tokens, o := r.s.Tokens(), r.s.Operating()
	old := r.s.Snapshot() // it must not change
	defer old.Release()
	oldDigest := old.Digest()

	r.now = r.now.Add(time.Second)
	twin.now = r.now
	for _, x := range []*replicaUnderTest{r, twin} {
		if res := x.restoreInto(content, 1000); res.Code != CodeOK || res.Revision != revision+1 {
			t.Fatalf("%+v", res)
		}
	}
	wantEqual(t, twin.s, r.s)
	r.survives()
	wantCounts(t, r.s)

	g := r.s.Group()
	start := EpochStart{Epoch: before.Epoch + 1, After: was.Group().Epoch, Index: was.Applied(), Instances: 6}
	if g.Epoch != before.Epoch+1 || g.Founded() != before.Epoch || !slices.Equal(g.Epochs, []EpochStart{start}) {
		t.Errorf("group %+v, want %+v", g, start)
	}
	if next, missed := g.Missed(before.Epoch, before.Line(), was.Applied()+1); !missed || next != start {
		t.Error("what came behind the archive does not count as missed")
	}
	entries, _ := r.s.Scan(0, 1<<20, nil)
	for _, e := range entries {
		if a, ok := was.Lookup(e.Key); !ok || a.Instance != e.Instance || a.Index != e.Index || e.SeenAt() != r.s.Now().Truncate(time.Second) {
			t.Errorf("%v: %+v, was %+v", e.Key, e.Assignment, a)
		}
	}
	if len(entries) != was.Len() || r.s.Applied() != r.index || r.s.Now() != r.now {
		t.Errorf("%d sessions, was %d; applied %d; now %v", len(entries), was.Len(), r.s.Applied(), r.s.Now())
	}
	rev := r.s.Revision()
	if rev.Number != revision+1 || !reflect.DeepEqual(rev.Config, was.Revision().Config) || rev.Actor != "admin" || len(r.s.Revisions()) != int(revision)+1 {
		t.Errorf("revision %d of %d", rev.Number, len(r.s.Revisions()))
	}
	now := r.s.Operating()
	if len(now.ACMEValues) != 3 || !reflect.DeepEqual(now.ACMEValues, o.ACMEValues) || !reflect.DeepEqual(now.ACMELocks, o.ACMELocks) || !reflect.DeepEqual(now.ACMEStates, o.ACMEStates) {
		t.Errorf("%+v", now.ACMEValues)
	}
	if !reflect.DeepEqual(r.s.Tokens(), tokens) || !reflect.DeepEqual(now.Holder, o.Holder) || !slices.Equal(now.Evacuated, o.Evacuated) || !slices.Equal(now.Revocations, o.Revocations) || !now.Revoked("n5/1234abcd") || !reflect.DeepEqual(now.Backups, o.Backups) || now.Lock != nil || now.Index != r.index {
		t.Errorf("%+v", now)
	}
	if len(now.Verdicts) != 1 || now.Verdicts[0].State != HealthSuspect || len(now.Quiesces) != len(was.Operating().Quiesces) || len(now.Registered) != 1 || len(now.Schedules) != 2 {
		t.Errorf("%+v", now)
	}
	w := now.Workflows[len(now.Workflows)-1]
	if w.ID != "w9" || w.State != "paused" || w.Version != r.index {
		t.Errorf("%+v", w)
	}
	if id, ok := r.s.InstanceID("c1", "i4"); !ok || id != 6 {
		t.Errorf("instance i4 has id %d: it is not to be given to another one", id)
	}
	if p, _ := r.s.Restoring(); p != nil {
		t.Error("it is still under way")
	}
	var kinds []string
	for _, e := range r.s.Events(events, 10) {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []string{EventRestoreBegun, EventRestored}) {
		t.Errorf("events %v", kinds)
	}
	if old.Digest() != oldDigest {
		t.Error("a snapshot from before has changed")
	}
	// The command once more has its first result.
	if res := r.do(&RestoreCommit{RequestID: testRequestID(900), ID: "r1"}); res.Code != CodeOK || res.Revision != revision+1 || r.s.Group().Epoch != before.Epoch+1 {
		t.Errorf("%+v", res)
	}
	// Life goes on: sessions, configurations, another restore of what was just put away.
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(71), Instance: 1, Reason: ReasonPolicy})
	var present bytes.Buffer
	if _, err := old.WriteTo(&present); err != nil {
		t.Fatal(err)
	}
	r.free()
	r.do(announced(t, "r2", present.Bytes()))
	r.parts("r2", present.Bytes(), 0, MaxRestorePart)
	if res := r.do(commitOf("r2", present.Bytes())); res.Code != CodeOK || r.s.Group().Epoch != before.Epoch+2 || r.s.Group().Founded() != before.Epoch {
		t.Errorf("%+v, %+v", res, r.s.Group())
	}
	if a, ok := r.s.Lookup(testKey(70)); !ok || a.Instance != 6 {
		t.Errorf("%+v", a)
	}
	r.survives()
}

// TestEpochOfARestoreIsNoOtherOfItsNumber: a restore into the group counts the epochs of the group and of the archive, and what somebody else has begun from the same state it cannot know: that may have the same number. Neither takes what the other
// has decided for its own, in either direction.
func TestEpochOfARestoreIsNoOtherOfItsNumber(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.configure(testCluster("c1", time.Hour, "i1", "i2"))
	content := snapshotBytes(t, r.s)
	from := r.s.Applied()
	heir := restored(t, content) // the archive is promoted elsewhere
	if err := heir.Begin(Beginning{Line: 9, At: r.now}); err != nil {
		t.Fatal(err)
	}
	if res := r.do(announced(t, "r1", content)); res.Code != CodeOK {
		t.Fatalf("%+v", res)
	}
	r.parts("r1", content, 0, 1000)
	c := commitOf("r1", content)
	c.Line = 11
	if res := r.do(c); res.Code != CodeOK {
		t.Fatalf("%+v", res)
	}
	here, there := r.s.Group(), heir.Group()
	if here.Epoch != there.Epoch || here.Line() != 11 || there.Line() != 9 {
		t.Fatalf("epoch %d of line %d, and %d of %d", here.Epoch, here.Line(), there.Epoch, there.Line())
	}
	for _, x := range []struct{ own, other *Group }{{here, there}, {there, here}} {
		if _, missed := x.own.Missed(x.other.Epoch, x.other.Line(), from+1); !missed {
			t.Errorf("what line %d has decided in epoch %d counts in line %d", x.other.Line(), x.other.Epoch, x.own.Line())
		}
		if _, missed := x.own.Missed(x.own.Epoch, x.own.Line(), from+1); missed {
			t.Errorf("what line %d has decided itself does not count", x.own.Line())
		}
	}
	if next := InstanceID(3); here.Means(next, there.Born(next)) || there.Means(next, here.Born(next)) || !here.Means(2, there.Born(2)) {
		t.Error("ids that were given out since are not told apart, or those from before are")
	}
}

// TestRestoreIsTakenUpAnywhere: a replica that is restored from a snapshot in the middle goes on as the others.
func TestRestoreIsTakenUpAnywhere(t *testing.T) {
	r, content := afterwards(t)
	r.do(announced(t, "r1", content))
	half := len(content) / 2
	r.parts("r1", content[:half], 0, 700)
	twin := newReplicaUnderTest(t)
	twin.s, twin.index, twin.now = restored(t, snapshotBytes(t, r.s)), r.index, r.now
	if p, have := twin.s.Restoring(); p == nil || have != uint64(half) {
		t.Fatalf("%+v, %d bytes", p, have)
	}
	for _, x := range []*replicaUnderTest{r, twin} {
		x.parts("r1", content, half, 900)
		if res := x.do(commitOf("r1", content)); res.Code != CodeOK {
			t.Fatalf("%+v", res)
		}
	}
	wantEqual(t, twin.s, r.s)

	// A group that begins again in the middle of one does not go on with it, and leaves its epoch to whoever did.
	r, content = afterwards(t)
	r.do(announced(t, "r1", content))
	s := restored(t, snapshotBytes(t, r.s))
	if err := s.BeginEpoch(0, r.now); err != nil {
		t.Fatal(err)
	}
	if p, _ := s.Restoring(); p != nil || s.Group().Epoch != 3 || s.Group().Founded() != 3 {
		t.Errorf("%+v, %+v", p, s.Group())
	}
	wantEqual(t, restored(t, snapshotBytes(t, s)), s)
}

// TestWhatIsNotRestored: each refusal leaves the state as it was, and says what to do.
func TestWhatIsNotRestored(t *testing.T) {
	r, content := afterwards(t)
	begin := announced(t, "r1", content)
	edit := func(change func(*RestoreBegin)) *RestoreBegin {
		c := *begin
		change(&c)
		return &c
	}
	for name, c := range map[string]struct {
		c    Command
		code Code
		text string
	}{
		"nothing under way":   {&RestorePart{ID: "r1", Data: []byte("x")}, CodeAbsent, "begin it again"},
		"commit of nothing":   {&RestoreCommit{ID: "r1"}, CodeAbsent, "begin it again"},
		"drop of nothing":     {&RestoreDrop{ID: "r1"}, CodeAbsent, "not under way"},
		"without an id":       {edit(func(c *RestoreBegin) { c.Restoring.ID = "" }), CodeInvalid, "id of the restore is missing"},
		"of a later index":    {edit(func(c *RestoreBegin) { c.Restoring.Index = r.index + 100 }), CodeInvalid, "no index may be used twice"},
		"of the last epoch":   {edit(func(c *RestoreBegin) { c.Restoring.Epoch = maxEpoch }), CodeInvalid, "last epoch"},
		"of no epoch":         {edit(func(c *RestoreBegin) { c.Restoring.Epoch = 0 }), CodeInvalid, "is none"},
		"with a long reason":  {edit(func(c *RestoreBegin) { c.Restoring.Reason = strings.Repeat("x", 5000) }), CodeInvalid, "bytes"},
		"with a long archive": {edit(func(c *RestoreBegin) { c.Restoring.Archive = strings.Repeat("x", 5000) }), CodeInvalid, "bytes"},
	} {
		digest := r.s.Digest()
		if res := r.do(c.c); res.Code != c.code || !strings.Contains(res.Message, c.text) {
			t.Errorf("%s: %+v", name, res)
		}
		if r.s.Digest() != digest {
			t.Errorf("%s: the state has changed", name)
		}
	}

	// A lock, or a workflow, before and on the way.
	forbids := func(c Command, undo func(), code Code) {
		t.Helper()
		r.do(begin)
		r.parts("r1", content, 0, MaxRestorePart)
		r.do(c)
		for _, c := range []Command{begin, commitOf("r1", content)} {
			if res := r.do(c); res.Code != code {
				t.Errorf("%T: %+v", c, res)
			}
		}
		if r.s.Group().Epoch != 1 {
			t.Fatal("it was restored")
		}
		undo()
	}
	forbids(&LockSet{RequestID: testRequestID(810), Owner: "somebody"}, r.free, CodeLocked)
	forbids(&WorkflowSet{RequestID: testRequestID(811), Workflow: Workflow{ID: "w20", Kind: "upgrade", State: "waiting"}}, r.free, CodeInvalid)

	// Parts that are not the next ones.
	r.do(begin)
	r.parts("r1", content[:2000], 0, 1000)
	for name, p := range map[string]*RestorePart{"again": {ID: "r1", Data: content[:1000]}, "a gap": {ID: "r1", At: 3000, Data: content[:1]}} {
		if res := r.do(p); res.Code != CodeConflict {
			t.Errorf("%s: %+v", name, res)
		}
	}
	for name, p := range map[string]*RestorePart{"empty": {ID: "r1", At: 2000}, "too large": {ID: "r1", At: 2000, Data: make([]byte, MaxRestorePart+1)}} {
		if res := r.do(p); res.Code != CodeInvalid {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if res := r.do(&RestorePart{ID: "r1", At: 1000, Data: content[1000:2000]}); res.Code != CodeOK {
		t.Errorf("the last one again: %+v", res)
	}
	if _, have := r.s.Restoring(); have != 2000 {
		t.Errorf("%d bytes", have)
	}

	// What arrives is not what was announced, or cannot be restored.
	other := everything(t)
	other.free()
	foreign := restored(t, content)
	group := *foreign.Group()
	group.ID = "5b3e6f0e-6d5b-4a3f-9d43-0f0a4a0c8a11"
	foreign.cur.Load().items.sub(itemSum(itemGroup, appendGroup(nil, foreign.Group())))
	foreign.cur.Load().items.add(itemSum(itemGroup, appendGroup(nil, &group)))
	foreign.cur.Load().group.Store(&group)
	line := newReplicaUnderTest(t)
	line.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	line.configure(testCluster("c1", time.Hour, "other"))
	empty := newReplicaUnderTest(t)
	empty.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 1
	shifted := announced(t, "r1", content)
	shifted.Restoring.Index--
	for name, c := range map[string]struct {
		begin   *RestoreBegin
		content []byte
		commit  *RestoreCommit
		text    string
	}{
		"cut off":            {begin, content[:len(content)-1], commitOf("r1", content), "bytes are there"},
		"another hash":       {begin, flipped, commitOf("r1", content), "another hash"},
		"damaged":            {begin, flipped, nil, "cannot be restored"},
		"another index":      {shifted, content, nil, "than was announced"},
		"another group":      {announced(t, "r1", snapshotBytes(t, foreign)), snapshotBytes(t, foreign), nil, "another group"},
		"another line":       {announced(t, "r1", snapshotBytes(t, line.s)), snapshotBytes(t, line.s), nil, "got the id that i1 has here"},
		"without a revision": {announced(t, "r1", snapshotBytes(t, empty.s)), snapshotBytes(t, empty.s), nil, "no configuration in the archive"},
	} {
		r.do(c.begin)
		r.parts("r1", c.content, 0, MaxRestorePart)
		if c.commit == nil {
			c.commit = commitOf("r1", c.content)
		}
		if res := r.do(c.commit); res.Code != CodeInvalid || !strings.Contains(res.Message, c.text) {
			t.Errorf("%s: %+v", name, res)
		}
		if p, _ := r.s.Restoring(); p != nil || r.s.Group().Epoch != 1 {
			t.Errorf("%s: %+v, epoch %d", name, p, r.s.Group().Epoch)
		}
	}
	r.survives()
	if e := r.eventsOf(EventRestoreDropped); len(e) < 7 || !strings.Contains(e[len(e)-1].Text, "came to nothing") {
		t.Errorf("%d events", len(e))
	}
	r.do(begin)
	if res := r.do(&RestoreDrop{ID: "r1", Actor: "me", Reason: "changed my mind"}); res.Code != CodeOK {
		t.Errorf("%+v", res)
	}
	if p, _ := r.s.Restoring(); p != nil {
		t.Error("it is still under way")
	}
}

// TestArchiveOfANewerVersionStopsTheNode: it must not go on without what others make of it.
func TestArchiveOfANewerVersionStopsTheNode(t *testing.T) {
	r, _ := afterwards(t)
	content := forge(Digest{}, section{item: 99, count: 1, content: []byte{1, 0, 0, 0, 7}})
	r.do(&RestoreBegin{Restoring: Restoring{ID: "r1", Archive: "a", Epoch: 1, Index: 1}})
	r.parts("r1", content, 0, MaxRestorePart)
	digest := r.s.Digest()
	if _, err := r.s.Apply(r.index+1, mustEncode(t, r.now.Add(time.Hour), commitOf("r1", content))); err == nil || !strings.Contains(err.Error(), ErrEntryUnknown.Error()) {
		t.Errorf("%v", err)
	}
	if r.s.Digest() != digest || r.s.Applied() != r.index {
		t.Error("the state has changed")
	}
}

// TestRestoreAtAnyMoment: whatever has happened before and after an archive was made, the state that it gives is one that a snapshot carries over, on two replicas alike.
func TestRestoreAtAnyMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := configured(t)
		r.do(&GroupInit{RequestID: testRequestID(700), Group: testGroup()})
		for _, s := range genLog(0, 30).Draw(t, "before") {
			r.step(s)
		}
		content := snapshotBytes(t, r.s)
		for _, s := range genLog(1, 30).Draw(t, "after") {
			r.step(s)
		}
		r.free()
		twin := newReplicaUnderTest(t)
		twin.s, twin.index, twin.now = restored(t, snapshotBytes(t, r.s)), r.index, r.now
		revision := r.s.Revision().Number
		res, again := r.restoreInto(content, MaxRestorePart), twin.restoreInto(content, 500)
		if again.Index -= twin.index - r.index; res.Code != again.Code || res.Message != again.Message {
			t.Fatalf("%+v, %+v", res, again)
		}
		if restored(t, content).Revision().Number == 0 {
			if res.Code != CodeInvalid {
				t.Fatalf("without a configuration: %+v", res)
			}
			return
		}
		if res.Code != CodeOK || res.Revision != revision+1 {
			t.Fatalf("%+v", res)
		}
		wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
		wantCounts(t, r.s)
		for _, s := range genLog(0, 10).Draw(t, "later") {
			r.step(s)
		}
		wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	})
}

// TestFounded: only what a log began with counts.
func TestFounded(t *testing.T) {
	r, content := afterwards(t)
	s := r.s
	for i := range 3 {
		if err := s.BeginEpoch(0, r.now); err != nil {
			t.Fatal(err)
		}
		if g := s.Group(); g.Founded() != g.Epoch || int(g.Epoch) != i+2 {
			t.Errorf("%+v", g)
		}
	}
	// The archive is from before all of these.
	if res := r.restoreInto(content, MaxRestorePart); res.Code != CodeOK {
		t.Fatalf("%+v", res)
	}
	if g := s.Group(); g.Epoch != 5 || g.Founded() != 4 || len(g.Epochs) != 1 {
		t.Errorf("%+v", g)
	}
	wantEqual(t, restored(t, snapshotBytes(t, s)), s)
	if err := s.BeginEpoch(0, r.now); err != nil {
		t.Fatal(err)
	}
	if g := s.Group(); g.Founded() != 6 {
		t.Errorf("%+v", g)
	}
	r.free()
	for n := range 2 * maxEpochs { // more than are remembered
		r.now = r.now.Add(time.Second)
		content = snapshotBytes(t, s)
		r.do(&Checkpoint{})
		id := fmt.Sprint("m", n)
		r.do(announced(t, id, content))
		r.parts(id, content, 0, MaxRestorePart)
		if res := r.do(commitOf(id, content)); res.Code != CodeOK {
			t.Fatalf("%d: %+v", n, res)
		}
	}
	if g := s.Group(); g.Founded() != 6 || len(g.Epochs) != maxEpochs {
		t.Errorf("%+v", g)
	}
	wantEqual(t, restored(t, snapshotBytes(t, s)), s)
}

// BenchmarkRestoreCommit answers: for how long does a node apply nothing else when an archive of a million assignments takes force?
func BenchmarkRestoreCommit(b *testing.B) {
	r := newReplicaUnderTest(b)
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.configure(testCluster("c1", time.Hour, "i1", "i2", "i3"))
	fillSessions(b, r, 0, 1_000_000, 3)
	content := snapshotBytes(b, r.s)
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		id := fmt.Sprint("m", n)
		r.do(announced(b, id, content))
		r.parts(id, content, 0, MaxRestorePart)
		b.StartTimer()
		if res := r.do(commitOf(id, content)); res.Code != CodeOK {
			b.Fatalf("%+v", res)
		}
	}
	b.ReportMetric(float64(len(content)), "bytes")
}

// A part that is in a snapshot is held against what was announced.
func TestPartsOfASnapshot(t *testing.T) {
	r, content := afterwards(t)
	r.do(announced(t, "r1", content))
	r.parts("r1", content[:3000], 0, 1500)
	good := snapshotBytes(t, r.s)
	p := r.cur().restoring.Load()
	second := uint64(len(p.parts[0]))
	head := list(itemRestoring, appendRestoring(nil, &p.Restoring))
	for name, sections := range map[string][]section{
		"of no restore": {list(itemRestorePart, appendRestorePart(nil, 0, p.parts[0]))},
		"a gap":         {head, list(itemRestorePart, appendRestorePart(nil, second, p.parts[1]))},
		"twice":         {head, list(itemRestorePart, appendRestorePart(nil, 0, p.parts[0]), appendRestorePart(nil, 0, p.parts[0]))},
		"empty":         {head, list(itemRestorePart, appendRestorePart(nil, 0, nil))},
		"too much":      {head, list(itemRestorePart, appendRestorePart(nil, 0, make([]byte, MaxRestorePart+1)))},
		"no place":      {head, list(itemRestorePart, []byte{1, 2, 3})},
		"two restores":  {head, head},
		"of no group":   {head, list(itemRestorePart, appendRestorePart(nil, 0, p.parts[0]))},
	} {
		if err := wantRefused(t, restored(t, good), forge(Digest{}, sections...)); !strings.Contains(err.Error(), "impossible") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
