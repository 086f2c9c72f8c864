//go:build nextschema

package raftnode

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// older is what a node of the schema before says; this program can do more.
var older = release{"1.0", fsm.BaseSchema}

// TestSchemaIsRaisedByItself: TIP-29. Three nodes and one without a vote. While one of them is of the version before, or does not answer, nothing of the later
// schema gets into the log, whoever proposes it; then the leader raises it, once.
func TestSchemaIsRaisedByItself(t *testing.T) {
	g := expectGroup(t, 3)
	for _, m := range g {
		m.node.says = older
		m.run()
	}
	g.ready()
	reader := newMember(t, "n9", Options{JoinToken: g.joinToken(time.Hour), Join: []string{g[0].node.Addr()}, ReadOnly: true})
	reader.mustOpen()
	reader.node.says = older
	reader.run()
	all := append(group{}, append(g, reader)...)
	all.ready()
	note := &fsm.NoteSet{Actor: "test", Text: "a note"}
	for i, m := range all {
		for _, from := range all {
			_, err := from.node.Propose(ctxFor(t, 10*time.Second), note)
			if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "this needs schema 5 of the state, the group has schema 4") {
				t.Fatalf("%s, with %d nodes of the later version: %v", from.opt.Name, i, err)
			}
		}
		m.halt()
		m.mustOpen()
		m.run()
		all.ready()
	}
	for _, m := range all {
		within(t, 30*time.Second, m.opt.Name+" has the older schema", func() bool { return m.state.Schema() == fsm.Schema })
	}
	r, err := reader.node.Propose(ctxFor(t, 20*time.Second), note)
	if err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("%+v, %v", r, err)
	}
	raised := 0
	for _, e := range all.leader().state.Events(0, 100) {
		if e.Kind == fsm.EventSchema {
			raised++
		}
	}
	if raised != 1 {
		t.Errorf("raised %d times", raised)
	}
	// One of the version before is not let in any more, with its own state or without.
	back := all.followers()[0]
	back.halt()
	back.mustOpen()
	back.node.says = older
	wantRefusal(t, back.runFor(30*time.Second), "has schema 5, this program (version 1.0 with schema 4", "never lowered")
	back.halt()
	back.again()
	all.ready()
	late := newMember(t, "n8", Options{JoinToken: g.joinToken(time.Hour), Join: []string{g[1].node.Addr()}})
	late.mustOpen()
	late.node.says = older
	late.run()
	late.waitsBecause("node n8 runs version 1.0 with schema 4", "the group has schema 5, which is never lowered")
}

// TestALostNodeKeepsTheSchema: a member that does not answer may come back with the version that it had.
func TestALostNodeKeepsTheSchema(t *testing.T) {
	g := expectGroup(t, 3)
	for _, m := range g {
		m.node.says = older
		m.run()
	}
	g.ready()
	lost := g.followers()[0]
	lost.crash()

	for _, m := range g {
		if m != lost {
			m.halt()
			m.mustOpen()
			m.run()
			g.ready()
		}
	}

	leader := g.leader()
	to, why := leader.node.common(ctxFor(t, 5*time.Second))
	if to != 0 || !strings.Contains(why, "node "+lost.opt.Name+" does not answer") {
		t.Errorf("all nodes know schema %d: %s", to, why)
	}
	leader.record(fsm.SessionOp{Kind: fsm.OpTouch, Key: testKey(1)})
	if s := leader.state.Schema(); s != fsm.BaseSchema {
		t.Errorf("raised to %d", s)
	}
	lost.mustOpen()
	lost.node.says = older
	lost.run()
	g.ready()
	lost.halt()
	lost.again()
	for _, m := range g {
		within(t, 30*time.Second, m.opt.Name+" has the older schema", func() bool { return m.state.Schema() == fsm.Schema })
	}
}
