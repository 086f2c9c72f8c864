package fsm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// differing lists the parts in which two states differ.
func differing(a, b *State) (list []string) {
	x, y := a.Snapshot(), b.Snapshot()
	defer x.Release()
	defer y.Release()
	theirs := y.Parts()
	for i, p := range x.Parts() {
		if p.Digest != theirs[i].Digest {
			list = append(list, p.Part.String())
		}
	}
	shards, err := DifferentShards(x.ShardDigests(), y.ShardDigests())
	if err == nil && len(shards) > 0 {
		list = append(list, "the table")
	}
	return list
}

// TestPartsSayWhereStatesDiffer: two replicas of which one has had one thing more.
func TestPartsSayWhereStatesDiffer(t *testing.T) {
	if d := differing(everything(t).s, everything(t).s); len(d) > 0 {
		t.Fatalf("equal states differ in %q", d)
	}
	for name, tc := range map[string]struct {
		change func(r *replicaUnderTest)
		want   []string // the parts, with the others that change with it
		label  string   // of the first item that only the changed one has, in the first of them
	}{
		"time":     {func(r *replicaUnderTest) { r.now = r.now.Add(time.Minute); r.ops() }, []string{"the replicated time"}, "it is 2026-03-01 12:01:10.000"},
		"token":    {func(r *replicaUnderTest) { r.do(&TokenPut{Token: testToken("z", RoleNode)}) }, []string{"the tokens"}, "token z"},
		"request":  {func(r *replicaUnderTest) { r.do(&TokenDrop{RequestID: testRequestID(99), ID: "none"}) }, []string{"the remembered requests"}, "request "},
		"session":  {func(r *replicaUnderTest) { r.ops(SessionOp{Kind: OpTouch, Key: testKey(3), Module: 1}) }, []string{"the table"}, ""},
		"decision": {func(r *replicaUnderTest) { r.ops(SessionOp{Kind: OpDrop, Key: testKey(3), Reason: ReasonOperator}) }, []string{"the remembered decisions", "the table"}, "decision of index "},
		"lock": {func(r *replicaUnderTest) { r.do(&LockClear{Actor: "me"}) },
			[]string{"the index of the operating state", "the maintenance lock", "the events"}, "it is "},
		"verdict": {func(r *replicaUnderTest) { r.do(&VerdictSet{Verdicts: []Verdict{{Instance: 2, State: HealthUp}}}) },
			[]string{"the index of the operating state", "the verdicts on instances", "the events"}, "it is "},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := everything(t), everything(t)
			tc.change(b)
			got := differing(a.s, b.s)
			if !slices.Equal(got, tc.want) {
				t.Fatalf("differ in %q, want %q", got, tc.want)
			}
			if tc.label == "" {
				return
			}
			x, y := a.s.Snapshot(), b.s.Snapshot()
			for _, n := range partNames {
				if n.name != tc.want[0] {
					continue
				}
				p := Part(n.part)
				i := FirstOnlyHere(y.Items(p), x.Items(p))
				label, ok := y.Label(p, i)
				if !ok || !strings.HasPrefix(label, tc.label) {
					t.Errorf("item %d: %q, want %q", i, label, tc.label)
				}
			}
		})
	}
}

// TestEveryItemHasAPart: what a state has is in some part, so that nothing can differ unnamed; and each item has a name without a secret.
func TestEveryItemHasAPart(t *testing.T) {
	s := everything(t).s.Snapshot()
	var total sum
	for _, p := range s.Parts() {
		if p.Digest == (Digest{}) {
			t.Errorf("%s: empty in a state that has everything", p.Part)
		}
		if p.Part != Part(itemNow) && p.Part != Part(itemDecision) { // these are summed up in another way
			for i := range s.list(p.Part).n {
				total.add(itemSum(item(p.Part), s.list(p.Part).form(nil, i)))
			}
		}
		for i := range s.Items(p.Part) {
			label, ok := s.Label(p.Part, i)
			if !ok || label == "" || strings.Contains(label, string(testToken("a", RoleNode).Hash)) {
				t.Errorf("%s: item %d is called %q", p.Part, i, label)
			}
		}
		for _, i := range []int{-1, len(s.Items(p.Part))} {
			if _, ok := s.Label(p.Part, i); ok {
				t.Errorf("%s has an item %d", p.Part, i)
			}
		}
	}
	for i := range s.decisions {
		total.add(decisionSum(&s.decisions[i]))
	}
	for _, slots := range s.shards {
		for i := range slots {
			if slots[i].instance != 0 {
				total.add(slotSum(&slots[i]))
			}
		}
	}
	if total.digest(s.now) != s.Digest() {
		t.Error("the parts and the table together are not the whole")
	}
	if n := s.Items(Part(200)); len(n) != 0 {
		t.Errorf("an unknown part has %d items", len(n))
	}
	if name := Part(200).String(); name != "part 200" {
		t.Error(name)
	}
}

func TestFirstOnlyHere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.SliceOfN(rapid.Uint64Range(0, 5), 0, 8)
		own, theirs := draw.Draw(t, "own"), draw.Draw(t, "theirs")
		want := -1
		left := slices.Clone(theirs)
		for i, x := range own {
			j := slices.Index(left, x)
			if j < 0 {
				want = i
				break
			}
			left = slices.Delete(left, j, j+1)
		}
		if got := FirstOnlyHere(own, theirs); got != want {
			t.Fatalf("%v, %v: %d, want %d", own, theirs, got, want)
		}
	})
}
