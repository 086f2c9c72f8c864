package raftnode

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestWhatEntriesDoTogether(t *testing.T) {
	key := testKey(1)
	assign := func(in fsm.InstanceID) fsm.SessionOp {
		return fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: in}
	}
	move := func(from, to fsm.InstanceID) fsm.SessionOp {
		return fsm.SessionOp{Kind: fsm.OpMove, Key: key, Expect: from, Instance: to}
	}
	drop := fsm.SessionOp{Kind: fsm.OpDrop, Key: key}
	none := fsm.SessionOp{}
	for _, c := range []struct {
		what string
		ops  []fsm.SessionOp
		want fsm.SessionOp
	}{
		{"nothing", nil, none},
		{"it begins", []fsm.SessionOp{assign(1)}, assign(1)},
		{"the first one counts", []fsm.SessionOp{assign(1), assign(2)}, assign(1)},
		{"it begins and moves", []fsm.SessionOp{assign(1), move(1, 2)}, assign(2)},
		{"it does not move", []fsm.SessionOp{assign(1), move(3, 2)}, assign(1)},
		{"one that the state has moves twice", []fsm.SessionOp{move(1, 2), move(2, 3)}, move(1, 3)},
		{"it moves by its version", []fsm.SessionOp{assign(1), {Kind: fsm.OpMoveAt, Key: key, Version: 7, Instance: 2}}, assign(2)},
		{"it ends", []fsm.SessionOp{assign(1), drop}, none},
		{"it ends and begins", []fsm.SessionOp{assign(1), drop, assign(2)}, assign(2)},
		{"a touch", []fsm.SessionOp{{Kind: fsm.OpTouch, Key: key}}, none},
	} {
		ops := map[fsm.Key]fsm.SessionOp{}
		for _, op := range c.ops {
			follow(ops, op)
		}
		if ops[key] != c.want {
			t.Errorf("%s: %+v", c.what, ops[key])
		}
	}
}

// TestUnapplied: what a node has in its log and nobody has committed is known to it, and is forgotten when the state has it.
func TestUnapplied(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	leader, followers := g.leader(), g.followers()
	leader.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	if op, ok := leader.node.Unapplied(testKey(1)); ok {
		t.Errorf("the state has it: %+v", op)
	}
	for _, f := range followers {
		f.crash()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	recorded := make(chan error, 1)
	go func() {
		_, err := leader.node.Record(ctx, fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
		recorded <- err
	}()
	within(t, time.Minute, "the log has it", func() bool {
		op, ok := leader.node.Unapplied(testKey(2))
		return ok && op.Kind == fsm.OpAssign && op.Instance == a
	})
	if _, ok := leader.state.Lookup(testKey(2)); ok {
		t.Error("the state has it, without a majority")
	}
	if _, ok := leader.node.Unapplied(testKey(3)); ok {
		t.Error("a session that nobody has recorded")
	}
	for _, f := range followers {
		f.again()
	}
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "it is not recorded", func() bool { // another one may lead by now, and this one hear of it later
		_, ok := leader.state.Lookup(testKey(2))
		return ok
	})
	within(t, time.Minute, "the log has nothing behind the state", func() bool { _, ok := leader.node.Unapplied(testKey(2)); return !ok })
}
