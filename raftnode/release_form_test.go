package raftnode

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestMixedSchemasFoundNoGroup: UCD-01. All say why; with the right program they go on. A node of schema 1 neither says its schema nor minds that of
// others: what it answers is judged.
func TestMixedSchemasFoundNoGroup(t *testing.T) {
	for name, says := range map[string]release{"newer": {"2.0", fsm.Schema + 1}, "older, says nothing": {}} {
		t.Run(name, func(t *testing.T) {
			g := expectGroup(t, 3)
			odd := g[2]
			odd.node.says = says
			want := []string{"node n1 version test with " + ourSchema + " of the state", "node n2 version test", says.String()}
			if says == (release{}) {
				want = nil
				odd.node.server.handlers[callHello] = func(_ context.Context, _ caller, payload []byte) ([]byte, error) {
					h, err := decodeJSON[hello](payload) // it agrees with everybody
					return encodeJSON(hello{From: odd.node.self(), Expect: 3, View: append(h.View, odd.node.self())}), err
				}
			}
			for _, m := range g {
				m.run()
			}
			odd.waitsBecause(want...)
			for _, m := range g[:2] {
				m.waitsBecause("node n3", "version "+says.String(), "version test with "+ourSchema+" of the state")
			}
			within(t, 10*time.Second, "n1 and n2 do not meet", func() bool {
				return len(g[0].node.formation.view(g[0].node.self(), time.Now())) == 2
			})
			for _, m := range g {
				if blank, err := m.node.blank(); err != nil || !blank {
					t.Errorf("%s has founded a group: %v", m.opt.Name, err)
				}
			}
			odd.halt()
			odd.again()
			g.ready()
		})
	}
}

// TestMixedVersionsFoundAGroup: TIP-29.
func TestMixedVersionsFoundAGroup(t *testing.T) {
	g := expectGroup(t, 2)
	g[1].node.says.Version = "1.3"
	for _, m := range g {
		m.run()
	}
	g.ready()
}

// TestFoundersOfAnotherSchemaAreRefused drives the handlers: a node that was started with another program between its greeting and its promise.
func TestFoundersOfAnotherSchemaAreRefused(t *testing.T) {
	g := expectGroup(t, 2)
	for _, m := range g {
		if err := m.node.obtainCredentials(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	n, peer := g[1].node, g[0].node
	n.formation.begin()
	from := caller{peer.opt.Name, *peer.id.Load()}
	p := promise{Proposer: from.id, Attempt: 1, Members: []founder{peer.self(), n.self()}}
	h := hello{From: peer.self(), Expect: 2, View: p.Members}
	for name, c := range map[string]struct {
		says release
		want string
	}{
		"says nothing": {release{}, "version unknown with schema 1 of the state"},
		"another":      {release{"2.0", fsm.Schema + 1}, "version 2.0 with " + laterSchema + " of the state"},
		"negative":     {release{"2.0", -1}, ""},
		"huge":         {release{strings.Repeat("x", 10_000), fsm.Schema}, ""},
	} {
		p.release, h.release = c.says, c.says
		for kind, ask := range map[string]func() ([]byte, error){
			"promise": func() ([]byte, error) { return n.handlePromise(context.Background(), from, encodeJSON(p)) },
			"form":    func() ([]byte, error) { return n.handleForm(context.Background(), from, encodeJSON(p)) },
			"hello":   func() ([]byte, error) { return n.handleHello(context.Background(), from, encodeJSON(h)) },
		} {
			_, err := ask()
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 || c.want == "" && !errors.Is(err, ErrRefused) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
	if old, err := n.loadPromise(); err != nil || old.Proposer != "" {
		t.Errorf("promised: %+v %v", old, err)
	}
	if v := n.formation.view(n.self(), time.Now()); len(v) != 1 {
		t.Errorf("greeted: %+v", v)
	}
	p.release, h.release = n.says, n.says
	if _, err := n.handleHello(context.Background(), from, encodeJSON(h)); err != nil {
		t.Error(err)
	}
	if _, err := n.handlePromise(context.Background(), from, encodeJSON(p)); err != nil {
		t.Error(err)
	}
}
