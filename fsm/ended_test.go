package fsm

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestEndedEvent: SUN-52. What a node has ended is one event, also when the note of it is sent twice; what no node says is none.
func TestEndedEvent(t *testing.T) {
	r := newReplicaUnderTest(t)
	good := EndedNote{RequestID: testRequestID(3), Cluster: "c1", Instance: "i1", Node: "n1", Count: 3, After: config.Duration(600e9)}
	for range 2 {
		c := good
		if res := r.do(&c); res.Code != CodeOK {
			t.Fatal(res)
		}
	}
	list := r.s.Events(0, 10)
	if len(list) != 1 {
		t.Fatalf("%d events", len(list))
	}
	if e := list[0]; e.Kind != EventEnded || e.Actor != "n1" || e.Node != "n1" || e.Cluster != "c1" || e.Instance != "i1" ||
		e.Text != "Hard time-out: node n1 has ended 3 in flight to instance i1 of cluster c1, which was stopped 10m before" {
		t.Errorf("%+v", e)
	}
	for name, change := range map[string]func(*EndedNote){
		"no cluster": func(c *EndedNote) { c.Cluster = "" }, "no instance": func(c *EndedNote) { c.Instance = "" },
		"no node": func(c *EndedNote) { c.Node = "a b" }, "none": func(c *EndedNote) { c.Count = 0 }, "less than none": func(c *EndedNote) { c.Count = -1 },
		"before": func(c *EndedNote) { c.After = -1 }, "long": func(c *EndedNote) { c.Instance = strings.Repeat("x", maxNameBytes+1) },
	} {
		c := good
		c.RequestID = RequestID{}
		change(&c)
		if res := r.do(&c); res.Code != CodeInvalid || res.Message == "" {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if r.s.LastEvent() != 1 {
		t.Errorf("%d events", r.s.LastEvent())
	}
	applyGolden(t, r, []goldenEntry{{file: "v4_ended.entry", bytes: mustEncode(t, testStart, &good), code: CodeOK}})
	r.survives()
}
