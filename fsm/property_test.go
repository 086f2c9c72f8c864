package fsm

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// step is one entry of a random log.
type step struct {
	after time.Duration // may be negative: clocks of leaders differ
	ops   []SessionOp
	cmd   Command // nil: a session batch
}

func (s step) String() string { return fmt.Sprintf("%v %+v %+v", s.after, s.ops, s.cmd) }

func genOp() *rapid.Generator[SessionOp] {
	return rapid.Custom(func(t *rapid.T) SessionOp {
		return SessionOp{
			Kind:     OpKind(rapid.IntRange(0, 6).Draw(t, "kind")),
			Key:      testKey(rapid.IntRange(0, 40).Draw(t, "key")),
			Instance: InstanceID(rapid.IntRange(0, 7).Draw(t, "instance")),
			Expect:   InstanceID(rapid.IntRange(0, 7).Draw(t, "expect")),
			Version:  uint32(rapid.IntRange(0, 20).Draw(t, "version")),
			Reason:   Reason(rapid.IntRange(0, 14).Draw(t, "reason")),
			Module:   ModuleID(rapid.IntRange(0, 5).Draw(t, "module")),
		}
	})
}

// genCommand draws a rare command. Few ids, so that repetitions and conflicts are common.
func genCommand() *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		id := RequestID{15: byte(rapid.IntRange(0, 30).Draw(t, "request"))}
		token := fmt.Sprint("t", rapid.IntRange(0, 4).Draw(t, "token"))
		which := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8}).Draw(t, "command")
		if which == 8 {
			return genStore(t, id)
		}
		if which > 6 {
			return genOperating(id).Draw(t, "operating")
		}
		switch which {
		case 0:
			return &GroupInit{RequestID: id, Group: testGroup()}
		case 1:
			return &ConfigSet{RequestID: id, Expect: uint64(rapid.IntRange(0, 3).Draw(t, "expect")), Actor: "a", Config: genConfig().Draw(t, "config")}
		case 2:
			tok := testToken(token, rapid.SampledFrom([]string{RoleNode, "admin"}).Draw(t, "role"))
			tok.Expires = testStart.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "expires")) * time.Second)
			if rapid.Bool().Draw(t, "of a user") {
				tok.Role, tok.User = "", rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "user")
			}
			return &TokenPut{RequestID: id, Token: tok, Actor: rapid.SampledFrom([]string{"", "a"}).Draw(t, "actor")}
		case 3:
			return &TokenUse{RequestID: id, ID: token, UsedBy: rapid.SliceOfN(rapid.Byte(), 0, 1).Draw(t, "key"), UsedName: "n"}
		case 4:
			return &TokenDrop{RequestID: id, ID: token, Actor: rapid.SampledFrom([]string{"", "a"}).Draw(t, "actor")}
		case 5:
			from := rapid.Uint32Range(0, Shards).Draw(t, "shard")
			return &Expire{Shard: from, Count: rapid.Uint32Range(0, Shards-from+1).Draw(t, "count")}
		}
		return &Checkpoint{PrevIndex: 1}
	})
}

func genLog(least, most int) *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		s := step{after: time.Duration(rapid.IntRange(-2_000, 60_000).Draw(t, "ms")) * time.Millisecond}
		if rapid.Bool().Draw(t, "rare") {
			s.cmd = genCommand().Draw(t, "cmd")
		} else {
			s.ops = rapid.SliceOfN(genOp(), 0, 20).Draw(t, "ops")
		}
		return s
	}), least, most)
}

func (r *replicaUnderTest) step(s step) Result {
	r.t.Helper()
	r.now = r.now.Add(s.after)
	if s.cmd != nil {
		return r.do(r.fitted(s.cmd))
	}
	return r.apply(EncodeSessions(r.now, s.ops))
}

// configured starts most logs with instances, or else most operations would be refused.
func configured(t *rapid.T) *replicaUnderTest {
	r := newReplicaUnderTest(t)
	if rapid.IntRange(0, 9).Draw(t, "configured") > 0 {
		x, y := testCluster("x", 20*time.Second, "i1", "i2", "i3"), testCluster("y", 0, "i1", "i4")
		x.Registration.Allow = true
		x.Modules = []config.Module{{ContextRoot: "/a", Enabled: true, QuiesceTimeout: config.Duration(time.Minute)}, {ContextRoot: "/b", Host: "h", Enabled: true}}
		r.configure(x, y)
	}
	return r
}

func TestBatchEqualsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := configured(t)
		b := newReplicaUnderTest(t)
		b.s, b.index = restored(t, snapshotBytes(t, a.s)), a.index
		// A batch has one log index; what goes by indexes is not the same one by one.
		ops := slices.DeleteFunc(rapid.SliceOfN(genOp(), 0, 100).Draw(t, "ops"), func(op SessionOp) bool { return op.Kind == OpMoveAt })
		batch := a.ops(ops...)
		for i, op := range ops {
			one := b.ops(op)[0]
			if one.Code != batch[i].Code || one.Instance != batch[i].Instance {
				t.Fatalf("operation %d: %+v alone, %+v in the batch", i, one, batch[i])
			}
		}
		if x, y := withoutIndexes(a.s), withoutIndexes(b.s); !reflect.DeepEqual(x, y) {
			t.Fatalf("states differ: %+v\n%+v", x, y)
		}
		wantCounts(t, a.s)
		wantCounts(t, b.s)
	})
}

// withoutIndexes is all that session operations make, but for the log indexes.
func withoutIndexes(s *State) any {
	entries, _ := s.Scan(0, 1<<30, nil)
	for i := range entries {
		entries[i].Index = 0
	}
	list := slices.Clone(s.cur.Load().decisions.last())
	for i := range list {
		list[i].was &^= maxDecisionIndex
		list[i].is &^= maxDecisionIndex
	}
	return []any{entries, list}
}

// Two replicas that apply the same entries are equal at each index, also when one of them is restored from the other's or
// its own snapshot on the way: snapshot and restore are the identity, now and for all that comes.
func TestReplicasStayEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := configured(t)
		b := newReplicaUnderTest(t)
		b.s, b.index = restored(t, snapshotBytes(t, a.s)), a.index
		for i, s := range genLog(0, 60).Draw(t, "log") {
			ra, rb := a.step(s), b.apply(encodeStep(t, a.now, s))
			if !reflect.DeepEqual(ra, rb) {
				t.Fatalf("entry %d: results differ: %+v, %+v", i, ra, rb)
			}
			if a.s.Digest() != b.s.Digest() {
				t.Fatalf("entry %d: digests differ", i)
			}
			if rapid.IntRange(0, 9).Draw(t, "restore") == 0 {
				from := rapid.SampledFrom([]*State{a.s, b.s}).Draw(t, "from")
				b.s = restored(t, snapshotBytes(t, from))
			}
		}
		wantEqual(t, b.s, a.s)
		wantCounts(t, a.s)
	})
}

func encodeStep(t tester, now time.Time, s step) []byte {
	if s.cmd != nil {
		return mustEncode(t, now, s.cmd)
	}
	return EncodeSessions(now, s.ops)
}

// The state agrees with a model that is a map and a handful of lines.
func TestSessionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReplicaUnderTest(t)
		r.configure(testCluster("x", 20*time.Second, "i1", "i2", "i3"))
		model := map[Key]InstanceID{}
		for _, op := range rapid.SliceOfN(genOp(), 0, 200).Draw(t, "ops") {
			if op.Kind == OpMoveAt {
				continue // TestMoveAt
			}
			code := r.ops(op)[0].Code
			present, known := model[op.Key], op.Instance >= 1 && op.Instance <= 3
			want := CodeUnknownOp
			switch {
			case op.Kind == OpAssign && present != 0:
				want = CodeExists
			case op.Kind == OpMove && known && present != op.Instance && present != op.Expect,
				op.Kind == OpDrop && present != 0 && op.Expect != 0 && present != op.Expect:
				if want = CodeMismatch; present == 0 {
					want = CodeAbsent
				}
			case (op.Kind == OpAssign || op.Kind == OpMove) && !known:
				want = CodeUnknownInstance
			case op.Kind == OpAssign || op.Kind == OpMove:
				want, model[op.Key] = CodeOK, op.Instance
			case (op.Kind == OpTouch || op.Kind == OpDrop) && present == 0:
				want = CodeAbsent
			case op.Kind == OpTouch:
				want = CodeOK
			case op.Kind == OpDrop:
				want = CodeOK
				delete(model, op.Key)
			}
			if code != want {
				t.Fatalf("%+v with %d: code %d, want %d", op, present, code, want)
			}
		}
		for n := range 41 {
			if a, _ := r.s.Lookup(testKey(n)); a.Instance != model[testKey(n)] {
				t.Fatalf("key %d: instance %d, want %d", n, a.Instance, model[testKey(n)])
			}
		}
	})
}
