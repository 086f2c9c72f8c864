package raftnode

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestRecordOnEveryNodeAndSync(t *testing.T) {
	g := startGroup(t, 3)
	a, b := g.configure()
	for i, m := range g {
		op := fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a}
		if r := m.record(op); r.Code != fsm.CodeOK || r.Instance != a {
			t.Fatalf("%s: %+v", m.opt.Name, r)
		}
		// The same again, and a rival, name the winner.
		op.Instance = b
		for range 2 {
			if r := m.record(op); r.Code != fsm.CodeExists || r.Instance != a {
				t.Fatalf("%s: rival got %+v", m.opt.Name, r)
			}
		}
	}
	for i := range 200 {
		writer, reader := g[i%3], g[(i+1)%3]
		key := testKey(1000 + i)
		writer.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: b})
		reader.sync()
		if got, ok := reader.state.Lookup(key); !ok || got.Instance != b {
			t.Fatalf("round %d: %s does not see what %s has acknowledged: %v %v", i, reader.opt.Name, writer.opt.Name, got, ok)
		}
	}
}
