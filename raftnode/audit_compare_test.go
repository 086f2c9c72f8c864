package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// smallState is one with a bit of everything that a comparison names.
func smallState(t testing.TB, change func(apply func(fsm.Command), ops func(...fsm.SessionOp))) *fsm.State {
	t.Helper()
	s := fsm.New()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	put := func(b []byte, err error) {
		if err == nil {
			_, err = s.Apply(s.Applied()+1, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	apply := func(c fsm.Command) { put(fsm.Encode(now, c)) }
	ops := func(list ...fsm.SessionOp) { put(fsm.EncodeSessions(now, list), nil) }
	c, err := config.Parse("test", []byte("clusters:\n  - name: c\n    modules: [{contextRoot: /}]\n    instances:\n      - {name: a, listeners: [\"http://127.0.0.1:1\"]}\n      - {name: b, listeners: [\"http://127.0.0.1:2\"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	apply(&fsm.ConfigSet{RequestID: fsm.RequestID{1}, Actor: "test", Config: c})
	for i := range 1000 {
		ops(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: 1, Reason: fsm.ReasonPolicy})
	}
	if change != nil {
		change(apply, ops)
	}
	return s
}

// compared gives what a state says of its difference to another.
func compared(t testing.TB, own, other *fsm.State) (string, error) {
	t.Helper()
	theirs := other.Snapshot()
	c := comparison{own: own.Snapshot(), ask: func(r compareRequest) ([]byte, error) {
		again, err := decodeJSON[compareRequest](encodeJSON(r))
		if err != nil || again != r {
			t.Fatalf("%+v travels as %+v, %v", r, again, err)
		}
		return again.answer(theirs)
	}}
	return c.run()
}

func TestComparisonNamesWhatDiffers(t *testing.T) {
	key := func(i int) string { return fmt.Sprintf("session key %s: ", testKey(i)) }
	for name, tc := range map[string]struct {
		change func(apply func(fsm.Command), ops func(...fsm.SessionOp))
		want   []string
	}{
		"nothing": {nil, []string{"every assignment and every item is the same"}},
		"one more here": {func(_ func(fsm.Command), ops func(...fsm.SessionOp)) {
			ops(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(5000), Instance: 2, Reason: fsm.ReasonPolicy})
		}, []string{key(5000) + "here it goes to instance id 2 (c/b) by the decision of index 1002", "elsewhere it has no assignment"}},
		"one less here": {func(_ func(fsm.Command), ops func(...fsm.SessionOp)) {
			ops(fsm.SessionOp{Kind: fsm.OpDrop, Key: testKey(7)})
		}, []string{key(7) + "here it has no assignment, elsewhere it goes to instance id 1 (c/a) by the decision of index 9"}},
		"moved here": {func(_ func(fsm.Command), ops func(...fsm.SessionOp)) {
			ops(fsm.SessionOp{Kind: fsm.OpMove, Key: testKey(7), Instance: 2, Expect: 1, Reason: fsm.ReasonOperator})
		}, []string{key(7) + "here it goes to instance id 2 (c/b)", "the remembered decisions: only here is there decision of index 1002 about session"}},
		"many": {func(_ func(fsm.Command), ops func(...fsm.SessionOp)) {
			for i := range 50 {
				ops(fsm.SessionOp{Kind: fsm.OpDrop, Key: testKey(i)})
			}
		}, []string{"here it has no assignment", "the first one in 50 of 8192 shards of the table that differ"}},
		"a token": {func(apply func(fsm.Command), _ func(...fsm.SessionOp)) {
			apply(&fsm.TokenPut{RequestID: fsm.RequestID{2}, Token: fsm.Token{ID: "t1", Role: "viewer", Hash: make([]byte, 32)}})
		}, []string{"the tokens: only here is there token t1", "the remembered requests: only here is there request 02000"}},
		"a revision": {func(apply func(fsm.Command), _ func(...fsm.SessionOp)) {
			apply(&fsm.ConfigSet{RequestID: fsm.RequestID{3}, Expect: 1, Actor: "test", Config: config.Empty()})
		}, []string{"the configuration's revisions: only here is there revision 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			changed, plain := smallState(t, tc.change), smallState(t, nil)
			text, err := compared(t, changed, plain)
			for _, w := range tc.want {
				if err != nil || !strings.Contains(text, w) {
					t.Errorf("%v, %q lacks %q", err, text, w)
				}
			}
			// The other way round it says the same of the other side.
			back, err := compared(t, plain, changed)
			if err != nil || tc.change != nil && strings.Contains(back, "is the same") || strings.Contains(tc.want[0], "only here is there") && !strings.Contains(back, "is missing here") {
				t.Errorf("the other way round: %v, %q", err, back)
			}
		})
	}
}

// A node that answers nonsense is no reason to fail otherwise than with an error.
func TestComparisonWithNonsense(t *testing.T) {
	changed := smallState(t, func(_ func(fsm.Command), ops func(...fsm.SessionOp)) {
		ops(fsm.SessionOp{Kind: fsm.OpDrop, Key: testKey(7)})
	})
	theirs := smallState(t, nil).Snapshot()
	for _, want := range []string{wantParts, wantShards, wantShard} {
		for _, nonsense := range [][]byte{nil, []byte("x"), make([]byte, 35), make([]byte, maxSmall+1)} {
			c := comparison{own: changed.Snapshot(), ask: func(r compareRequest) ([]byte, error) {
				if r.Want == want {
					return nonsense, nil
				}
				return r.answer(theirs)
			}}
			text, err := c.run()
			if err == nil && want != wantShard {
				t.Errorf("%s: %d bytes were taken: %q", want, len(nonsense), text)
			}
		}
	}
	c := comparison{own: changed.Snapshot(), ask: func(compareRequest) ([]byte, error) { return nil, errors.New("gone") }}
	if _, err := c.run(); err == nil || err.Error() != "gone" {
		t.Errorf("%v", err)
	}
}

// FuzzCompare: whatever a member asks for, it gets an answer or a refusal.
func FuzzCompare(f *testing.F) {
	for _, r := range []compareRequest{{Want: wantParts}, {Want: wantItems, Part: 3}, {Want: wantLabel, Part: 18, N: 1}, {Want: wantShards}, {Want: wantShard, N: 9}, {Want: "other"}} {
		f.Add(encodeJSON(r))
	}
	f.Add([]byte(`{"want":"label","part":255,"n":4294967295}`))
	snap := smallState(f, nil).Snapshot()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeJSON[compareRequest](b)
		if err != nil {
			return
		}
		out, err := r.answer(snap)
		if fail := (*failure)(nil); err != nil && !errors.Is(err, ErrRefused) && !errors.As(err, &fail) {
			t.Fatalf("%+v: %v", r, err)
		}
		switch r.Want {
		case wantItems:
			_, err = decodeItems(out)
		case wantShard:
			_, err = fsm.ParseEntries(out)
		}
		if err != nil && out != nil {
			t.Fatalf("%+v: its own answer cannot be read: %v", r, err)
		}
	})
}

// TestAuditCallsAreForMembers, and take nothing else than what they are for.
func TestAuditCallsAreForMembers(t *testing.T) {
	g := startGroup(t, 1)
	n := g[0].node
	ctx := ctxFor(t, 20*time.Second)
	stranger := caller{"n9", raft.ServerID("n9/00000000")}
	self := caller{n.opt.Name, *n.id.Load()}
	for name, h := range map[string]struct {
		call handler
		good []byte
	}{
		"digest":     {n.handleDigest, encodeIndex(0)},
		"checkpoint": {n.handleCheckpoint, []byte{1}},
		"compare":    {n.handleCompare, encodeJSON(compareRequest{Want: wantParts})},
	} {
		_, err := h.call(ctx, stranger, h.good)
		wantRefusal(t, err, "not a member")
		for _, bad := range [][]byte{nil, {7}, []byte("nonsense of a length"), make([]byte, maxSmall+1)} {
			if _, err := h.call(ctx, self, bad); !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %d bytes: %v", name, len(bad), err)
			}
		}
	}
	b, err := n.handleCheckpoint(ctx, self, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	index, err := decodeIndex(b)
	if err != nil || index == 0 {
		t.Fatalf("%d, %v", index, err)
	}
	if again, err := n.handleCheckpoint(ctx, self, []byte{0}); err != nil || string(again) != string(b) {
		t.Errorf("a second one at once: %x, %v; want %x", again, err, b)
	}
	if _, err := n.handleCompare(ctx, self, encodeJSON(compareRequest{Index: index, Want: wantParts})); err != nil {
		t.Error(err)
	}
	if _, err := n.handleCompare(ctx, self, encodeJSON(compareRequest{Index: index - 1, Want: wantParts})); !TryAgain(err) {
		t.Errorf("an older image: %v", err)
	}
	var a digestAnswer
	if b, err = n.handleDigest(ctx, self, encodeIndex(index)); err == nil {
		err = json.Unmarshal(b, &a)
	}
	if want, _ := n.state.CheckpointAt(index); err != nil || a.Digest != want || !a.Known || !a.Counts {
		t.Errorf("%+v, %v", a, err)
	}
}

// An image is released when it is replaced and nobody looks at it any more.
func TestImages(t *testing.T) {
	s := smallState(t, nil)
	var i images
	first := s.Snapshot()
	i.hold(first)
	ctx, cancel := context.WithCancel(t.Context())
	looked := false
	err := i.use(ctx, first.Index(), func(x *fsm.Snapshot) {
		looked = x == first
		b, err := fsm.Encode(time.Now(), &fsm.Checkpoint{})
		if err == nil {
			_, err = s.Apply(s.Applied()+1, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		i.hold(s.Snapshot())
		if n := len(x.ShardEntries(0)) + len(x.ShardDigests()); n == 0 {
			t.Error("the image has gone under the reader")
		}
		if _, err := x.WriteTo(discard{}); err != nil { // panics when it was released
			t.Error(err)
		}
	})
	if err != nil || !looked {
		t.Fatalf("%v, %v", looked, err)
	}
	if !released(first) {
		t.Error("the first image is still held")
	}
	if err := i.use(ctx, first.Index(), nil); !TryAgain(err) {
		t.Errorf("the older image: %v", err)
	}
	last := i.now.snap
	i.close()
	i.close()
	if !released(last) {
		t.Error("the last image is still held")
	}
	cancel()
	if err := i.use(ctx, 7, nil); !TryAgain(err) {
		t.Errorf("no image: %v", err)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func released(s *fsm.Snapshot) (yes bool) {
	defer func() { yes = recover() != nil }()
	_, _ = s.WriteTo(discard{})
	return false
}

func TestClipText(t *testing.T) {
	for in, want := range map[string]string{"short": "short", "two\nlines\x00": "two lines ", strings.Repeat("ü", 20): strings.Repeat("ü", 8) + " ...", "a\xffb": "a?b"} {
		if got := clipText(in, 20); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
